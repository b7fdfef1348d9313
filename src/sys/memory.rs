//! The process's own memory.

use std::os::raw::c_void;

/// Let go of the pages of our own text and constants that have been touched so far; those that are needed again come back
/// from the page cache at a microsecond for sixteen. A launch goes through phases that share little code, and without
/// this its resident set would be the sum of all of them for as long as the container runs.
pub fn forget_text() {
    for (start, length) in read_only_segments() {
        // SAFETY: the range is a read-only, file-backed segment of our own executable, page-aligned as the loader mapped it.
        // For such a mapping MADV_DONTNEED only drops page table entries: contents come from the file again. An error
        // changes nothing, so it is not looked at.
        unsafe { libc::madvise(start as *mut c_void, length, libc::MADV_DONTNEED) };
    }
}

/// Start and length of the segments of a static executable that nobody writes to.
fn read_only_segments() -> Vec<(usize, usize)> {
    // SAFETY: getauxval takes an integer; the kernel put the address and the number of our program headers there.
    let (headers, count) = unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_PHNUM)) };
    if headers == 0 {
        return Vec::new();
    }
    // SAFETY: the program headers of the running executable are mapped, never written, and live as long as the process.
    let headers = unsafe { std::slice::from_raw_parts(headers as *const libc::Elf64_Phdr, count as usize) };
    // The load bias of a position-independent executable: where the headers are, less where they were linked to be.
    let linked = headers.iter().find(|h| h.p_type == libc::PT_PHDR).map(|h| h.p_vaddr as usize);
    let bias = linked.map_or(0, |linked| headers.as_ptr() as usize - linked);
    let page = rustix::param::page_size();
    headers
        .iter()
        .filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0)
        .map(|h| {
            let start = (bias + h.p_vaddr as usize) / page * page;
            let end = (bias + h.p_vaddr as usize + h.p_memsz as usize).div_ceil(page) * page;
            (start, end - start)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_file_pages() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("RssFile:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn text_is_let_go_and_still_runs() {
        assert!(!read_only_segments().is_empty());
        let before = resident_file_pages();
        forget_text();
        let after = resident_file_pages();
        assert!(after < before, "{before} KiB before, {after} KiB after");
        assert_eq!("42".parse::<u32>().unwrap(), 42);
    }
}

//! A corpus of hostile layers, and random ones: nothing lands outside, and what is refused names its entry.

use super::*;
use crate::image::testtar::Tar;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

const PLENTY: Limits = Limits { bytes: 1 << 24, entries: 1000 };

/// A folder to unpack into, and beside it things that must not change.
struct Yard {
    _dir: tempfile::TempDir,
    /// Deep inside the temporary folder: should the unpacker ever fail these tests, a few `..` stay in it.
    base: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Yard {
    fn new() -> Yard {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("1/2/3/4/5/6/7/8/9");
        for folder in ["layer", "canary/dir"] {
            std::fs::create_dir_all(base.join(folder)).unwrap();
        }
        std::fs::write(base.join("canary/secret"), "secret").unwrap();
        let before = look(&base.join("canary"));
        Yard { _dir: dir, base, before }
    }
    fn layer(&self) -> PathBuf {
        self.base.join("layer")
    }
    fn path(&self, name: &str) -> PathBuf {
        self.layer().join(name)
    }
    fn unpack(&self, tar: &[u8]) -> Result<Report> {
        self.unpack_within(tar, PLENTY)
    }
    fn unpack_within(&self, tar: &[u8], limits: Limits) -> Result<Report> {
        let done = unpack(tar, &self.layer(), limits);
        assert_eq!(look(&self.base.join("canary")), self.before, "the canary was touched");
        let mut beside: Vec<_> =
            std::fs::read_dir(&self.base).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        beside.sort();
        assert_eq!(beside, ["canary", "layer"], "something landed beside the layer");
        done
    }
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

/// Everything about a tree that an escape could change.
fn look(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut out = BTreeMap::new();
    let mut todo = vec![path.to_owned()];
    while let Some(path) = todo.pop() {
        let m = std::fs::symlink_metadata(&path).unwrap();
        let content = if m.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let text = format!(
            "{:o} {} {} {} {} {} {content:?}",
            m.mode(),
            m.uid(),
            m.gid(),
            if m.is_dir() { 0 } else { m.nlink() },
            m.mtime(),
            m.ctime_nsec()
        );
        if m.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        out.insert(path, text);
    }
    out
}

fn refused(tar: Vec<u8>, wanted: &str) {
    let e = Yard::new().unpack(&tar).expect_err(wanted);
    let chain = e.chain().join(": ");
    assert!(chain.contains(wanted), "{chain} does not say {wanted:?}");
}

#[test]
fn names_that_leave_the_root_are_refused_by_name() {
    for name in ["../canary/secret", "a/../../canary/x", "/../canary/x", "..", "a/.."] {
        refused(Tar::new().dir("a").file(name, "evil").bytes(), &format!("entry {name:?} has '..'"));
    }
    refused(Tar::new().pax(&[("path", b"../x")]).file("good", "evil").bytes(), "entry \"../x\" has '..'");
    refused(Tar::new().long(b"../x").file("good", "evil").bytes(), "entry \"../x\" has '..'");
    refused(Tar::new().pax(&[("path", b"a\0/../../x")]).file("good", "").bytes(), "has a NUL character");
    refused(Tar::new().pax(&[("path", b"")]).file("good", "").bytes(), "has no name");
    refused(Tar::new().file("./", "").bytes().tap(|t| t[156] = b'2'), "is the root of the image and not a folder");
    let deep = "d/".repeat(300);
    refused(Tar::new().long(deep.as_bytes()).dir("x").bytes(), "is more than 256 folders deep");
    refused(Tar::new().long(&[b'n'; 300]).file("x", "").bytes(), "more than 255 bytes");
}

trait Tap: Sized {
    fn tap(self, change: impl FnOnce(&mut Self)) -> Self;
}
impl Tap for Vec<u8> {
    /// Change a byte of the first header and make its check sum right again.
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        let mut header = tar::Header::from_byte_slice(&self[..512]).clone();
        header.set_cksum();
        self[..512].copy_from_slice(header.as_bytes());
        self
    }
}

#[test]
fn absolute_names_are_names_in_the_root() {
    let yard = Yard::new();
    let canary = yard.base.join("canary/secret");
    let name = canary.to_str().unwrap();
    yard.unpack(&Tar::new().long(name.as_bytes()).file("x", "inside").bytes()).unwrap();
    assert_eq!(yard.read(&name[1..]), "inside");
}

#[test]
fn symlinked_parents_lead_inside_or_nowhere() {
    let yard = Yard::new();
    let outside = yard.base.join("canary");
    let tar = Tar::new()
        .dir("in-the-layer-only")
        .symlink("abs", "/in-the-layer-only")
        .symlink("up", "../../../../../in-the-layer-only")
        .file("abs/one", "1")
        .file("up/two", "2")
        .bytes();
    yard.unpack(&tar).unwrap();
    assert_eq!((yard.read("in-the-layer-only/one"), yard.read("in-the-layer-only/two")), ("1".into(), "2".into()));
    for target in ["../canary", outside.to_str().unwrap(), "/proc/self/cwd", "loop"] {
        refused(Tar::new().symlink("loop", target).file("loop/x", "evil").bytes(), "entry \"loop/x\"");
    }
    // A symlink that takes the place of a folder after the folder was made.
    refused(Tar::new().dir("d").symlink("d", "../canary").file("d/secret", "evil").bytes(), "entry \"d/secret\"");
    // Written over, not through.
    let yard = Yard::new();
    yard.unpack(&Tar::new().symlink("f", "../canary/secret").file("f", "mine").bytes()).unwrap();
    assert_eq!(yard.read("f"), "mine");
    assert!(!yard.path("f").is_symlink());
}

#[test]
fn folder_entries_never_describe_what_a_symlink_points_to() {
    let yard = Yard::new();
    yard.unpack(&Tar::new().symlink("d", "../canary/dir").raw(b'5', b"d", b"", 0o777, b"").bytes()).unwrap();
    assert!(yard.path("d").symlink_metadata().unwrap().is_dir());
    // The folder's time is set last, when a symlink stands in its place.
    yard.unpack(&Tar::new().dir("t").symlink("t", "../canary/dir").bytes()).unwrap();
}

#[test]
fn hard_links_stay_in_the_layer() {
    for (target, wanted) in [
        ("../canary/secret", "which has '..'"),
        ("/etc/passwd", "not in this layer"),
        ("link/secret", "not in this layer"),
        ("folder", "which is not a file"),
        ("", "which has no name"),
        ("/", "the root of the image"),
        ("gone", "which is not a file"),
    ] {
        let tar = Tar::new().dir("folder").symlink("link", "../canary").file(".wh.gone", "").hard_link("h", target);
        refused(tar.bytes(), wanted);
    }
    let yard = Yard::new();
    // A link to a symlink is another name of the symlink; writing to that name later replaces it.
    let tar = Tar::new().symlink("s", "../canary/secret").hard_link("h", "s").file("f", "one").hard_link("g", "./f");
    yard.unpack(&tar.clone().bytes()).unwrap();
    assert!(yard.path("h").is_symlink());
    assert_eq!(yard.path("g").metadata().unwrap().ino(), yard.path("f").metadata().unwrap().ino());
    let yard = Yard::new();
    yard.unpack(&tar.file("h", "evil").file("g", "two").bytes()).unwrap();
    assert_eq!((yard.read("h"), yard.read("f"), yard.read("g")), ("evil".into(), "one".into(), "two".into()));
}

#[test]
fn devices_are_left_out_and_fifos_are_made() {
    let yard = Yard::new();
    let tar = Tar::new().raw(b'3', b"dev/null", b"", 0o666, b"").raw(b'4', b"dev/sda", b"", 0o666, b"");
    let report = yard.unpack(&tar.raw(b'6', b"fifo", b"", 0o622, b"").bytes()).unwrap();
    assert_eq!(report.devices_left_out, 2);
    assert!(!yard.path("dev").exists());
    let fifo = yard.path("fifo").metadata().unwrap();
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&fifo.file_type()));
    assert_eq!(fifo.mode() & 0o7777, 0o622);
    refused(Tar::new().raw(b'M', b"multi", b"", 0o644, b"").bytes(), "entry \"multi\" has type 'M'");
}

#[test]
fn whiteouts_are_marks_of_overlayfs() {
    let yard = Yard::new();
    let tar = Tar::new()
        .dir("d")
        .file("d/.wh.gone", "")
        .file("kept", "new")
        .file(".wh.kept", "")
        .file(".wh.back", "")
        .file("back", "again")
        .file(".wh..wh.plnk", "")
        .file("..data", "two dots")
        .file(".wh...data", "")
        .file(".wh.....", "");
    yard.unpack(&tar.bytes()).unwrap();
    let mark = |name: &str| {
        let m = yard.path(name).symlink_metadata().unwrap();
        std::os::unix::fs::FileTypeExt::is_char_device(&m.file_type()) && m.rdev() == 0
    };
    assert!(mark("d/gone"));
    assert!(mark("...."), "names of dots only are names");
    assert_eq!(yard.read("kept"), "new", "a whiteout says nothing about its own layer");
    assert_eq!(yard.read("back"), "again");
    assert_eq!(yard.read("..data"), "two dots");
    for bad in [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..."] {
        refused(Tar::new().file(bad, "").bytes(), &format!("entry {bad:?} is a whiteout of no file"));
    }
    refused(Tar::new().file(".wh.a/b", "").bytes(), "a whiteout holds nothing");
    refused(Tar::new().symlink("out", "../canary").file("out/.wh.secret", "").bytes(), "entry \"out/.wh.secret\"");
}

#[test]
fn a_replaced_folder_is_opaque() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: trusted attributes need root");
        return;
    }
    let yard = Yard::new();
    let tar = Tar::new()
        .dir("opaque")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/new", "")
        .file(".wh.replaced", "")
        .dir("replaced")
        .dir("late")
        .file(".wh.late", "")
        .dir("plain");
    let report = yard.unpack(&tar.bytes()).unwrap();
    let opaque = |name: &str| {
        let mut value = [0; 4];
        rustix::fs::getxattr(yard.path(name), crate::storage::opaque(), &mut value).is_ok_and(|n| value[..n] == *b"y")
    };
    assert!(opaque("opaque") && opaque("replaced") && opaque("late"));
    assert!(!opaque("plain") && !report.opaque_root);
    assert!(Yard::new().unpack(&Tar::new().file(".wh..wh..opq", "").bytes()).unwrap().opaque_root);
}

#[test]
fn attributes_modes_and_times_are_kept_as_far_as_they_are_harmless() {
    let yard = Yard::new();
    let tar = Tar::new()
        .raw(b'5', b"./", b"", 0o711, b"")
        .pax(&[
            ("mtime", b"-5.5"),
            ("SCHILY.xattr.user.note", b"line\nbreak"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.security.selinux", b"x"),
        ])
        .raw(b'0', b"suid", b"", 0o4755, b"data")
        .dir("d")
        .file("d/x", "");
    let report = yard.unpack(&tar.bytes()).unwrap();
    assert_eq!(report.xattrs_left_out, 3);
    assert_eq!((report.size, report.entries), (4, 4));
    let m = yard.path("suid").metadata().unwrap();
    assert_eq!((m.permissions().mode() & 0o7777, m.mtime(), m.mtime_nsec()), (0o4755, -6, 500_000_000));
    let mut value = [0; 32];
    let n = rustix::fs::getxattr(yard.path("suid"), "user.note", &mut value).unwrap();
    assert_eq!(&value[..n], b"line\nbreak");
    for name in ["user.overlay.opaque", "trusted.overlay.redirect", "security.selinux"] {
        assert_eq!(rustix::fs::getxattr(yard.path("suid"), name, &mut value).ok(), None, "{name}");
    }
    assert_eq!(yard.path("d").metadata().unwrap().mtime(), 1_000_000, "not the time of its last entry");
    assert_eq!(yard.layer().metadata().unwrap().permissions().mode() & 0o7777, 0o711);
}

#[test]
fn names_need_not_be_utf8_and_the_last_of_a_name_counts() {
    let yard = Yard::new();
    let tar = Tar::new()
        .raw(b'0', b"caf\xe9", b"", 0o644, b"latin")
        .pax(&[("path", b"long\xff\nname")])
        .file("x", "pax")
        .dir("dup")
        .file("dup/in", "")
        .file("dup", "file now")
        .file("again", "1")
        .dir("again")
        .raw(b'0', b"old-style/", b"", 0o755, b"");
    yard.unpack(&tar.bytes()).unwrap();
    for (name, text) in [(&b"caf\xe9"[..], "latin"), (b"long\xff\nname", "pax"), (b"dup", "file now")] {
        let path = yard.layer().join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }
    assert!(yard.path("again").is_dir() && yard.path("old-style").is_dir());
}

#[test]
fn a_layer_cannot_use_more_than_it_is_given() {
    let few = Limits { bytes: 1 << 20, entries: 10 };
    let many = (0..11).fold(Tar::new(), |tar, i| tar.file(&format!("f{i}"), ""));
    let e = Yard::new().unpack_within(&many.bytes(), few).unwrap_err();
    assert!(e.chain().join(": ").contains("more than 10 entries"), "{:?}", e.chain());
    // One name that makes eleven folders counts as much.
    let e = Yard::new().unpack_within(&Tar::new().file("a/b/c/d/e/f/g/h/i/j/k", "").bytes(), few).unwrap_err();
    assert!(e.chain().join(": ").contains("more than 10 entries"));
    // A compressed stream of zeroes, after the end of the archive.
    let tar = Tar::new().file("a", "").bytes();
    let bomb = tar.as_slice().chain(io::repeat(0)).take(1 << 30);
    let yard = Yard::new();
    let e = unpack(bomb, &yard.layer(), few).unwrap_err();
    assert!(e.chain().join(": ").contains("larger than what is free"), "{:?}", e.chain());
    // A size in the header that nothing follows.
    let mut header = tar::Header::new_ustar();
    header.set_path("huge").unwrap();
    header.set_size(u64::MAX / 2);
    header.set_mode(0o644);
    header.set_cksum();
    let e = Yard::new().unpack(&Tar::new().header(&header, b"").bytes()).unwrap_err();
    assert!(e.message.contains("entry \"huge\" is"), "{e}");
    refused(Tar::new().pax(&[("size", b"9999999")]).file("x", "short").bytes(), "cut off");
    refused(Tar::new().pax(&[("uid", b"4294967295")]).file("x", "").bytes(), "has uid 4294967295");
    // A long name of two gigabytes is not read into memory.
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().linkflag[0] = b'L';
    header.set_size(2 << 30);
    header.set_cksum();
    let e = Yard::new().unpack(&Tar::new().header(&header, b"").bytes()).unwrap_err();
    assert!(e.message.contains("extended header of 2147483648 bytes"), "{e}");
}

/// GNU tar's old sparse format: one extent at `offset` in a file of `real` bytes.
fn sparse(offset: u64, length: u64, real: u64, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("sparse").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_uid(rustix::process::geteuid().as_raw().into());
    header.set_gid(rustix::process::getegid().as_raw().into());
    header.set_mtime(0);
    header.set_size(data.len() as u64);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.sparse[0].set_offset(offset);
    gnu.sparse[0].set_length(length);
    gnu.set_real_size(real);
    header.set_cksum();
    Tar::new().header(&header, data).bytes()
}

#[test]
fn sparse_files_have_holes_and_limits() {
    let yard = Yard::new();
    yard.unpack(&sparse(1 << 20, 4, (1 << 20) + 8, b"data")).unwrap();
    let m = yard.path("sparse").metadata().unwrap();
    assert_eq!(m.len(), (1 << 20) + 8);
    assert!(m.blocks() < 64, "{} blocks", m.blocks());
    assert_eq!(&std::fs::read(yard.path("sparse")).unwrap()[1 << 20..], b"data\0\0\0\0");
    refused(sparse(0, 4, 1 << 60, b"data"), "entry \"sparse\" is 1152921504606846976 bytes long");
    refused(sparse(8, 4, 10, b"data"), "makes no sense");
    refused(sparse(0, 5, 10, b"data"), "does not fit its data");
    refused(sparse(u64::MAX - 1, 4, u64::MAX, b"data"), "makes no sense");
    // PAX 1.0: the map is at the beginning of the data.
    let mut data = b"1\n65536\n4\n".to_vec();
    data.resize(512, 0);
    data.extend(b"data");
    let records: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"real-name"),
        ("GNU.sparse.realsize", b"65540"),
    ];
    yard.unpack(&Tar::new().pax(records).raw(b'0', b"GNUSparseFile.0/x", b"", 0o644, &data).bytes()).unwrap();
    assert_eq!(&std::fs::read(yard.path("real-name")).unwrap()[65536..], b"data");
    let old: &[(&str, &[u8])] = &[("GNU.sparse.map", b"0,4"), ("GNU.sparse.size", b"4")];
    refused(Tar::new().pax(old).file("x", "data").bytes(), "PAX 0.x");
    let map: &[(&str, &[u8])] = &[("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"4")];
    refused(Tar::new().pax(map).file("x", "999999999\n").bytes(), "sparse map");
}

#[test]
fn damaged_archives_name_the_last_entry() {
    refused(b"this is no archive at all".repeat(100), "this is not a tar archive");
    refused(Tar::new().file("a", "data").cut(515), "cut off");
    refused(Tar::new().file("a", "data").cut(700), "cut off");
    refused(Tar::new().file("ok", "").pax(&[("path", b"x")]).bytes(), "between an extended header and its entry");
    refused(Tar::new().raw(b'x', b"p", b"", 0, b"3 x").file("a", "").bytes(), "PAX record");
    let mut broken = Tar::new().file("a", "data").file("b", "").bytes();
    broken[1024] ^= 1;
    refused(broken, "entry \"a\": a tar header whose check sum is wrong");
    // Archives without an end are common, and what stands behind the end is not looked at.
    Yard::new().unpack(&Tar::new().file("a", "data").cut(1024)).unwrap();
    Yard::new().unpack(&[Tar::new().file("a", "data").bytes(), b"garbage".to_vec()].concat()).unwrap();
    Yard::new().unpack(&Tar::new().bytes()).unwrap();
}

/// One random entry: type, name, link target. `@` stands for the folder outside, absolute.
fn any_entry() -> impl Strategy<Value = (u8, Vec<u8>, Vec<u8>)> {
    let component = prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "canary", "secret", "dir", "layer"]).prop_map(String::from),
        2 => prop::sample::select(vec!["..", ".", "", ".wh.a", ".wh.secret", ".wh..wh..opq", ".wh..", ".wh."])
            .prop_map(String::from),
        1 => "[\\x01-\\x7f]{1,4}",
    ];
    let path = prop::collection::vec(component, 1..5).prop_map(|parts| parts.join("/").into_bytes());
    let outside = prop::sample::select(vec!["@", "@/dir", "@/secret", "../canary", "../canary/secret"]);
    let outside = outside.prop_map(|text| text.as_bytes().to_vec()).boxed();
    // Most attacks are of two steps: a symlink, then something under or through it.
    let trap = (Just(b'2'), prop::sample::select(vec!["a", "b", "a/b"]), outside.clone());
    let step =
        (prop::sample::select(b"00512x".to_vec()), "[ab](/(a|b|x|secret|dir|\\.wh\\.secret)){0,2}", outside.clone());
    let wild = (
        prop::sample::select(b"0012256134xLS5".to_vec()),
        prop_oneof![4 => path.clone(), 1 => outside.clone()],
        prop_oneof![path, outside],
    );
    prop_oneof![
        trap.prop_map(|(flag, name, link)| (flag, name.as_bytes().to_vec(), link)),
        step.prop_map(|(flag, name, link)| (flag, name.into_bytes(), link)),
        wild,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_entries_never_escape(entries in prop::collection::vec(any_entry(), 1..12)) {
        let yard = Yard::new();
        let outside = yard.base.join("canary").into_os_string().into_vec();
        let absolute = |path: &[u8]| match path.strip_prefix(b"@") {
            Some(rest) => [outside.as_slice(), rest].concat(),
            None => path.to_vec(),
        };
        let mut tar = Tar::new();
        for (flag, name, link) in &entries {
            let (name, link) = (absolute(name), absolute(link));
            tar = match flag {
                b'x' => tar.pax(&[("path", &name), ("linkpath", &link)]),
                b'L' => tar.long(&name),
                b'0' => tar.raw(b'0', &name, b"", 0o6777, b"evil"),
                flag => tar.raw(*flag, &name, &link, 0o6777, b""),
            };
        }
        // Refused or not: the canary is compared inside.
        let _ = yard.unpack(&tar.bytes());
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 512..2048), at in 0usize..512) {
        let yard = Yard::new();
        let _ = yard.unpack(&bytes);
        // With a right check sum the rest of the header is looked at.
        let valid = Tar::new().file("a", "data").bytes();
        bytes[..512].copy_from_slice(&valid[..512]);
        bytes[at] = bytes[at].wrapping_add(129);
        let bytes = bytes.tap(|_| {});
        let _ = yard.unpack(&bytes);
    }
}

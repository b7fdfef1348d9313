//! `--tmpfs PATH[:OPTIONS]`

use super::mount::{MountRequest, TmpfsRequest, destination};

/// Parse one `--tmpfs`. Options are mount(8)'s, in any order; the last of a kind wins.
pub fn parse_tmpfs(text: &str) -> Result<MountRequest, String> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    let mut tmpfs =
        TmpfsRequest { destination: destination(path)?, typed: format!("--tmpfs {text}"), ..TmpfsRequest::default() };
    for option in options.split(',').filter(|o| !o.is_empty()) {
        apply(&mut tmpfs, option)?;
    }
    Ok(MountRequest::Tmpfs(tmpfs))
}

fn apply(tmpfs: &mut TmpfsRequest, option: &str) -> Result<(), String> {
    let invalid = || format!("invalid tmpfs option [\"{option}\"]");
    match option.split_once('=') {
        None => match option {
            "ro" => tmpfs.readonly = Some(true),
            "rw" => tmpfs.readonly = Some(false),
            "exec" => tmpfs.exec = Some(true),
            "noexec" => tmpfs.exec = Some(false),
            "suid" => tmpfs.suid = Some(true),
            "nosuid" => tmpfs.suid = Some(false),
            "dev" => tmpfs.dev = Some(true),
            "nodev" => tmpfs.dev = Some(false),
            // What a tmpfs does anyway, or what has no bearing on one.
            "defaults" | "private" | "rprivate" | "async" | "sync" | "dirsync" | "atime" | "noatime" | "diratime"
            | "nodiratime" | "relatime" | "norelatime" | "strictatime" | "nostrictatime" | "mand" | "nomand"
            | "notmpcopyup" => {}
            _ => return Err(invalid()),
        },
        Some(("size", size)) => tmpfs.size = Some(kernel_size(size).ok_or_else(invalid)?),
        Some(("mode", mode)) => tmpfs.mode = Some(parse_mode(mode).ok_or_else(invalid)?),
        Some(("uid", id)) => tmpfs.uid = Some(id.parse().map_err(|_| invalid())?),
        Some(("gid", id)) => tmpfs.gid = Some(id.parse().map_err(|_| invalid())?),
        Some((key @ ("nr_inodes" | "nr_blocks" | "mpol" | "huge"), _)) => {
            return Err(format!("tmpfs option {key:?} is not carried out: give size= instead"));
        }
        Some(_) => return Err(invalid()),
    }
    Ok(())
}

/// Permission bits in octal, at most 07777.
pub(super) fn parse_mode(text: &str) -> Option<u32> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o7777)
}

/// A size as the kernel's memparse reads it: digits and one of `kmgtpe` in either case. A share of the memory (`50%`) is
/// not one: which memory would it be, the host's or the container's?
fn kernel_size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        "e" => 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<TmpfsRequest, String> {
        match parse_tmpfs(text)? {
            MountRequest::Tmpfs(t) => Ok(t),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options() {
        let t = parse("/run/x/:rw,exec,suid,nodev,size=64m,mode=1770,uid=5,gid=6").unwrap();
        assert_eq!(t.destination, "/run/x");
        assert_eq!((t.readonly, t.exec, t.suid, t.dev), (Some(false), Some(true), Some(true), Some(false)));
        assert_eq!((t.size, t.mode, t.uid, t.gid), (Some(64 << 20), Some(0o1770), Some(5), Some(6)));
        let t = parse("/x").unwrap();
        assert_eq!((t.readonly, t.exec, t.size, t.typed.as_str()), (None, None, None, "--tmpfs /x"));
        assert_eq!(parse("/x:").unwrap().size, None);
        assert_eq!(parse("/x:noexec,exec").unwrap().exec, Some(true));
    }

    #[test]
    fn slips() {
        assert_eq!(parse("a"), Err("invalid mount path: 'a' mount path must be absolute".into()));
        assert_eq!(parse(""), Err("invalid mount path: '' mount path must be absolute".into()));
        assert_eq!(parse("/a:foo"), Err("invalid tmpfs option [\"foo\"]".into()));
        for bad in ["size=x", "size=50%", "size=", "size=-1", "mode=9", "mode=", "uid=x", "gid=-1", "shared", "b:c"] {
            assert!(parse(&format!("/a:{bad}")).unwrap_err().contains("invalid tmpfs option"), "{bad}");
        }
        assert!(parse("/a:nr_inodes=5").unwrap_err().contains("not carried out"));
    }

    proptest! {
        #[test]
        fn sizes_round_trip(n in 0_u64..1 << 40) {
            prop_assert_eq!(parse(&format!("/a:size={n}")).unwrap().size, Some(n));
            prop_assert_eq!(parse(&format!("/a:size={n}k")).unwrap().size, Some(n << 10));
        }
        #[test]
        fn no_text_panics(text in "/?[a-z:,=%0-9]{0,24}") {
            let _ = parse(&text);
        }
    }
}

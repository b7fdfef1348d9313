//! Names of one file or folder that mounts make: Landlock's rules hang on inodes, so what is denied by one name has to be
//! denied by each.

use super::KERNELS;
use crate::error::{Context, Result};
use std::path::{Path, PathBuf};

/// Two paths that show the same, and so does everything beneath. Without a `/` at their ends; the root is empty.
pub type Twins = (String, String);

/// What is mounted where, as the process sees it.
#[derive(Debug, Default)]
pub struct Mounts {
    list: Vec<Mount>,
}

#[derive(Debug)]
struct Mount {
    /// `major:minor` of the filesystem.
    device: String,
    /// The folder of the filesystem that is mounted.
    root: String,
    point: String,
}

impl Mounts {
    /// # Errors
    /// Without /proc nobody knows which paths are the same.
    pub fn read() -> Result<Mounts> {
        let text = std::fs::read("/proc/thread-self/mountinfo")
            .context(|| "look for what is mounted twice in /proc/thread-self/mountinfo".into())?;
        Ok(Mounts::parse(&String::from_utf8_lossy(&text)))
    }

    pub(super) fn parse(text: &str) -> Mounts {
        let one = |line: &str| {
            let mut words = line.split(' ').skip(2);
            let (device, root, point) = (words.next()?, words.next()?, words.next()?);
            let plain = |path: &str| unescaped(path).trim_end_matches('/').to_owned();
            Some(Mount { device: device.to_owned(), root: plain(root), point: plain(point) })
        };
        Mounts { list: text.lines().filter_map(one).collect() }
    }

    /// Everything that has two paths. What hides or shuts files of the kernel is mounted over them and is not they.
    pub fn twins(&self) -> Vec<Twins> {
        let mut twins = Vec::new();
        for (at, a) in self.list.iter().enumerate() {
            for b in self.list[at + 1..].iter().filter(|b| b.device == a.device) {
                let (one, other) = match (beneath(&b.root, &a.root), beneath(&a.root, &b.root)) {
                    (Some(rest), _) => (format!("{}{rest}", a.point), b.point.clone()),
                    (_, Some(rest)) => (a.point.clone(), format!("{}{rest}", b.point)),
                    _ => continue,
                };
                let of_kernel = |path: &str| KERNELS.iter().any(|k| Path::new(path).starts_with(k));
                if one != other
                    && !of_kernel(&one)
                    && !of_kernel(&other)
                    && !twins.contains(&(one.clone(), other.clone()))
                {
                    twins.push((one, other));
                }
            }
        }
        twins
    }

    pub fn points(&self) -> impl Iterator<Item = PathBuf> {
        self.list.iter().map(|m| PathBuf::from(if m.point.is_empty() { "/" } else { &m.point }))
    }
}

/// What comes behind `folder` in `path`, with its `/`.
fn beneath<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Blanks, tabs, line breaks and backslashes are written as three octal digits.
fn unescaped(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut text = parts.next().unwrap_or("").to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                text.push(char::from(byte));
                text.push_str(&part[3..]);
            }
            None => text.push_str(part),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_mounts_show_has_two_names() {
        let mounts = Mounts::parse(
            "20 1 0:30 / / rw - overlay o rw\n21 20 8:1 /vol/d /data rw - ext4 x rw\n22 20 8:1 /vol/d /a\\040b rw - ext4 x rw\n\
             23 20 8:1 /vol/d/sub /sub rw - ext4 x rw\n24 20 8:1 /vol/dd /other rw - ext4 x rw\n25 20 0:5 / /proc rw - proc p rw\n\
             26 25 0:5 /bus /proc/bus ro - proc p rw\n27 20 0:6 / /dev rw - tmpfs t rw\n28 25 0:6 /null /proc/kcore rw - tmpfs t rw\n",
        );
        let twins: Vec<String> = mounts.twins().into_iter().map(|(a, b)| format!("{a}={b}")).collect();
        assert_eq!(twins, ["/data=/a b", "/data/sub=/sub", "/a b/sub=/sub"]);
        assert_eq!(mounts.points().next().unwrap(), Path::new("/"));
    }
}

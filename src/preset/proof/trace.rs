//! What strace wrote: which calls the processes inside containers made, and with what.
//!
//! A process is inside from the moment on that hardrun has put the filter on it, and so are its children. Children are
//! told by the return of the parent's clone, which may be written after the child's first lines: what an unknown process
//! does is kept until it is known where it belongs.

use std::collections::{BTreeSet, HashMap};

/// What the processes of containers used.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Used {
    /// Calls that the kernel carried out, or would have for a program that had asked better.
    pub calls: BTreeSet<String>,
    /// Kinds of sockets that were made, as a preset writes them: `unix`, `inet tcp`.
    pub sockets: BTreeSet<String>,
    /// Paths that were opened for writing, made or removed.
    pub written: BTreeSet<String>,
    /// Paths that were opened for reading.
    pub read: BTreeSet<String>,
    /// Programs that were started.
    pub executed: BTreeSet<String>,
    /// Ports that were bound; 0 stands for any that is free.
    pub listened: BTreeSet<u16>,
    /// Ports that were connected to, whether or not anybody answered.
    pub connected: BTreeSet<u16>,
}

impl Used {
    fn add(&mut self, other: Used) {
        self.calls.extend(other.calls);
        self.sockets.extend(other.sockets);
        self.written.extend(other.written);
        self.read.extend(other.read);
        self.executed.extend(other.executed);
        self.listened.extend(other.listened);
        self.connected.extend(other.connected);
    }
}

#[derive(Debug, Default)]
struct Process {
    /// `None`: its parent's line has not been seen.
    inside: Option<bool>,
    /// What it did while that is unknown.
    pending: Used,
    /// The filter was put on it while it was unknown.
    entered: bool,
    /// A client or a tool of the proof: it and its children do not count, whatever container they are in.
    aside: bool,
    /// Working folder, where one was entered by an absolute path.
    cwd: Option<String>,
    /// The beginning of a call whose end comes in a later line.
    unfinished: Option<String>,
}

/// What a proof calls hardrun by for clients that are not what is proved.
const ASIDE: &str = "/aside";

/// Lines of `strace -f --decode-pids=pidns` go in, what was used comes out.
#[derive(Debug, Default)]
pub struct Trace {
    processes: HashMap<u32, Process>,
    pub used: Used,
    first: Option<u32>,
}

impl Trace {
    /// Take one line.
    pub fn line(&mut self, line: &str) {
        let Some((pid, rest)) = line.split_once(' ') else { return };
        let Ok(pid) = pid.parse::<u32>() else { return };
        let rest = rest.trim_start();
        // What everything is started from is outside.
        let first = *self.first.get_or_insert(pid);
        let process = self.processes.entry(pid).or_default();
        if pid == first {
            process.inside = process.inside.or(Some(false));
        }
        if rest.starts_with("+++") {
            self.processes
                .remove(&pid)
                .filter(|p| p.inside == Some(true))
                .into_iter()
                .for_each(|p| self.used.add(p.pending));
            return;
        }
        if rest.starts_with("---") {
            return;
        }
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            // A call that never comes back (execve in another thread, exit) counts as well.
            if let Some((name, _)) = begun.split_once('(') {
                let name = name.to_owned();
                self.note(pid, |used| {
                    used.calls.insert(name);
                });
            }
            self.processes.entry(pid).or_default().unfinished = Some(begun.to_owned());
            return;
        }
        let whole = match rest.strip_prefix("<... ").and_then(|r| r.split_once(" resumed>")) {
            Some((_, tail)) => match process.unfinished.take() {
                Some(begun) => format!("{begun}{tail}"),
                None => return,
            },
            None => rest.to_owned(),
        };
        self.call(pid, &whole);
    }

    /// What is still unknown when all has ended began before anything was seen of its parent: it is outside.
    pub fn finish(self) -> Used {
        self.used
    }

    fn note(&mut self, pid: u32, add: impl FnOnce(&mut Used)) {
        match self.processes.get_mut(&pid) {
            Some(Process { inside: Some(true), .. }) => add(&mut self.used),
            Some(Process { inside: Some(false), .. }) => {}
            Some(process) => add(&mut process.pending),
            None => {}
        }
    }

    fn call(&mut self, pid: u32, text: &str) {
        let Some((name, rest)) = text.split_once('(') else { return };
        let (args, result) = rest.rsplit_once(" = ").unwrap_or((rest, "?"));
        let args = args.trim_end();
        let args = args.strip_suffix(')').unwrap_or(args);
        let failed = result.starts_with("-1") || result.starts_with('?');
        if name == "execve" && !failed && args.split('"').nth(1).is_some_and(|path| path.ends_with(ASIDE)) {
            let process = self.processes.entry(pid).or_default();
            *process = Process { inside: Some(false), aside: true, ..Process::default() };
            return;
        }
        if name == "seccomp" && args.starts_with("SECCOMP_SET_MODE_FILTER") && !failed {
            self.enter(pid);
            return;
        }
        // What the filter itself answered was not granted.
        if failed && result.contains("ENOSYS") {
            return;
        }
        // `???`: the process was killed before strace could look.
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return;
        }
        let owned = name.to_owned();
        self.note(pid, |used| {
            used.calls.insert(owned);
        });
        if ["clone", "clone3", "fork", "vfork"].contains(&name) && !failed {
            self.child(pid, result);
            return;
        }
        // A port that is not listed is refused, one that nobody listens on not: the preset is asked before.
        if name == "connect" && !result.contains("EACCES") && args.contains("htons(") {
            if let Some(port) = port(args) {
                self.note(pid, |used| {
                    used.connected.insert(port);
                });
            }
            return;
        }
        if failed {
            return;
        }
        match name {
            "socket" => {
                if let Some(kind) = kind(args) {
                    self.note(pid, |used| {
                        used.sockets.insert(kind);
                    });
                }
            }
            "socketpair" => self.note(pid, |used| {
                used.sockets.insert("unix".into());
            }),
            "bind" => self.bind(pid, args),
            "chdir" => {
                if let Some(path) = self.path(pid, args)
                    && let Some(process) = self.processes.get_mut(&pid)
                {
                    process.cwd = Some(path);
                }
            }
            _ => self.file(pid, name, args),
        }
    }

    /// hardrun has put its filter on the process: from here on it is the container's, unless it is a client's.
    fn enter(&mut self, pid: u32) {
        let process = self.processes.entry(pid).or_default();
        match process.inside {
            Some(true) => {}
            Some(false) => process.inside = Some(!process.aside),
            None if process.entered => {}
            None => {
                process.entered = true;
                process.pending = Used::default();
            }
        }
    }

    /// `7 /* 12345 in strace's PID NS */`, or the number alone where both are the same.
    fn child(&mut self, parent: u32, result: &str) {
        let outer = result.split("/* ").nth(1).and_then(|tail| tail.split(' ').next());
        let number = outer.or_else(|| result.split_whitespace().next());
        let Some(child) = number.and_then(|n| n.parse::<u32>().ok()) else { return };
        let (inside, aside, cwd) = match self.processes.get(&parent) {
            Some(parent) => (parent.inside, parent.aside, parent.cwd.clone()),
            None => return,
        };
        let process = self.processes.entry(child).or_default();
        process.cwd = process.cwd.take().or(cwd);
        process.aside |= aside;
        if process.inside.is_none() && inside.is_some() {
            let inside = inside == Some(true) || process.entered && !aside;
            process.inside = Some(inside);
            let pending = std::mem::take(&mut process.pending);
            if inside {
                self.used.add(pending);
            }
        }
    }

    fn bind(&mut self, pid: u32, args: &str) {
        if let Some(port) = port(args) {
            self.note(pid, |used| {
                used.listened.insert(port);
            });
        }
        if args.contains("sun_path=\"")
            && let Some(path) = self.path(pid, args.split("sun_path=").nth(1).unwrap_or_default())
        {
            self.note(pid, |used| {
                used.written.insert(path);
            });
        }
    }

    fn file(&mut self, pid: u32, name: &str, args: &str) {
        let writes = match name {
            "open" | "openat" | "openat2" => ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| args.contains(flag)),
            "execve" => false,
            "creat" | "mkdir" | "mkdirat" | "rmdir" | "unlink" | "unlinkat" | "rename" | "renameat" | "renameat2"
            | "symlink" | "symlinkat" | "link" | "linkat" | "chmod" | "fchmodat" | "chown" | "fchownat"
            | "truncate" | "mknod" | "mknodat" | "utimensat" => true,
            _ => return,
        };
        let Some(path) = self.path(pid, args) else { return };
        self.note(pid, |used| {
            match name {
                "execve" => used.executed.insert(path),
                _ if writes => used.written.insert(path),
                _ => used.read.insert(path),
            };
        });
    }

    /// The first string among the arguments, made absolute where that is known.
    fn path(&self, pid: u32, args: &str) -> Option<String> {
        let text = args.split_once('"')?.1.split('"').next()?;
        if text.starts_with('/') {
            return Some(text.to_owned());
        }
        // Relative to a descriptor: not known.
        if !args.starts_with('"') && !args.starts_with("AT_FDCWD") {
            return None;
        }
        let cwd = self.processes.get(&pid)?.cwd.as_deref()?;
        Some(format!("{}/{text}", cwd.trim_end_matches('/')))
    }
}

/// `inet tcp` of `AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP`.
fn kind(args: &str) -> Option<String> {
    let mut words = args.split(',').map(str::trim);
    let (family, kind, protocol) = (words.next()?, words.next()?, words.next().unwrap_or_default());
    let family = match family {
        "AF_UNIX" | "AF_LOCAL" => return Some("unix".into()),
        "AF_NETLINK" => return Some("netlink".into()),
        "AF_INET" => "inet",
        "AF_INET6" => "inet6",
        _ => return None,
    };
    let kind = match kind.split('|').next()? {
        "SOCK_STREAM" => "tcp",
        "SOCK_DGRAM" if protocol.contains("ICMP") => "icmp",
        "SOCK_DGRAM" => "udp",
        _ => "raw",
    };
    Some(format!("{family} {kind}"))
}

fn port(args: &str) -> Option<u16> {
    let digits = args.split("htons(").nth(1)?.split(')').next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(lines: &[&str]) -> Used {
        let mut trace = Trace::default();
        lines.iter().for_each(|line| trace.line(line));
        trace.finish()
    }

    fn calls(used: &Used) -> Vec<&str> {
        used.calls.iter().map(String::as_str).collect()
    }

    #[test]
    fn only_what_stands_behind_the_filter_counts() {
        let used = used(&[
            "10 mount(\"a\", \"b\", 0, 0, 0) = 0",
            "10 clone(child_stack=NULL, flags=SIGCHLD) = 11",
            "11 pivot_root(\".\", \".\") = 0",
            "11 seccomp(SECCOMP_SET_MODE_FILTER, 0, {len=3, filter=0x1}) = 0",
            "11 execve(\"/bin/sh\", [\"sh\"], 0x1 /* 1 var */) = 0",
            "10 setns(3, 0) = 0",
        ]);
        assert_eq!(calls(&used), ["execve"]);
        assert_eq!(used.executed, ["/bin/sh".to_owned()].into());
    }

    #[test]
    fn a_child_whose_lines_come_before_its_parents_is_followed_into_its_own_numbers() {
        let used = used(&[
            "10 seccomp(SECCOMP_SET_MODE_FILTER, 0, 0x1) = 0",
            "10 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>",
            "12 socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) = 3",
            "12 bind(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0)}, 28) = 0",
            "10 <... clone resumed>) = 2 /* 12 in strace's PID NS */",
            "12 unlink(\"/run/x.pid\") = 0",
            "12 +++ exited with 0 +++",
        ]);
        assert_eq!(calls(&used), ["bind", "clone", "socket", "unlink"]);
        assert_eq!((used.listened, used.sockets), ([80].into(), ["inet6 tcp".to_owned()].into()));
        assert_eq!(used.written, ["/run/x.pid".to_owned()].into());
    }

    #[test]
    fn a_client_aside_does_not_count_though_it_is_in_a_container() {
        let used = used(&[
            "10 clone(child_stack=NULL, flags=SIGCHLD) = 11",
            "11 execve(\"/tmp/proof/aside\", [\"\"], 0x1 /* 1 var */) = 0",
            "11 clone(child_stack=NULL, flags=SIGCHLD) = 12",
            "12 seccomp(SECCOMP_SET_MODE_FILTER, 0, 0x1) = 0",
            "12 ptrace(PTRACE_TRACEME) = 0",
        ]);
        assert!(used.calls.is_empty(), "{used:?}");
    }

    #[test]
    fn a_client_is_one_even_where_its_parents_line_comes_last() {
        let used = used(&[
            "10 execve(\"/tmp/proof/aside\", [\"\"], 0x1 /* 1 var */) = 0",
            "10 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>",
            "12 seccomp(SECCOMP_SET_MODE_FILTER, 0, 0x1)      = 0",
            "12 bind(3, {sa_family=AF_INET, sin_port=htons(8002), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0",
            "10 <... clone resumed>)             = 12",
            "12 socket(AF_INET, SOCK_STREAM, 0) = 3",
        ]);
        assert_eq!(used, Used::default());
    }

    #[test]
    fn relative_paths_are_below_the_folder_that_was_entered() {
        let used = used(&[
            "10 seccomp(SECCOMP_SET_MODE_FILTER, 0, 0x1) = 0",
            "10 chdir(\"/data\") = 0",
            "10 openat(AT_FDCWD, \"base/1\", O_RDWR|O_CREAT, 0600) = 4",
            "10 openat(7, \"elsewhere\", O_RDWR) = 4",
            "10 openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 4",
        ]);
        assert_eq!(used.written, ["/data/base/1".to_owned()].into());
        assert_eq!(used.read, ["/etc/passwd".to_owned()].into());
    }

    #[test]
    fn what_was_refused_was_not_used() {
        let used = used(&[
            "10 seccomp(SECCOMP_SET_MODE_FILTER, 0, 0x1) = 0",
            "10 clone3({flags=0}, 88) = -1 ENOSYS (Function not implemented)",
            "10 socket(AF_INET, SOCK_STREAM, 0) = -1 EAFNOSUPPORT (Address family not supported by protocol)",
            "10 unlink(\"/etc/x\")             = -1 EROFS (Read-only file system)",
        ]);
        assert!(used.sockets.is_empty() && used.written.is_empty() && !used.calls.contains("clone3"));
    }
}

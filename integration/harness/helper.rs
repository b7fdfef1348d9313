//! Children that the harness starts from its own binary, so that no code has to run between fork and exec.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Instant;

pub fn main(args: &[String]) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["tty", terminal, command @ ..] if !command.is_empty() => on_terminal(terminal, command),
        ["time", command @ ..] if !command.is_empty() => time(command),
        ["time-v1", command @ ..] if !command.is_empty() => hide_unified().and_then(|()| time(command)),
        ["with-fd", fd, path, command @ ..] if !command.is_empty() => with_descriptor(fd, path, command),
        ["hold-network"] => hold_network(),
        ["in-network", pid, command @ ..] if !command.is_empty() => in_network(pid, command),
        _ => Err("usage: helper tty|time|with-fd|hold-network|in-network …".into()),
    };
    match done {
        Ok(code) => code,
        Err(e) => {
            eprintln!("helper: {e}");
            ExitCode::from(99)
        }
    }
}

type Done = Result<ExitCode, Box<dyn std::error::Error>>;

/// Become a session leader on a terminal, then be the command.
fn on_terminal(terminal: &str, command: &[&str]) -> Done {
    rustix::process::setsid()?;
    let tty = std::fs::File::options().read(true).write(true).open(terminal)?;
    rustix::process::ioctl_tiocsctty(&tty)?;
    rustix::stdio::dup2_stdin(&tty)?;
    rustix::stdio::dup2_stdout(&tty)?;
    rustix::stdio::dup2_stderr(&tty)?;
    Err(Command::new(command[0]).args(&command[1..]).exec().into())
}

/// Run a command without output and print `microseconds KiB status`: the wall time from start to end and the largest
/// resident set that it or a process it waited for had. A fresh process per measurement, for the figure is the largest
/// over all children and starts from the size of the process that forked.
fn time(command: &[&str]) -> Done {
    let mut c = Command::new(command[0]);
    c.args(&command[1..]).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let since = Instant::now();
    let status = c.spawn()?.wait()?;
    let took = since.elapsed();
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN)?;
    println!("{} {} {}", took.as_micros(), usage.max_rss(), status.code().unwrap_or(-1));
    Ok(ExitCode::SUCCESS)
}

/// In a mount namespace of our own, take the unified hierarchy away where v1 ones are beside it.
fn hide_unified() -> Result<(), Box<dyn std::error::Error>> {
    use nix::mount::{MsFlags, mount, umount};
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    let unified = "/sys/fs/cgroup/unified";
    if std::path::Path::new(unified).exists() {
        umount(unified)?;
    }
    Ok(())
}

/// Open a file under a given descriptor number, inheritable, then be the command.
fn with_descriptor(fd: &str, path: &str, command: &[&str]) -> Done {
    let number: i32 = fd.parse()?;
    let flags = nix::fcntl::OFlag::O_RDONLY;
    let opened = nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty())?;
    nix::unistd::dup2(opened, number)?;
    // dup2 of a number onto itself would keep close-on-exec; `open` without O_CLOEXEC has none.
    if opened != number {
        nix::unistd::close(opened)?;
    }
    Err(Command::new(command[0]).args(&command[1..]).exec().into())
}

/// Keep a network namespace with a loopback alive until stdin ends.
fn hold_network() -> Done {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    let ip = |words: &[&str]| match Command::new("ip").args(words).status()?.success() {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("ip {} failed", words.join(" ")))),
    };
    // The resolvers of the host, and docker's own for want of them, are here and closed: names that nobody knows are
    // answered at once.
    let resolvers = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let listed = resolvers.lines().filter_map(|l| l.strip_prefix("nameserver ")).map(str::trim);
    for address in listed.filter(|a| a.contains('.') && !a.starts_with("127.")).chain(["8.8.8.8", "8.8.4.4"]) {
        ip(&["addr", "add", &format!("{address}/32"), "dev", "lo"])?;
    }
    ip(&["link", "set", "lo", "up"])?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(ExitCode::SUCCESS)
}

/// Enter a process's network namespace, then be the command.
fn in_network(pid: &str, command: &[&str]) -> Done {
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net"))?;
    nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
    Err(Command::new(command[0]).args(&command[1..]).exec().into())
}

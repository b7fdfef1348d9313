//! pasta: the way from the network of the user's containers to the host's, and from there to the world.

use super::wait;
use crate::error::{Context, Error, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// It writes its number here when it is ready.
const READY: &str = "pasta";

/// A pasta that runs, ended with this value, and with the process that started it.
#[derive(Debug)]
pub struct Pasta(Child);

impl Pasta {
    /// Join the network that process `inside` is in. Returns when packets can flow.
    ///
    /// # Errors
    /// It is not installed, or says what it lacks.
    pub fn start(run: &Path, inside: i32) -> Result<Pasta> {
        let attempt = || "join the containers' network to the host's with pasta".to_string();
        let program = crate::net::find_program("pasta")
            .ok_or_else(|| Error::runner("pasta is not installed").hint("apt install passt"))?;
        let fifo = run.join(READY);
        let _ = std::fs::remove_file(&fifo);
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).context(attempt)?;
        let ready = open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).context(attempt)?;
        let mut command = Command::new(program);
        // Nothing of the host's is led in, and the host's own services are not what the gateway's address means: a container has
        // no business with them.
        command.args(["--foreground", "--config-net", "--no-map-gw", "--quiet"]);
        command.args(["-t", "none", "-u", "none", "-T", "none", "-U", "none", "--netns-only", "--netns"]);
        command.arg(format!("/proc/{inside}/ns/net")).arg("--pid").arg(&fifo);
        command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        crate::sys::spawn::die_with_caller(&mut command);
        let mut pasta = Pasta(command.spawn().context(attempt)?);
        let result = pasta.await_ready(&ready, wait::PASTA);
        let _ = std::fs::remove_file(&fifo);
        result.map_err(|why| Error::runner(attempt()).because(why))?;
        Ok(pasta)
    }

    fn await_ready(&mut self, ready: &impl AsFd, limit: Duration) -> std::result::Result<(), String> {
        let pid = rustix::process::Pid::from_child(&self.0);
        let pidfd =
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).map_err(|e| e.to_string())?;
        let until = Instant::now() + limit;
        loop {
            let mut fds = [PollFd::new(ready, PollFlags::IN), PollFd::new(&pidfd, PollFlags::IN)];
            match poll(&mut fds, Some(&wait::left(until))) {
                // Ended by whoever drops it.
                Ok(0) => return Err(format!("it has not said within {} s that it is ready", limit.as_secs())),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.to_string()),
            }
            if fds[0].revents().contains(PollFlags::IN) {
                return Ok(());
            }
            if !fds[1].revents().is_empty() {
                let mut said = String::new();
                if let Some(stderr) = self.0.stderr.as_mut() {
                    // It has ended: everything that it said is there.
                    let _ = stderr.take(4096).read_to_string(&mut said);
                }
                let lines: Vec<&str> = said.lines().filter(|l| !l.contains("syslog")).collect();
                return Err(if lines.is_empty() { "it ended without a word".into() } else { lines.join("; ") });
            }
        }
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Pasta {
    fn drop(&mut self) {
        // One that has ended needs neither.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_hangs_or_ends_is_not_waited_for() {
        let start = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stderr(Stdio::piped());
            Pasta(command.spawn().unwrap())
        };
        let (ready, _silent) = std::io::pipe().unwrap();
        let (mut hangs, mut fails) = (start("exec sleep 100"), start("echo no device >&2; exit 1"));
        let error = hangs.await_ready(&ready, Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("has not said within"), "{error}");
        let pid = rustix::process::Pid::from_child(&hangs.0);
        drop(hangs);
        assert!(rustix::process::test_kill_process(pid).is_err());
        assert_eq!(fails.await_ready(&ready, Duration::from_secs(60)), Err("no device".to_owned()));
    }
}

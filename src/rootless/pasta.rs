//! pasta: the way from the network of the user's containers to the host's, and from there to the world.

use super::wait;
use crate::error::{Context, Error, Result};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A pasta that runs, ended with this value, and with the process that started it.
#[derive(Debug)]
pub struct Pasta(Child);

impl Pasta {
    /// Join a network namespace to the one that the caller is in. Returns when packets can flow.
    ///
    /// # Errors
    /// It is not installed, or says what it lacks.
    pub fn start(network: &OwnedFd) -> Result<Pasta> {
        let attempt = || "join the containers' network to the host's with pasta".to_string();
        let program = crate::net::find_program("pasta")
            .ok_or_else(|| Error::runner("pasta is not installed").hint("apt install passt"))?;
        let mut command = Command::new(program);
        // Nothing of the host's is led in, and the host's own services are not what the gateway's address means: a container has
        // no business with them.
        command.args(["--foreground", "--config-net", "--no-map-gw", "--quiet"]);
        command.args(["-t", "none", "-u", "none", "-T", "none", "-U", "none"]);
        // Where AppArmor has a profile for it, as on Debian, it may look at no other process and write to few folders: both are
        // descriptors that it has. It closes those above the first three.
        command.args(["--netns-only", "--netns", "/proc/self/fd/0", "--pid", "/proc/self/fd/1"]);
        command.env_clear().current_dir("/").stdin(network.try_clone().context(attempt)?);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        crate::sys::spawn::die_with_caller(&mut command);
        let mut pasta = Pasta(command.spawn().context(attempt)?);
        pasta.await_ready(wait::PASTA).map_err(|why| Error::runner(attempt()).because(why))?;
        Ok(pasta)
    }

    /// It writes its number when it is ready.
    fn await_ready(&mut self, limit: Duration) -> std::result::Result<(), String> {
        let said = |error: std::io::Error| error.to_string();
        // Both waits together: who waits for the keeper waits little longer.
        let since = std::time::Instant::now();
        // It stays open: a word more would end pasta.
        let ready = self.0.stdout.as_mut().ok_or("nobody hears it")?;
        if !wait::readable(&*ready, limit).map_err(said)? {
            // Ended by whoever drops it.
            return Err(format!("it has not said within {} s that it is ready", limit.as_secs()));
        }
        // A number, or the end of whoever could have written one.
        let mut number = [0u8; 16];
        if ready.read(&mut number).map_err(said)? > 0 {
            return Ok(());
        }
        let _ = wait::ended(&mut self.0, limit.saturating_sub(since.elapsed())).map_err(said)?;
        let mut text = String::new();
        if let Some(stderr) = self.0.stderr.as_mut() {
            // It has ended: everything that it said is there.
            let _ = stderr.take(4096).read_to_string(&mut text);
        }
        let lines: Vec<&str> = text.lines().filter(|l| !l.contains("syslog")).collect();
        Err(if lines.is_empty() { "it ended without a word".into() } else { lines.join("; ") })
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
            command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
            Pasta(command.spawn().unwrap())
        };
        let mut hangs = start("exec sleep 100");
        let error = hangs.await_ready(Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("has not said within"), "{error}");
        let pid = rustix::process::Pid::from_child(&hangs.0);
        drop(hangs);
        assert!(rustix::process::test_kill_process(pid).is_err());
        let long = Duration::from_secs(60);
        assert_eq!(start("echo no device >&2; exit 1").await_ready(long), Err("no device".to_owned()));
        assert_eq!(start("echo 7; exec sleep 100").await_ready(long), Ok(()));
    }
}

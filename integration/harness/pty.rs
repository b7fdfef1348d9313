//! A person at a terminal: a pseudo terminal with a size, typed bytes, and what the screen got.

use super::{Outcome, Stop, env::wait_for, fail};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub struct Terminal {
    master: std::fs::File,
    child: Child,
    screen: Arc<Mutex<Vec<u8>>>,
    seen: usize,
}

impl Terminal {
    /// Start a program on a new terminal of `rows` × `cols`.
    pub fn start<S: AsRef<OsStr>>(argv: &[S], rows: u16, cols: u16) -> Outcome<Terminal> {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size)?;
        let child = Command::new(std::env::current_exe()?)
            .args(["helper", "tty", &name.to_string_lossy()])
            .args(argv)
            .env("TERM", "vt100")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let master = std::fs::File::from(master);
        let mut reader = master.try_clone()?;
        let screen = Arc::new(Mutex::new(Vec::new()));
        let into = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // EIO: the last process has left the terminal.
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                if let Ok(mut screen) = into.lock() {
                    screen.extend_from_slice(&bytes[..n]);
                }
            }
        });
        Ok(Terminal { master, child, screen, seen: 0 })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Outcome {
        Ok(self.master.write_all(bytes)?)
    }

    /// Wait until `text` has come since the last call; the bytes up to its end.
    pub fn expect(&mut self, text: &str, seconds: u64) -> Outcome<Vec<u8>> {
        let from = self.seen;
        let found = wait_for(Duration::from_secs(seconds), || {
            let screen = self.screen.lock().ok()?;
            let at = find(&screen[from..], text.as_bytes())?;
            Some(screen[from..from + at + text.len()].to_vec())
        });
        match found {
            Some(bytes) => {
                self.seen += bytes.len();
                Ok(bytes)
            }
            None => fail(format!("the terminal never showed {text:?}; it showed {:?}", self.text())),
        }
    }

    pub fn resize(&self, rows: u16, cols: u16) -> Outcome {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(&self.master, size)?)
    }

    /// Whether the terminal is in raw mode: no echo, no line editing.
    pub fn raw(&self) -> Outcome<bool> {
        let modes = rustix::termios::tcgetattr(&self.master)?.local_modes;
        use rustix::termios::LocalModes;
        Ok(!modes.intersects(LocalModes::ECHO | LocalModes::ICANON))
    }

    pub fn text(&self) -> String {
        self.screen.lock().map(|s| String::from_utf8_lossy(&s).into_owned()).unwrap_or_default()
    }

    /// Kill the program, and nobody else.
    pub fn kill(&mut self) -> Outcome {
        self.child.kill().map_err(|e| Stop::Fail(e.to_string()))?;
        self.child.wait()?;
        Ok(())
    }

    /// Wait for the program's end: its status as a shell shows it.
    pub fn finish(mut self, seconds: u64) -> Outcome<(i32, String)> {
        use std::os::unix::process::ExitStatusExt;
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                // What was written last may still be on its way through the reader.
                std::thread::sleep(Duration::from_millis(50));
                return Ok((status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)), self.text()));
            }
            if since.elapsed() > Duration::from_secs(seconds) {
                self.child.kill().map_err(|e| Stop::Fail(e.to_string()))?;
                self.child.wait()?;
                return fail(format!("no end after {seconds} s on the terminal; it showed {:?}", self.text()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|w| w == needle)
}

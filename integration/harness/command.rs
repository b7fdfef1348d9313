//! Run a program with a time limit, bytes on its stdin, and everything it said kept byte for byte.

use super::{Outcome, Stop, fail};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a finished program left.
#[derive(Debug, Clone)]
pub struct Output {
    pub argv: String,
    /// The exit status; 128 + n where signal n ended it, as a shell shows it.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub took: Duration,
}

impl Output {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
    /// Fail unless the status is `code`.
    pub fn exits(self, code: i32) -> Outcome<Output> {
        if self.code == code {
            Ok(self)
        } else {
            fail(format!("exit {} instead of {code}\n{}", self.code, self.told()))
        }
    }
    pub fn ok(self) -> Outcome<Output> {
        self.exits(0)
    }
    /// Fail unless stdout, without its last line end, is `want`.
    pub fn says(self, want: &str) -> Outcome<Output> {
        let got = self.out();
        if got.strip_suffix('\n').unwrap_or(&got) == want {
            Ok(self)
        } else {
            fail(format!("stdout is {got:?} instead of {want:?}\n{}", self.told()))
        }
    }
    /// Fail unless stderr holds every one of `words`.
    pub fn complains(self, words: &[&str]) -> Outcome<Output> {
        let err = self.err();
        match words.iter().find(|w| !err.contains(**w)) {
            None => Ok(self),
            Some(w) => fail(format!("stderr does not speak of {w:?}\n{}", self.told())),
        }
    }
    /// stdout as `key value` or `key: value` lines.
    pub fn fields(&self) -> BTreeMap<String, String> {
        fields(&self.out())
    }
    /// The command line, the status and the ends of both streams, for a failure's text.
    pub fn told(&self) -> String {
        format!(
            "      $ {}\n      status {} after {:.1} s\n      stdout {}\n      stderr {}",
            self.argv,
            self.code,
            self.took.as_secs_f32(),
            tail(&self.out()),
            tail(&self.err())
        )
    }
}

/// `key value`, `key:\tvalue` and `key=value` lines.
pub fn fields(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|l| {
            let at = l.find([':', ' ', '\t', '='])?;
            Some((l[..at].to_owned(), l[at + 1..].trim().to_owned()))
        })
        .collect()
}

fn tail(text: &str) -> String {
    let keep: Vec<&str> = text.lines().rev().take(15).collect();
    let text: String = keep.into_iter().rev().collect::<Vec<_>>().join("\n             ");
    match text.char_indices().nth_back(2000) {
        Some((at, _)) => format!("…{}", &text[at..]),
        None => text,
    }
}

/// A program that is about to be run.
pub struct Run {
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    unset: Vec<OsString>,
    stdin: Input,
    dir: Option<PathBuf>,
    limit: Duration,
}

enum Input {
    Null,
    Bytes(Vec<u8>),
    Open,
}

impl Run {
    pub fn new(program: impl AsRef<OsStr>) -> Run {
        Run {
            argv: vec![program.as_ref().to_owned()],
            env: Vec::new(),
            unset: Vec::new(),
            stdin: Input::Null,
            dir: None,
            limit: Duration::from_secs(60),
        }
    }
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Run {
        self.argv.push(arg.as_ref().to_owned());
        self
    }
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Run {
        self.argv.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Run {
        self.env.push((key.into(), value.as_ref().to_owned()));
        self
    }
    pub fn unset(mut self, key: &str) -> Run {
        self.unset.push(key.into());
        self
    }
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Run {
        self.stdin = Input::Bytes(bytes.into());
        self
    }
    /// A pipe that stays open until the program ends.
    pub fn open_stdin(mut self) -> Run {
        self.stdin = Input::Open;
        self
    }
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Run {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }
    pub fn limit(mut self, seconds: u64) -> Run {
        self.limit = Duration::from_secs(seconds);
        self
    }

    fn command(&self) -> Command {
        let mut c = Command::new(&self.argv[0]);
        c.args(&self.argv[1..]).stdout(Stdio::piped()).stderr(Stdio::piped());
        c.envs(self.env.iter().map(|(k, v)| (k, v)));
        for k in &self.unset {
            c.env_remove(k);
        }
        if let Some(dir) = &self.dir {
            c.current_dir(dir);
        }
        c.stdin(match self.stdin {
            Input::Null => Stdio::null(),
            _ => Stdio::piped(),
        });
        // A process group of its own: a signal that a case sends reaches what it means to reach.
        c.process_group(0);
        c
    }

    fn told(&self) -> String {
        self.argv.iter().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    /// Start it and return while it runs.
    pub fn start(self) -> Outcome<Running> {
        let argv = self.told();
        let mut child = self
            .command()
            .spawn()
            .map_err(|e| Stop::Fail(format!("cannot start {}: {e}", self.argv[0].to_string_lossy())))?;
        let stdin = child.stdin.take();
        let mut held = None;
        if let Some(mut pipe) = stdin {
            match self.stdin {
                Input::Bytes(bytes) => {
                    std::thread::spawn(move || {
                        // A program that does not read its input is no failure of the harness.
                        let _ = pipe.write_all(&bytes);
                    });
                }
                _ => held = Some(pipe),
            }
        }
        let out = collect(child.stdout.take().expect("stdout is piped"));
        let err = collect(child.stderr.take().expect("stderr is piped"));
        Ok(Running {
            argv,
            child,
            stdin: held,
            out,
            err,
            since: Instant::now(),
            limit: self.limit * super::env::slowness(),
        })
    }

    /// Run it to its end; a program over its time limit is killed and fails the case.
    pub fn go(self) -> Outcome<Output> {
        self.start()?.finish()
    }
}

type Collected = std::thread::JoinHandle<Vec<u8>>;

fn collect(mut from: impl Read + Send + 'static) -> Collected {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// A program that runs.
pub struct Running {
    argv: String,
    child: Child,
    pub stdin: Option<std::process::ChildStdin>,
    out: Collected,
    err: Collected,
    since: Instant,
    limit: Duration,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Outcome {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal)?;
        Ok(())
    }
    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
    /// Wait for its end. The stdin pipe stays open until then, so that its closing cannot be what ended it.
    pub fn finish(mut self) -> Outcome<Output> {
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if self.since.elapsed() > self.limit {
                for pid in super::host::descendants(self.pid()) {
                    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
                }
                self.child.kill()?;
                self.child.wait()?;
                drop(self.stdin.take());
                return fail(format!(
                    "no end after {} s\n      $ {}\n      stderr {}",
                    self.limit.as_secs(),
                    self.argv,
                    tail(&String::from_utf8_lossy(&self.err.join().unwrap_or_default()))
                ));
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        let took = self.since.elapsed();
        drop(self.stdin.take());
        Ok(Output {
            argv: self.argv,
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: self.out.join().unwrap_or_default(),
            stderr: self.err.join().unwrap_or_default(),
            took,
        })
    }
    /// Close the stdin that was held open.
    pub fn close_stdin(&mut self) {
        drop(self.stdin.take());
    }
}

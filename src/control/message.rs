//! What is asked of a supervisor and what it answers.

use crate::error::{Error, Kind};
use crate::plan::{EndpointPlan, Override, ResourcesPlan};
use crate::policy::Allow;
use crate::request::RestartPolicy;
use serde::{Deserialize, Serialize};

/// A question. Questions on one connection are answered in order, but for those that wait for the container's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub enum Ask {
    /// Connect streams; the caller's ends come as descriptors, in this order. Answered by `Done`, and by `Ended` when the
    /// container has ended and all of its output has been delivered.
    Attach {
        stdin: bool,
        stdout: bool,
        stderr: bool,
    },
    /// The caller leaves by its detach keys; not answered.
    Detach,
    /// The size of the caller's terminal.
    Resize {
        rows: u16,
        columns: u16,
    },
    /// Send a signal to the first process.
    Signal {
        number: i32,
    },
    /// The stop signal, and a kill after `seconds` (negative: never). `None`: as the plan says. Answered by `Ended`.
    Stop {
        signal: Option<i32>,
        seconds: Option<i64>,
    },
    Pause,
    Unpause,
    /// Answered by `Ended`.
    Wait,
    /// What a process needs to enter the container. Answered by `Entrance`, with descriptors: the hand-off, the supervisor's
    /// mount namespace, a pidfd of the first process.
    Enter,
    /// New limits and another restart policy; the overrides that came with them, and all that are needed now.
    Update {
        resources: Box<ResourcesPlan>,
        restart: Option<RestartPolicy>,
        #[serde(default)]
        allow: Vec<Allow>,
        #[serde(default)]
        overrides: Vec<Override>,
    },
    /// Join another network, and leave one.
    Connect {
        endpoint: Box<EndpointPlan>,
    },
    Disconnect {
        network: String,
    },
    /// What `--egress` has refused. Answered by `Refused`.
    Refused,
    /// The record was renamed by the caller, who holds no lock: the supervisor writes it.
    Rename {
        name: String,
    },
    /// A command that `exec` has started, known as long as the connection lasts.
    Exec {
        id: String,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    Done,
    /// The container's first process runs its command. What there was to say on the way, a line each.
    Started {
        notes: Vec<String>,
    },
    Ended {
        code: i32,
        error: String,
    },
    Entrance {
        pid: i32,
    },
    Refused {
        packets: u64,
        bytes: u64,
    },
    Failed(WireError),
}

/// An [`Error`] on its way from one process to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireError {
    exit: u8,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

/// Room for an error's message, for all of its causes, and for its hint, in bytes of JSON: together they fit into one message.
const MESSAGE: usize = 24 * 1024;
const CAUSES: usize = 24 * 1024;
const HINT: usize = 8 * 1024;

impl Answer {
    /// The container runs. What there is to say is shortened to what fits into one message, as an error's parts are.
    pub fn started(notes: Vec<String>) -> Answer {
        let room = (MESSAGE + CAUSES) / notes.len().max(1);
        Answer::Started { notes: notes.into_iter().map(|note| shorten(note, room)).collect() }
    }
}

impl From<&Error> for WireError {
    fn from(e: &Error) -> Self {
        let mut chain = e.chain();
        let message = shorten(chain.remove(0), MESSAGE);
        let mut room = CAUSES;
        let mut causes = Vec::new();
        for cause in chain {
            // The mark needs room too.
            if room < 256 {
                break;
            }
            let cause = shorten(cause, room - QUOTES);
            room -= written(&cause) + QUOTES;
            causes.push(cause);
        }
        let hint = e.hint.clone().map(|h| shorten(h, HINT));
        WireError { exit: e.kind.exit_code(), message, causes, hint }
    }
}

/// What a string of a list takes besides its text.
const QUOTES: usize = 3;

/// How many bytes a character takes in JSON.
fn width(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        '\u{0}'..='\u{1f}' => 6,
        c => c.len_utf8(),
    }
}

fn written(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// The beginning of a text that is longer than `room` bytes of JSON, with a mark that says how much is missing.
pub fn shorten(text: String, room: usize) -> String {
    const MARK: usize = 64;
    if written(&text) <= room {
        return text;
    }
    let mut left = room.saturating_sub(MARK);
    let fits = |(_, c): &(usize, char)| -> bool {
        let width = width(*c);
        let fits = width <= left;
        left = if fits { left - width } else { 0 };
        fits
    };
    let end = text.char_indices().take_while(fits).last().map_or(0, |(at, c)| at + c.len_utf8());
    format!("{}… [{} more bytes]", &text[..end], text.len() - end)
}

/// The causes, outermost first.
#[derive(Debug)]
struct Cause(String, Option<Box<Cause>>);

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

impl WireError {
    /// The error as the other side met it.
    pub fn into_error(self) -> Error {
        let wire = self;
        let kind = [Kind::CannotInvoke, Kind::NotFound, Kind::Verb]
            .into_iter()
            .find(|k| k.exit_code() == wire.exit)
            .unwrap_or(Kind::Runner);
        let cause = wire.causes.into_iter().rev().fold(None, |inner, text| Some(Box::new(Cause(text, inner))));
        let mut error = Error::new(kind, wire.message);
        if let Some(cause) = cause {
            error.source = Some(cause);
        }
        error.hint = wire.hint;
        error
    }
}

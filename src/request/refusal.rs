//! Why a value is refused, and by whom.

use std::fmt;

/// What is wrong with a value, in docker's words, and which half of docker finds it: a script sees who it is by the exit status of
/// `docker create`, 125 for its client and 1 for its engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub words: String,
    pub by: By,
}

/// Half of docker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Client,
    Engine,
}

impl Refusal {
    /// Docker's client lets the value through, its engine does not.
    pub fn engine(words: impl Into<String>) -> Refusal {
        Refusal { words: words.into(), by: By::Engine }
    }
}

/// Most words are read by the client.
impl From<String> for Refusal {
    fn from(words: String) -> Refusal {
        Refusal { words, by: By::Client }
    }
}

impl From<&str> for Refusal {
    fn from(words: &str) -> Refusal {
        words.to_owned().into()
    }
}

impl From<Refusal> for String {
    fn from(refusal: Refusal) -> String {
        refusal.words
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

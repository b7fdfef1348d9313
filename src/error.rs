//! One error type for the whole program: a kind that decides the exit code, a message, a cause chain and a hint.

use std::fmt;

/// What went wrong, as far as the exit code is concerned. The codes are those of `docker run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A slip in how the command line was put together that docker's client answers with 1.
    UsageClient,
    /// A bad flag value, a refused launch or a failure before the command started: 125.
    Runner,
    /// What a rule or the site's policy refuses: 125, whatever the verb.
    Refused,
    /// A value that docker's client takes and its engine does not: 125 for `run`, as everything, and 1 for `create`.
    Engine,
    /// The command was found but could not be invoked: 126.
    CannotInvoke,
    /// The command was not found in the image: 127.
    NotFound,
    /// A management verb (load, pull, rmi, …) failed: 1, as docker's client answers.
    Verb,
    /// A template of `inspect` that cannot be parsed: 64, as docker's client answers.
    TemplateSyntax,
}

impl Kind {
    /// The process exit status for this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::UsageClient | Kind::Verb => 1,
            Kind::Runner | Kind::Refused | Kind::Engine => 125,
            Kind::CannotInvoke => 126,
            Kind::NotFound => 127,
            Kind::TemplateSyntax => 64,
        }
    }
}

/// An error with its exit-code kind, what was attempted on what, an optional cause and an optional next step.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    pub hint: Option<String>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None, hint: None }
    }

    /// A failure before the workload started (exit 125).
    pub fn runner(message: impl Into<String>) -> Self {
        Self::new(Kind::Runner, message)
    }

    /// A failure of a management verb (exit 1).
    pub fn verb(message: impl Into<String>) -> Self {
        Self::new(Kind::Verb, message)
    }

    /// The same error with another exit code: what ends one verb with 1 keeps a command from starting, which is 125. A refusal
    /// stays one.
    pub fn of_kind(self, kind: Kind) -> Self {
        if self.kind == Kind::Refused { self } else { Error { kind, ..self } }
    }

    /// What docker's engine would have refused ends the verbs but `run` with 1.
    pub fn engine_as_verb(self) -> Self {
        if self.kind == Kind::Engine { self.of_kind(Kind::Verb) } else { self }
    }

    /// Attach the cause.
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Attach the next step for the reader.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The message and every cause, outermost first.
    pub fn chain(&self) -> Vec<String> {
        let mut lines = vec![self.message.clone()];
        let mut cause: Option<&(dyn std::error::Error + 'static)> =
            self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static));
        while let Some(e) = cause {
            let text = e.to_string();
            if lines.last() != Some(&text) {
                lines.push(text);
            }
            cause = e.source();
        }
        lines
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// Adds what was attempted to a lower-level error.
pub trait Context<T> {
    /// Wrap the error as a [`Kind::Runner`] error that says what was attempted.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
    /// Wrap the error as a [`Kind::Verb`] error that says what was attempted.
    fn verb_context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::runner(message()).because(e))
    }
    fn verb_context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::verb(message()).because(e))
    }
}

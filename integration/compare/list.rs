//! The lists: small shell scripts as people write them, in groups, and what is expected to differ.
//!
//! ```text
//! # What the group is about.
//! == name of a case
//! docker run --rm busybox echo hi
//! == another
//! docker run -d --name web -p 8080:80 web
//! docker port web
//! -- differs: publish-loopback
//! id1
//! 80/tcp -> 127.0.0.1:8080
//! ! a line that has to be on stderr
//! $? = 3
//! ```
//!
//! After `-- differs: REASON` stands all that hardrun prints on stdout, normalised, then the lines of stderr that have to
//! be there, in order, each after `! `, then the exit status where it is not 0. The reason is a table of
//! `differences.toml`. `-- newer: TEXT` is the same for what today's docker does as hardrun does and the docker that is
//! compared with, Debian's 20.10, does not: nothing for the README. `-- limit: SECONDS` allows more time than
//! [`LIMIT`].

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Seconds that a script may take on one side.
pub const LIMIT: u64 = 40;

macro_rules! groups {
    ($($name:literal),+ $(,)?) => {
        /// Every group and its list.
        pub const GROUPS: &[(&str, &str)] = &[$(($name, include_str!(concat!("scripts/", $name, ".scripts")))),+];
    };
}

groups!(
    "run",
    "flags",
    "exit-codes",
    "lifecycle",
    "ps",
    "logs",
    "exec",
    "inspect",
    "cp",
    "images",
    "volumes",
    "networks",
    "health",
    "signals",
    "errors",
    "system",
    "scripts",
);

const REASONS: &str = include_str!("differences.toml");

/// One script and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub name: String,
    pub text: String,
    /// Seconds.
    pub limit: u64,
    pub expected: Expected,
}

/// What hardrun does beside docker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Same,
    /// Otherwise, on purpose: the reason's key and hardrun's transcript.
    Differs(String, Transcript),
    /// Otherwise, as newer versions of docker: a remark and hardrun's transcript.
    Newer(String, Transcript),
}

/// What a script was seen to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    pub stdout: Vec<String>,
    pub stderr: Vec<Said>,
    pub status: i32,
}

/// A line of stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub text: String,
    /// It named hardrun as its sender, or belongs to a line that did.
    pub own: bool,
}

impl Transcript {
    /// As it stands in a list.
    pub fn told(&self) -> String {
        let mut text: String = self.stdout.iter().map(|l| format!("{l}\n")).collect();
        text.extend(self.stderr.iter().map(|l| format!("! {}\n", l.text)));
        if self.status != 0 {
            text.push_str(&format!("$? = {}\n", self.status));
        }
        text
    }

    fn parse(lines: &[&str]) -> Result<Transcript, String> {
        let mut seen = Transcript::default();
        for line in lines {
            if let Some(said) = line.strip_prefix("! ") {
                seen.stderr.push(Said { text: said.to_owned(), own: false });
            } else if let Some(status) = line.strip_prefix("$? = ") {
                seen.status = status.parse().map_err(|_| format!("no exit status: {line}"))?;
            } else {
                seen.stdout.push((*line).to_owned());
            }
        }
        // Blank lines before the next case are for the reader.
        while seen.stdout.last().is_some_and(String::is_empty) {
            seen.stdout.pop();
        }
        Ok(seen)
    }
}

/// A row of the README's table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// What a script does.
    pub script: String,
    pub docker: String,
    /// What hardrun does instead, and why.
    pub hardrun: String,
}

/// The reasons for differences by their keys.
pub fn reasons() -> Result<BTreeMap<String, Reason>, String> {
    toml::from_str(&now("differences.toml", REASONS)).map_err(|e| format!("differences.toml: {e}"))
}

/// A group's scripts.
pub fn scripts(group: &str) -> Result<Vec<Script>, String> {
    let (_, text) = GROUPS.iter().find(|(name, _)| *name == group).ok_or_else(|| format!("no group {group}"))?;
    parse(&now(&format!("scripts/{group}.scripts"), text)).map_err(|e| format!("{group}.scripts: {e}"))
}

/// The list `text` with what hardrun does in a case below it, instead of a transcript that is there: `how` is
/// `differs: KEY` or `newer: TEXT`.
///
/// Of stderr the lines that stand for themselves are kept; hints and causes, indented below them, may change freely.
pub fn accepted(text: &str, name: &str, how: &str, seen: &Transcript) -> Result<String, String> {
    let start = format!("\n== {name}\n");
    let at = text.find(&start).ok_or_else(|| format!("no case {name:?}"))? + start.len();
    let end = text[at..].find("\n== ").map_or(text.len(), |next| at + next + 1);
    let is_head = |line: &&str| !line.starts_with("-- differs: ") && !line.starts_with("-- newer: ");
    let script: Vec<&str> = text[at..end].lines().take_while(is_head).collect();
    let script = script.join("\n");
    let mut told = seen.clone();
    told.stderr.retain(|said| !said.text.starts_with(' '));
    let gap = if end < text.len() { "\n" } else { "" };
    Ok(format!("{}{}\n-- {how}\n{}{gap}{}", &text[..at], script.trim_end(), told.told(), &text[end..]))
}

/// The file as it is now where the project is on this machine, as it was when this was built elsewhere.
fn now(file: &str, built: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/compare").join(file);
    std::fs::read_to_string(path).unwrap_or_else(|_| built.to_owned())
}

pub fn parse(text: &str) -> Result<Vec<Script>, String> {
    let mut scripts: Vec<Script> = Vec::new();
    let mut parts = text.split("\n== ");
    let head = parts.next().unwrap_or_default();
    if let Some(line) = head.lines().find(|l| !l.is_empty() && !l.starts_with('#')) {
        return Err(format!("before the first case: {line}"));
    }
    for part in parts {
        let script = script(part).map_err(|e| format!("case {:?}: {e}", part.lines().next().unwrap_or_default()))?;
        if scripts.iter().any(|s| s.name == script.name) {
            return Err(format!("two cases are called {:?}", script.name));
        }
        scripts.push(script);
    }
    Ok(scripts)
}

fn script(part: &str) -> Result<Script, String> {
    let mut lines = part.lines();
    let name = lines.next().unwrap_or_default().trim().to_owned();
    let mut script = Script { name, text: String::new(), limit: LIMIT, expected: Expected::Same };
    let lines: Vec<&str> = lines.collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(word) = line.strip_prefix("-- ") else {
            script.text.push_str(line);
            script.text.push('\n');
            continue;
        };
        let (word, value) = word.split_once(": ").ok_or_else(|| format!("no such line: {line}"))?;
        match word {
            "limit" => script.limit = value.parse().map_err(|_| format!("no number of seconds: {value}"))?,
            "differs" => {
                script.expected = Expected::Differs(value.to_owned(), Transcript::parse(&lines[at + 1..])?);
                break;
            }
            "newer" => {
                script.expected = Expected::Newer(value.to_owned(), Transcript::parse(&lines[at + 1..])?);
                break;
            }
            _ => return Err(format!("no such line: {line}")),
        }
    }
    match script.text.trim_end() {
        "" => Err("no script".to_owned()),
        text => Ok(Script { text: format!("{text}\n"), ..script }),
    }
}

/// How many times a script calls docker, as far as its text shows.
pub fn command_lines(text: &str) -> usize {
    let words = |line: &str| {
        let line = line.trim_start();
        if line.starts_with('#') {
            return 0;
        }
        let called = |at: usize| {
            let word = line[..at].trim_end().rsplit([' ', '\t']).next().unwrap_or_default();
            word.is_empty()
                || word.ends_with(['(', '|', '&', ';', '!', '{', '"', '\'', '`'])
                || ["then", "do", "if", "while", "until", "else", "xargs", "-r"].contains(&word)
                // A variable before the command, or the seconds of `timeout`.
                || (word.contains('=') && !word.starts_with('-'))
                || word.bytes().all(|b| b.is_ascii_digit())
        };
        line.match_indices("docker ").filter(|(at, _)| called(*at)).count()
    };
    text.lines().map(words).sum()
}

//! One line of the log: its text, its hash, and back.

use super::entry::{Entry, Event};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Hash that the first line follows: 64 zeros.
pub const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Who called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    pub uid: u32,
    /// `SUDO_UID` of the environment: what sudo says, and what a caller who is root could make up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sudo_uid: Option<u32>,
    /// The kernel's login uid, which survives sudo and su.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub login_uid: Option<u32>,
    pub pid: u32,
}

impl Who {
    /// This process.
    pub fn me() -> Who {
        const UNSET: u32 = u32::MAX;
        let login = std::fs::read_to_string("/proc/self/loginuid").ok();
        Who {
            uid: crate::rootless::host_uid(nix::unistd::getuid().as_raw()),
            sudo_uid: std::env::var("SUDO_UID").ok().and_then(|v| v.parse().ok()),
            login_uid: login.and_then(|t| t.trim().parse().ok()).filter(|uid| *uid != UNSET),
            pid: std::process::id(),
        }
    }
}

/// What a line holds besides its hash. Fields are written in this order; the hash is over the text as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// From 0.
    pub seq: u64,
    /// RFC 3339, UTC, microseconds.
    pub time: String,
    pub event: Event,
    #[serde(flatten)]
    pub who: Who,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub image: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub image_digest: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub plan: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub container: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rules: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub asked: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    /// Hash of the line before.
    pub prev: String,
}

impl Record {
    pub fn new(seq: u64, prev: &str, time: &str, who: &Who, entry: &Entry) -> Record {
        let entry = entry.bounded();
        Record {
            seq,
            time: time.to_owned(),
            event: entry.event,
            who: who.clone(),
            image: entry.image,
            image_digest: entry.image_digest,
            plan: entry.plan,
            container: entry.container,
            rules: entry.rules,
            asked: entry.asked,
            reason: entry.reason,
            status: entry.status,
            note: entry.note,
            prev: prev.to_owned(),
        }
    }

    /// The line with its newline, and its hash: SHA-256 over the JSON text without the hash field, in hexadecimal.
    pub fn line(&self) -> (String, String) {
        let mut text = serde_json::to_string(self).expect("a record is plain data");
        let hash = digest(&text);
        text.truncate(text.len() - 1);
        text.push_str(MARK);
        text.push_str(&hash);
        text.push_str("\"}\n");
        (text, hash)
    }
}

const MARK: &str = ",\"hash\":\"";

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// A line read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub record: Record,
    /// As written in the line.
    pub hash: String,
    /// The text fits the hash.
    pub intact: bool,
}

/// Read a line, without its newline. `None`: this is no line of the log.
pub fn parse(line: &str) -> Option<Parsed> {
    let at = line.len().checked_sub(MARK.len() + 64 + 2)?;
    let (text, tail) = (line.get(..at)?, line.get(at..)?);
    let hash = tail.strip_prefix(MARK)?.strip_suffix("\"}")?;
    let text = format!("{text}}}");
    let record: Record = serde_json::from_str(&text).ok()?;
    Some(Parsed { record, intact: digest(&text) == hash, hash: hash.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_any_changed_byte_shows() {
        let who = Who { uid: 0, sudo_uid: Some(1000), login_uid: None, pid: 7 };
        let entry = Entry {
            reason: Some("line\nbreak \"quoted\" \u{1b}[31m".into()),
            rules: vec!["host-network".into()],
            ..Entry::recovered("x".into())
        };
        let record = Record::new(3, ZERO, "2026-01-02T03:04:05.000006Z", &who, &entry);
        let (line, hash) = record.line();
        assert_eq!(line.matches('\n').count(), 1, "a newline in a reason stays inside its line");
        let text = line.trim_end();
        let parsed = parse(text).unwrap();
        assert!(parsed.intact);
        assert_eq!((&parsed.record, &parsed.hash), (&record, &hash));
        for i in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[i] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(parse(&changed).is_none_or(|p| !p.intact), "byte {i}");
        }
    }

    #[test]
    fn long_words_are_cut() {
        let entry = Entry { asked: vec!["ä".repeat(9000); 100], ..Entry::recovered("x".into()) };
        let who = Who { uid: 0, sudo_uid: None, login_uid: None, pid: 7 };
        let (line, _) = Record::new(0, ZERO, "t", &who, &entry).line();
        assert!(line.len() < 70 * 1024, "{}", line.len());
        assert!(parse(line.trim_end()).unwrap().intact);
    }
}

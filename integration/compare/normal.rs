//! What differs from run to run, and between any two engines, taken out of what a script printed: ids, times, sizes,
//! addresses, ports that the kernel chose. What is left is what a script may rely on.

use super::list::{Said, Transcript};
use regex::{Captures, Regex};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One run's normaliser: the same id is the same name wherever it shows up.
pub struct Normaliser {
    /// Folders of this side and what they are called instead, longest first.
    folders: Vec<(String, &'static str)>,
    ids: Names,
    addresses: Names,
}

/// Names by order of appearance.
#[derive(Default)]
struct Names(BTreeMap<String, usize>);

impl Names {
    fn number(&mut self, of: &str) -> usize {
        let next = self.0.len() + 1;
        *self.0.entry(of.to_owned()).or_insert(next)
    }
}

/// Patterns and what is put in their place, in this order.
static PLAIN: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "MAC"),
        // The zero time says "never" and is compared.
        (r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d))?( [A-Z]{3,4}\b)?", "TIME"),
        (r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (UTC )?20\d\d\b", "TIME"),
        (r"\b(Less than a second|About an? (minute|hour)|\d+ (second|minute|hour)s?)\b", "SECONDS"),
        (r"\b\d+(\.\d+)?(kB|MB|GB|KiB|MiB|GiB)\b", "SIZE"),
        (r"\b\d+\.\d\d%", "PERCENT"),
        // The range that Linux and docker take ports from.
        (r":(3[2-9]\d{3}|[45]\d{4}|6[0-5]\d{3})\b", ":PORT"),
        (r"\b(fe80|fd[0-9a-f]{2}):[0-9a-f:]+", "IP6"),
        // Columns are as wide as what stands in them.
        (r"(\S)  +", "$1  "),
        (r"[ \t\r]+$", ""),
    ]
    .map(|(pattern, with)| (Regex::new(pattern).expect("a constant pattern"), with))
    .into()
});

static ID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b").expect("a constant pattern"));
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(10\.\d+|172\.(1[6-9]|2\d|3[01])|192\.168)\.\d{1,3}\.\d{1,3}\b").expect("a constant pattern")
});

impl Normaliser {
    pub fn new(mut folders: Vec<(String, &'static str)>) -> Normaliser {
        folders.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Normaliser { folders, ids: Names::default(), addresses: Names::default() }
    }

    pub fn transcript(mut self, stdout: &str, stderr: &str, status: i32) -> Transcript {
        let (stdout, stderr) = (self.places(stdout), self.places(stderr));
        let stdout = stdout.lines().map(|l| self.line(l)).collect();
        let stderr = said(&stderr).into_iter().map(|l| Said { text: self.line(&l.text), ..l }).collect();
        Transcript { stdout, stderr, status }
    }

    fn places(&self, text: &str) -> String {
        self.folders.iter().fold(text.to_owned(), |text, (path, name)| text.replace(path, name))
    }

    fn line(&mut self, line: &str) -> String {
        // ID1 in full and id1 cut to twelve digits: the two are not the same to a script.
        let ids = &mut self.ids;
        let line = ID.replace_all(line, |found: &Captures| {
            let n = ids.number(&found[0][..12]);
            if found[0].len() == 64 { format!("ID{n}") } else { format!("id{n}") }
        });
        let addresses = &mut self.addresses;
        let mut line =
            ADDRESS.replace_all(&line, |found: &Captures| format!("IP{}", addresses.number(&found[0]))).into_owned();
        for (pattern, with) in PLAIN.iter() {
            line = pattern.replace_all(&line, *with).into_owned();
        }
        line
    }
}

/// The lines of stderr in words that do not depend on the client's version: without the name of the program and the
/// usage text at the end.
fn said(stderr: &str) -> Vec<Said> {
    let mut lines = Vec::new();
    // 20.10 prints "See", the usage and a line of help; 28 the usage and then "Run".
    let (mut see, mut help, mut own) = (false, false, false);
    // Docker's client logs that it stopped waiting for a container that did not start, when its two goroutines happen to meet so.
    let stray = |l: &str| l.trim_end_matches('"').ends_with("error waiting for container: context canceled");
    for line in stderr.lines().map(str::trim_end).filter(|l| !l.is_empty() && !stray(l)) {
        let pointer = (line.starts_with("See '") || line.starts_with("Run '") || line.starts_with("SRun '"))
            && line.contains(" --help'");
        if pointer {
            see = line.starts_with("See '");
        } else if line.starts_with("Usage:") {
            help = std::mem::take(&mut see);
        } else if help {
            // The usage may have more lines, indented; the line after it is the help's.
            help = line.starts_with(char::is_whitespace);
        } else {
            see = false;
            // Causes, hints and the reasons of a refusal stand below, indented.
            own = line.starts_with("hardrun: ") || (own && line.starts_with("  "));
            lines.push(Said { text: message(line), own });
        }
    }
    lines
}

/// One message without its sender.
fn message(line: &str) -> String {
    let mut line = line;
    for prefix in ["docker: ", "hardrun: ", "Error response from daemon: ", "Error: "] {
        line = line.strip_prefix(prefix).unwrap_or(line);
    }
    let line = line.strip_suffix('.').filter(|l| !l.ends_with('.')).unwrap_or(line);
    let mut text = line.replace('"', "'").replace("hardrun", "docker");
    // "Conflicting options" became "conflicting options"; names of variables and the like stay as they are.
    let mut letters = line.chars();
    if let (Some(first), Some(second)) = (letters.next(), letters.next())
        && first.is_ascii_uppercase()
        && second.is_ascii_lowercase()
    {
        text[..1].make_ascii_lowercase();
    }
    text
}

/// How hardrun's transcript differs from docker's, as lines; empty where it does not. What hardrun says on stderr in its
/// own name beside docker's words is no difference: it is put into `notes`.
pub fn differences(docker: &Transcript, hardrun: &Transcript, notes: &mut Vec<String>) -> Vec<String> {
    let mut found = lines(&docker.stdout, &hardrun.stdout);
    let (mut rest, mut beside, mut missing) = (hardrun.stderr.as_slice(), Vec::new(), false);
    for line in &docker.stderr {
        // More words around docker's own: who looks for these finds them.
        match rest.iter().position(|l| l.text == line.text || (l.own && l.text.contains(&line.text))) {
            Some(at) => {
                beside.extend(&rest[..at]);
                rest = &rest[at + 1..];
            }
            None => {
                missing = true;
                found.push(format!("-! {}", line.text));
            }
        }
    }
    beside.extend(rest);
    for line in beside {
        // Where docker's words are missing, its own are what stands in their place.
        if missing || !line.own {
            found.push(format!("+! {}", line.text));
        } else {
            notes.push(line.text.clone());
        }
    }
    found.extend(statuses(docker, hardrun));
    found
}

fn statuses(a: &Transcript, b: &Transcript) -> Vec<String> {
    if a.status == b.status { Vec::new() } else { vec![format!("-$? = {}", a.status), format!("+$? = {}", b.status)] }
}

/// Whether hardrun does what a list says of it: stdout and status as written, and the written lines of stderr among its
/// own, in order.
pub fn as_written(written: &Transcript, hardrun: &Transcript) -> Vec<String> {
    let mut found = lines(&written.stdout, &hardrun.stdout);
    let mut rest = hardrun.stderr.iter();
    let missing = written.stderr.iter().filter(|line| !rest.any(|l| l.text == line.text));
    found.extend(missing.map(|l| format!("-! {}", l.text)));
    found.extend(statuses(written, hardrun));
    found
}

/// Lines of `a` that are not in `b` with `-` before, and the reverse with `+`, by the longest common subsequence.
fn lines(a: &[String], b: &[String]) -> Vec<String> {
    let mut common = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            found.push(format!("-  {}", a[i]));
            i += 1;
        } else {
            found.push(format!("+  {}", b[j]));
            j += 1;
        }
    }
    found
}

//! Patterns over paths, as apparmor.d(5) has them.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An absolute path with `*` (anything but `/`), `**` (anything), `?`, `[…]`, `[^…]`, `{a,b}` and variables in it. A
/// folder's own path ends in `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    /// Without braces: what it matches is what one of these matches.
    branches: Vec<Vec<Token>>,
}

/// What a variable stands for.
pub const VARIABLES: &[(&str, &[&str])] = &[
    ("PROC", &["/proc"]),
    ("sys", &["/sys"]),
    ("run", &["/run", "/var/run"]),
    ("HOME", &["/root", "/home/*"]),
    ("pid", &["[1-9]*"]),
];

/// A pattern that stands for more than this is a mistake.
const MOST: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// One byte but `/`; with ranges, one that is (or is not) in them.
    One {
        not: bool,
        ranges: Vec<(u8, u8)>,
    },
    /// Any number of bytes but `/`.
    Star,
    /// Any number of bytes.
    Stars,
}

impl Pattern {
    /// # Errors
    /// Not absolute, `..` or `.` in it, an unknown variable, or brackets that do not match.
    pub fn parse(text: &str) -> Result<Pattern> {
        let bad = |why: &str| Error::runner(format!("path {text:?}: {why}"));
        if text.bytes().any(|b| b == 0 || b == b'\n' || b == b'"' || b == b'\\') {
            return Err(bad("a line break, a quotation mark or a backslash cannot be in a pattern"));
        }
        let mut branches = Vec::new();
        for expanded in variables(text, &bad)? {
            if !expanded.starts_with('/') {
                return Err(bad("is not absolute"));
            }
            if expanded.split('/').any(|part| part == ".." || part == ".") {
                return Err(bad("has . or .. in it"));
            }
            for branch in braces(&expanded, &bad)? {
                branches.push(tokens(&branch).map_err(bad)?);
            }
            if branches.len() > MOST {
                return Err(bad("stands for too many paths"));
            }
        }
        Ok(Pattern { text: text.to_owned(), branches })
    }

    /// Whether everything that `other` matches is matched, as far as the texts show: they are the same, or `self` is
    /// `dir/**` and `other` lies beneath.
    pub fn holds(&self, other: &Pattern) -> bool {
        self.text == other.text
            || self.text.strip_suffix("**").is_some_and(|dir| {
                dir.ends_with('/') && !dir.contains(['*', '?', '[', '{', '@']) && other.text.starts_with(dir)
            })
    }
}

/// Where a pattern stands after some of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor<'a> {
    tokens: &'a [Token],
    /// Which tokens may come next, ascending; their number: the end is reached.
    at: Vec<usize>,
}

impl Pattern {
    /// One for each choice that the braces leave.
    pub fn cursors(&self) -> impl Iterator<Item = Cursor<'_>> {
        self.branches.iter().map(|tokens| Cursor::new(tokens))
    }

    /// The paths that it stands for, if they are all without wildcards.
    pub fn literals(&self) -> Option<Vec<String>> {
        self.branches.iter().map(|tokens| literal(tokens).filter(|(_, all)| *all).map(|(text, _)| text)).collect()
    }

    /// The same pattern with the literal start of each choice changed; choices that `change` has nothing for are left out.
    /// The start is the whole of a choice without wildcards, else what comes before the last `/` before the first.
    pub fn redirected(&self, mut change: impl FnMut(&str, bool) -> Vec<String>) -> Pattern {
        let mut branches = Vec::new();
        for tokens in &self.branches {
            let Some((text, whole)) = literal(tokens) else { continue };
            let start = if whole { text.len() } else { text.rfind('/').unwrap_or(0) };
            for new in change(&text[..start], whole) {
                let mut branch: Vec<Token> = new.bytes().map(Token::Byte).collect();
                branch.extend_from_slice(&tokens[start..]);
                branches.push(branch);
            }
        }
        Pattern { text: self.text.clone(), branches }
    }

    /// The same beneath `to` where it matches beneath `from` or `from` itself, both without a `/` at their ends. `None`:
    /// it matches nothing there.
    pub fn moved(&self, from: &str, to: &str) -> Option<Pattern> {
        let bytes = |text: String| text.into_bytes().into_iter().map(Token::Byte).collect::<Vec<_>>();
        let mut branches = Vec::new();
        for cursor in self.cursors() {
            let Some(here) = cursor.step(from.as_bytes()) else { continue };
            if here.matches() && !to.is_empty() {
                branches.push(bytes(to.to_owned()));
            }
            let below = here.step(b"/");
            for (at, tokens) in below.iter().flat_map(|c| c.at.iter().map(|at| (*at, &c.tokens[*at..]))) {
                // Behind a star it stands before it as well.
                let starred = at > 0 && matches!(cursor.tokens[at - 1], Token::Star | Token::Stars);
                if !(starred && below.as_ref().is_some_and(|c| c.at.contains(&(at - 1)))) {
                    branches.push([bytes(format!("{to}/")).as_slice(), tokens].concat());
                }
            }
        }
        (!branches.is_empty()).then(|| Pattern { text: self.text.clone(), branches })
    }

    /// Whether it matches all of `path`.
    pub fn matches(&self, path: &str) -> bool {
        self.cursors().any(|c| c.step(path.as_bytes()).is_some_and(|c| c.matches()))
    }
}

/// The bytes before the first wildcard, and whether there is none.
fn literal(tokens: &[Token]) -> Option<(String, bool)> {
    let bytes: Vec<u8> = tokens.iter().map_while(|t| if let Token::Byte(b) = t { Some(*b) } else { None }).collect();
    let whole = bytes.len() == tokens.len();
    String::from_utf8(bytes).ok().map(|text| (text, whole))
}

impl<'a> Cursor<'a> {
    fn new(tokens: &'a [Token]) -> Self {
        let mut cursor = Cursor { tokens, at: vec![0] };
        cursor.pass_stars();
        cursor
    }

    /// A star may stand for nothing.
    fn pass_stars(&mut self) {
        let mut i = 0;
        while let Some(&at) = self.at.get(i) {
            if matches!(self.tokens.get(at), Some(Token::Star | Token::Stars)) && !self.at.contains(&(at + 1)) {
                self.at.push(at + 1);
            }
            i += 1;
        }
    }

    /// After `bytes` more; `None` where nothing of the pattern is left that fits.
    pub fn step(&self, bytes: &[u8]) -> Option<Cursor<'a>> {
        let mut cursor = self.clone();
        for byte in bytes {
            let mut next = Vec::with_capacity(cursor.at.len());
            for &at in &cursor.at {
                let (fits, to) = match cursor.tokens.get(at) {
                    None => (false, at),
                    Some(Token::Byte(b)) => (b == byte, at + 1),
                    Some(Token::One { not, ranges }) => {
                        (*byte != b'/' && ranges.iter().any(|(a, z)| (a..=z).contains(&byte)) != *not, at + 1)
                    }
                    Some(Token::Star) => (*byte != b'/', at),
                    Some(Token::Stars) => (true, at),
                };
                if fits && !next.contains(&to) {
                    next.push(to);
                }
            }
            if next.is_empty() {
                return None;
            }
            cursor.at = next;
            cursor.pass_stars();
        }
        Some(cursor)
    }

    /// What came so far is matched.
    pub fn matches(&self) -> bool {
        self.at.contains(&self.tokens.len())
    }

    /// Something longer may be matched.
    pub fn goes_on(&self) -> bool {
        self.at.iter().any(|at| *at < self.tokens.len())
    }

    /// Everything that is longer is matched.
    pub fn takes_all(&self) -> bool {
        let any = |t: &Token| matches!(t, Token::One { not: true, ranges } if ranges.is_empty());
        self.at.iter().any(|at| match &self.tokens[*at..] {
            [Token::Stars] => true,
            [one, Token::Stars] => any(one),
            _ => false,
        })
    }

    /// It ends in `**`: at some folder everything beneath is matched.
    pub fn takes_all_below(&self) -> bool {
        self.tokens.last() == Some(&Token::Stars)
    }

    /// The text before the first wildcard of the whole pattern.
    pub fn literal_start(&self) -> String {
        literal(self.tokens).map(|(text, _)| text).unwrap_or_default()
    }

    /// It can match folders, whose paths end in `/`.
    pub fn is_for_folders(&self) -> bool {
        matches!(self.tokens.last(), Some(Token::Byte(b'/') | Token::Stars))
    }

    /// It can match what is no folder.
    pub fn is_for_files(&self) -> bool {
        self.tokens.last() != Some(&Token::Byte(b'/'))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.text
    }
}

impl TryFrom<String> for Pattern {
    type Error = Error;
    fn try_from(text: String) -> Result<Pattern> {
        Pattern::parse(&text)
    }
}

fn variables(text: &str, bad: &dyn Fn(&str) -> Error) -> Result<Vec<String>> {
    let Some(start) = text.find("@{") else { return Ok(vec![text.to_owned()]) };
    let (name, rest) = text[start + 2..].split_once('}').ok_or_else(|| bad("a variable has no end"))?;
    let (_, values) = VARIABLES.iter().find(|(known, _)| *known == name).ok_or_else(|| {
        let known: Vec<String> = VARIABLES.iter().map(|(n, _)| format!("@{{{n}}}")).collect();
        bad(&format!("@{{{name}}} is not known")).hint(known.join(" "))
    })?;
    let mut all = Vec::new();
    for rest in variables(rest, bad)? {
        all.extend(values.iter().map(|value| format!("{}{value}{rest}", &text[..start])));
    }
    Ok(all)
}

/// Every choice of every alternation; they may be nested.
fn braces(text: &str, bad: &dyn Fn(&str) -> Error) -> Result<Vec<String>> {
    let bytes = text.as_bytes();
    let Some(start) = outside_class(bytes, b'{') else {
        return match outside_class(bytes, b'}') {
            Some(_) => Err(bad("a } without its {")),
            None => Ok(vec![text.to_owned()]),
        };
    };
    let (mut depth, mut class, mut cuts, mut end) = (0, false, vec![start], None);
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'[' => class = true,
            b']' => class = false,
            _ if class => {}
            b'{' => depth += 1,
            b',' if depth == 1 => cuts.push(at),
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    cuts.push(at);
                    end = Some(at);
                    break;
                }
            }
            _ => {}
        }
    }
    let end = end.ok_or_else(|| bad("a { without its }"))?;
    let mut all = Vec::new();
    for cut in cuts.windows(2) {
        let one = format!("{}{}{}", &text[..start], &text[cut[0] + 1..cut[1]], &text[end + 1..]);
        all.extend(braces(&one, bad)?);
        if all.len() > MOST {
            return Err(bad("stands for too many paths"));
        }
    }
    Ok(all)
}

/// Where `wanted` is outside `[…]`.
fn outside_class(bytes: &[u8], wanted: u8) -> Option<usize> {
    let mut class = false;
    bytes.iter().position(|b| match b {
        b'[' => {
            class = true;
            false
        }
        b']' => {
            class = false;
            false
        }
        b => !class && *b == wanted,
    })
}

fn tokens(text: &str) -> std::result::Result<Vec<Token>, &'static str> {
    let any = || Token::One { not: true, ranges: Vec::new() };
    let bytes = text.as_bytes();
    let mut list = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'/' if list.last() == Some(&Token::Byte(b'/')) => {}
            b'*' => {
                let many = bytes[at..].iter().take_while(|b| **b == b'*').count();
                at += many;
                // As the parser has it: a name is never empty, so `dir/*` and `dir/**` are not `dir/`.
                let first = list.last() == Some(&Token::Byte(b'/'));
                if first && (many > 0 || matches!(bytes.get(at), None | Some(b'/'))) {
                    list.push(any());
                }
                list.push(if many > 0 { Token::Stars } else { Token::Star });
            }
            b'?' => list.push(any()),
            b'[' => {
                let end = bytes[at..].iter().position(|b| *b == b']').ok_or("a [ without its ]")? + at;
                list.push(class(&bytes[at..end])?);
                at = end + 1;
            }
            b']' => return Err("a ] without its ["),
            b => list.push(Token::Byte(*b)),
        }
    }
    Ok(list)
}

fn class(bytes: &[u8]) -> std::result::Result<Token, &'static str> {
    let (not, mut rest) = match bytes {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut ranges = Vec::new();
    while let [first, tail @ ..] = rest {
        match tail {
            [b'-', last, tail @ ..] => {
                if first > last {
                    return Err("a range in [] that runs backwards");
                }
                ranges.push((*first, *last));
                rest = tail;
            }
            _ => {
                ranges.push((*first, *first));
                rest = tail;
            }
        }
    }
    if ranges.is_empty() { Err("an empty []") } else { Ok(Token::One { not, ranges }) }
}

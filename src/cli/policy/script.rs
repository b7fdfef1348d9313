//! `docker run` and `hardrun run` in shell scripts. A scanner for quotes, comments, continuation lines, here documents and
//! substitutions, no shell: what a variable or a loop makes of a line is not known, and is said instead of guessed.

use crate::error::{Context as _, Error, Result};
use std::path::{Path, PathBuf};

/// One call that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub file: PathBuf,
    /// From 1: where the command begins.
    pub line: usize,
    pub text: String,
    /// Words from the program's name on, or why they are not known.
    pub words: Result<Vec<String>, String>,
}

impl Found {
    /// `FILE:LINE`
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }
}

const PROGRAMS: &[&str] = &["docker", "hardrun", "podman"];
const VERBS: &[&str] = &["run", "create"];
/// Nothing below these is run.
const TALK: &[&str] = &["echo", "printf", "command", "which", "type", "alias", "man"];
const SIZE_MAX: u64 = 1 << 20;
const DEPTH_MAX: u32 = 16;

/// Every call in a script, or in the scripts of a folder and below: files that end in `.sh`, `.bash`, or begin with `#!` and a
/// shell. Links are not followed.
pub fn in_path(path: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let say = || format!("cannot read {}", path.display());
    if path.metadata().verb_context(say)?.is_dir() {
        walk(path, 0, &mut found)?;
    } else {
        found.extend(in_text(path, &String::from_utf8_lossy(&std::fs::read(path).verb_context(say)?)));
    }
    Ok(found)
}

fn walk(folder: &Path, depth: u32, found: &mut Vec<Found>) -> Result<()> {
    let say = || format!("cannot read {}", folder.display());
    if depth > DEPTH_MAX {
        return Err(Error::verb(format!("{} is too deep", folder.display())));
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).verb_context(say)? {
        paths.push(entry.verb_context(say)?.path());
    }
    paths.sort();
    for path in paths {
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() {
            walk(&path, depth + 1, found)?;
        } else if meta.is_file() && meta.len() <= SIZE_MAX {
            let Ok(bytes) = std::fs::read(&path) else { continue };
            if is_script(&path, &bytes) {
                found.extend(in_text(&path, &String::from_utf8_lossy(&bytes)));
            }
        }
    }
    Ok(())
}

fn is_script(path: &Path, bytes: &[u8]) -> bool {
    let named = path.extension().is_some_and(|e| e == "sh" || e == "bash");
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    named || (first.starts_with(b"#!") && first.windows(2).any(|w| w == b"sh"))
}

/// Every call in a text.
pub fn in_text(file: &Path, text: &str) -> Vec<Found> {
    Scanner::new(text).commands().into_iter().filter_map(|command| call(file, command)).collect()
}

/// One simple command as it stands.
#[derive(Debug, Default)]
struct Command {
    line: usize,
    text: String,
    /// What it holds that only a shell could tell.
    unknown: Option<&'static str>,
}

fn call(file: &Path, command: Command) -> Option<Found> {
    let Command { line, text, unknown } = command;
    let words = shlex::split(&text)?;
    let first = words.first()?;
    let name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    if TALK.contains(&first.as_str()) {
        return None;
    }
    let at = words.iter().position(|w| PROGRAMS.contains(&name(w).as_str()))?;
    let argv: Vec<String> = words[at..].to_vec();
    let is_run = super::trial::verb(&argv).is_some_and(|verb| VERBS.contains(&verb.as_str()));
    if !is_run {
        return None;
    }
    let words = match unknown {
        Some(what) => Err(format!("{what}, which only a shell could fill in")),
        None => Ok(redirections_out(argv)),
    };
    Some(Found { file: file.to_owned(), line, text: text.trim().to_owned(), words })
}

/// `2>/dev/null`, `> file`, `<in` are the shell's.
fn redirections_out(words: Vec<String>) -> Vec<String> {
    let mut out = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
        if rest.starts_with(['>', '<']) {
            if rest.trim_start_matches(['>', '<', '|', '&']).is_empty() {
                words.next();
            }
            continue;
        }
        out.push(word);
    }
    out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// Where a substitution was entered.
#[derive(Debug)]
struct Outer {
    command: Command,
    quote: Quote,
    backtick: bool,
}

struct Scanner<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    quote: Quote,
    now: Command,
    outer: Vec<Outer>,
    /// Ends of here documents whose bodies follow after this line.
    here: Vec<String>,
    done: Vec<Command>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Scanner {
            chars: text.chars().peekable(),
            line: 1,
            quote: Quote::None,
            now: Command { line: 1, ..Command::default() },
            outer: Vec::new(),
            here: Vec::new(),
            done: Vec::new(),
        }
    }

    fn commands(mut self) -> Vec<Command> {
        while let Some(c) = self.next() {
            match (self.quote, c) {
                (Quote::Single, '\'') => self.push(c, Quote::None),
                (Quote::Single, _) => self.now.text.push(c),
                (_, '\\') => self.escaped(),
                (_, '$') => self.dollar(),
                (_, '`') => self.backtick(),
                (Quote::Double, '"') => self.push(c, Quote::None),
                (Quote::Double, _) => self.now.text.push(c),
                (Quote::None, '"') => self.push(c, Quote::Double),
                (Quote::None, '\'') => self.push(c, Quote::Single),
                (Quote::None, '#') if self.now.text.ends_with(char::is_whitespace) || self.now.text.is_empty() => {
                    self.comment();
                }
                (Quote::None, '\n') => {
                    self.end();
                    self.here_bodies();
                }
                (Quote::None, '<') if self.chars.peek() == Some(&'<') => self.here_word(),
                (Quote::None, '&') if self.now.text.ends_with(['>', '<']) || self.chars.peek() == Some(&'>') => {
                    self.now.text.push(c);
                }
                (Quote::None, ')') if self.outer.last().is_some_and(|o| !o.backtick) => self.leave(),
                (Quote::None, ';' | '&' | '|' | '(' | ')') => self.end(),
                (Quote::None, _) => self.now.text.push(c),
            }
        }
        while !self.outer.is_empty() {
            self.leave();
        }
        self.end();
        // Inner commands end before outer ones: back into the order of the text.
        self.done.sort_by_key(|c| c.line);
        self.done
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if c == '\n' {
            self.line += 1;
        } else if self.now.text.is_empty() && !c.is_whitespace() {
            self.now.line = self.line;
        }
        Some(c)
    }

    fn push(&mut self, c: char, quote: Quote) {
        self.now.text.push(c);
        self.quote = quote;
    }

    fn escaped(&mut self) {
        match self.next() {
            // A line that goes on.
            Some('\n') => self.now.text.push(' '),
            Some(c) => self.now.text.extend(['\\', c]),
            None => {}
        }
    }

    fn dollar(&mut self) {
        match self.chars.peek() {
            Some('(') => {
                self.next();
                self.enter(false);
            }
            Some(c) if c.is_alphanumeric() || "_{@*#?$!-".contains(*c) => {
                self.now.unknown = Some("it holds shell variables");
                self.now.text.push('$');
            }
            Some('\'' | '"') if self.quote == Quote::None => {
                self.now.unknown = Some("it holds a string with escapes");
                self.now.text.push('$');
            }
            _ => self.now.text.push('$'),
        }
    }

    fn backtick(&mut self) {
        match self.outer.last() {
            Some(outer) if outer.backtick => self.leave(),
            _ => self.enter(true),
        }
    }

    /// What a substitution gives stands in its command's text as nothing; that it is unknown is noted.
    fn enter(&mut self, backtick: bool) {
        self.now.unknown = Some("it holds another command's output");
        let command = std::mem::replace(&mut self.now, Command { line: self.line, ..Command::default() });
        self.outer.push(Outer { command, quote: self.quote, backtick });
        self.quote = Quote::None;
    }

    fn leave(&mut self) {
        self.end();
        if let Some(outer) = self.outer.pop() {
            (self.now, self.quote) = (outer.command, outer.quote);
            self.now.text.push('_');
        }
    }

    fn end(&mut self) {
        let next = Command { line: self.line, ..Command::default() };
        let command = std::mem::replace(&mut self.now, next);
        if !command.text.trim().is_empty() {
            self.done.push(command);
        }
    }

    fn comment(&mut self) {
        while self.chars.peek().is_some_and(|c| *c != '\n') {
            self.next();
        }
    }

    /// `<<EOF`, `<<-'EOF'`; `<<<` is a string and no document.
    fn here_word(&mut self) {
        self.next();
        if self.chars.peek() == Some(&'<') {
            self.next();
            self.now.text.push_str("<<<");
            return;
        }
        if self.chars.peek() == Some(&'-') {
            self.next();
        }
        while self.chars.peek().is_some_and(|c| matches!(c, ' ' | '\t')) {
            self.next();
        }
        let mut word = String::new();
        while let Some(c) = self.chars.peek().copied().filter(|c| !c.is_whitespace() && !";&|()<>".contains(*c)) {
            self.next();
            if !matches!(c, '\'' | '"' | '\\') {
                word.push(c);
            }
        }
        self.here.push(word);
    }

    fn here_bodies(&mut self) {
        for end in std::mem::take(&mut self.here) {
            loop {
                let mut line = String::new();
                let mut more = false;
                while let Some(c) = self.next() {
                    if c == '\n' {
                        more = true;
                        break;
                    }
                    line.push(c);
                }
                if line.trim_start_matches('\t') == end || !more {
                    break;
                }
            }
        }
        self.now = Command { line: self.line, ..Command::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, Result<String, String>)> {
        let all = in_text(Path::new("t.sh"), text);
        all.into_iter().map(|f| (f.line, f.words.map(|w| w.join("|")))).collect()
    }

    #[test]
    fn calls_are_found_where_they_are() {
        let text = r#"#!/bin/sh
# docker run not this
echo docker run nor this
set -e; docker run --rm a 'b c' 2>/dev/null && hardrun run -it x
if sudo docker container run \
     -v /etc:/x \
     img sh -c 'docker run inner; true'
then
  docker ps | xargs docker rm
fi
out="$(docker run q)"
docker run r > log 2>&1 &
docker create name
docker --context default run ctx
"#;
        let words: Vec<_> = found(text).into_iter().map(|(line, w)| (line, w.unwrap())).collect();
        let want = [
            (4, "docker|run|--rm|a|b c"),
            (4, "hardrun|run|-it|x"),
            (5, "docker|container|run|-v|/etc:/x|img|sh|-c|docker run inner; true"),
            (11, "docker|run|q"),
            (12, "docker|run|r"),
            (13, "docker|create|name"),
            (14, "docker|--context|default|run|ctx"),
        ];
        assert_eq!(words.iter().map(|(l, w)| (*l, w.as_str())).collect::<Vec<_>>(), want);
    }

    #[test]
    fn what_only_a_shell_knows_is_said_and_not_guessed() {
        for text in [
            "docker run -v \"$PWD\":/x a",
            "docker run ${IMAGE}",
            "docker run $(pwd)",
            "docker run `pwd`",
            "docker run \"$@\"",
        ] {
            let all = found(text);
            assert!(all.iter().any(|(_, w)| w.as_ref().is_err_and(|e| e.contains("only a shell"))), "{text}: {all:?}");
        }
        assert_eq!(found("docker run -e 'X=$Y' a")[0].1, Ok("docker|run|-e|X=$Y|a".into()));
        assert_eq!(found(r"docker run -e X=\$Y a")[0].1, Ok("docker|run|-e|X=$Y|a".into()));
    }

    #[test]
    fn here_documents_are_text() {
        let text =
            "cat <<'EOF' > x\ndocker run no\nEOF\ndocker run yes\ncat <<-END\n\tdocker run no\n\tEND\ndocker run too\n";
        assert_eq!(found(text), [(4, Ok("docker|run|yes".into())), (8, Ok("docker|run|too".into()))]);
    }

    #[test]
    fn odd_text_ends() {
        for text in ["docker run 'a", "docker run \"a", "$(", "`", "<<", "<<A", "\\", "$(`\"$(", "docker run \\"] {
            found(text);
        }
    }
}

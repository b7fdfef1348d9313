//! A template's text cut into tokens: what is outside of `{{ }}` as it is, what is inside word by word.

use super::print::quote;

/// What a token is. `text` of the token has its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Outside of actions, blanks next to a trim marker taken off.
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Pipe,
    LeftParen,
    RightParen,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    Comma,
    Dot,
    /// `.Name`
    Field,
    /// `$` or `$name`
    Variable,
    /// The name of a function.
    Identifier,
    Keyword,
    Bool,
    Nil,
    Number,
    Character,
    /// In quotes or in backquotes, with them.
    String,
    /// Any other ASCII character.
    Other,
    /// What is wrong; nothing follows.
    Error,
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    /// Byte in the template.
    pub at: usize,
    /// From 1.
    pub line: usize,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::End => f.write_str("EOF"),
            Kind::Error => f.write_str(&self.text),
            Kind::Keyword | Kind::Dot | Kind::Nil => write!(f, "<{}>", self.text),
            _ if self.text.len() > 10 => {
                write!(f, "{}...", quote(&self.text.chars().take(10).collect::<String>()))
            }
            _ => f.write_str(&quote(&self.text)),
        }
    }
}

const KEYWORDS: [&str; 11] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with", "nil"];
/// What Go's templates take for blanks.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

pub struct Lexer<'t> {
    text: &'t str,
    at: usize,
    inside: bool,
    parens: usize,
    done: bool,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Lexer<'t> {
        Lexer { text, at: 0, inside: false, parens: 0, done: false }
    }

    /// [`Kind::End`] again and again after the last one.
    pub fn next(&mut self) -> Token {
        if self.done {
            return self.token(Kind::End, self.at, self.at);
        }
        if self.inside { self.inside_action() } else { self.outside() }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn token(&self, kind: Kind, start: usize, end: usize) -> Token {
        self.named(kind, start, self.text[start..end].to_owned())
    }

    fn named(&self, kind: Kind, start: usize, text: String) -> Token {
        let line = 1 + self.text[..start].matches('\n').count();
        Token { kind, text, at: start, line }
    }

    fn take(&mut self, kind: Kind, length: usize) -> Token {
        let start = self.at;
        self.at += length;
        self.token(kind, start, self.at)
    }

    fn error(&mut self, text: impl Into<String>) -> Token {
        self.done = true;
        self.named(Kind::Error, self.at, text.into())
    }

    /// Text up to the next action, with comments skipped.
    fn outside(&mut self) -> Token {
        loop {
            let start = self.at;
            let Some(open) = self.rest().find("{{") else {
                self.at = self.text.len();
                if start == self.at {
                    self.done = true;
                    return self.token(Kind::End, start, start);
                }
                return self.token(Kind::Text, start, self.at);
            };
            let before = &self.rest()[..open];
            let trim = left_trim(&self.rest()[open + 2..]);
            let kept = if trim > 0 { before.trim_end_matches(BLANKS) } else { before };
            if !kept.is_empty() {
                self.at += open;
                return self.token(Kind::Text, start, start + kept.len());
            }
            self.at += open;
            if !self.text[self.at + 2 + trim..].starts_with("/*") {
                let delim = self.take(Kind::LeftDelim, 2);
                self.at += trim;
                self.inside = true;
                self.parens = 0;
                return delim;
            }
            if let Some(wrong) = self.comment(2 + trim) {
                return wrong;
            }
        }
    }

    /// Over a comment, whose end is the action's end too.
    fn comment(&mut self, open: usize) -> Option<Token> {
        let Some(length) = self.rest()[open..].find("*/") else { return Some(self.error("unclosed comment")) };
        self.at += open + length + 2;
        match right_delim(self.rest()) {
            Some((length, trim)) => {
                self.at += length;
                self.trim_left(trim);
                None
            }
            None => Some(self.error("comment ends before closing delimiter")),
        }
    }

    fn trim_left(&mut self, trim: bool) {
        if trim {
            self.at = self.text.len() - self.rest().trim_start_matches(BLANKS).len();
        }
    }

    fn inside_action(&mut self) -> Token {
        let rest = self.rest();
        if let Some((length, trim)) = right_delim(rest) {
            if self.parens > 0 {
                return self.error("unclosed left paren");
            }
            self.at += length;
            let delim = self.token(Kind::RightDelim, self.at - 2, self.at);
            self.trim_left(trim);
            self.inside = false;
            return delim;
        }
        let Some(c) = rest.chars().next() else { return self.error("unclosed action") };
        let second = rest[c.len_utf8()..].chars().next();
        match c {
            _ if BLANKS.contains(&c) => self.blanks(),
            '=' => self.take(Kind::Assign, 1),
            ':' if second == Some('=') => self.take(Kind::Declare, 2),
            ':' => self.error("expected :="),
            '|' => self.take(Kind::Pipe, 1),
            ',' => self.take(Kind::Comma, 1),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::Character, "unterminated character constant"),
            '`' => match rest[1..].find('`') {
                Some(length) => self.take(Kind::String, length + 2),
                None => self.error("unterminated raw quoted string"),
            },
            '$' => self.word(1, Kind::Variable),
            // At the very end it begins a number, says Go.
            '.' if second.is_some_and(|c| !c.is_ascii_digit()) => {
                if second.is_some_and(in_word) {
                    self.word(1, Kind::Field)
                } else {
                    self.word(1, Kind::Dot)
                }
            }
            '.' | '0'..='9' | '+' | '-' => self.number(),
            '(' => {
                self.parens += 1;
                self.take(Kind::LeftParen, 1)
            }
            ')' if self.parens == 0 => self.error("unexpected right paren"),
            ')' => {
                self.parens -= 1;
                self.take(Kind::RightParen, 1)
            }
            c if in_word(c) => self.identifier(),
            '!'..='~' => self.take(Kind::Other, 1),
            c => self.error(format!("unrecognized character in action: {}", code_point(c))),
        }
    }

    /// The last blank before a trim marker belongs to the marker.
    fn blanks(&mut self) -> Token {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start_matches(BLANKS).len();
        if length > 1 && right_delim(&rest[length - 1..]).is_some() {
            return self.take(Kind::Space, length - 1);
        }
        self.take(Kind::Space, length)
    }

    /// With `\` before the closing quote it is none; a line break ends it.
    fn quoted(&mut self, quote: char, kind: Kind, wrong: &str) -> Token {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => return self.take(kind, at + 1),
                _ => {}
            }
        }
        self.error(wrong)
    }

    /// A name after `skip` bytes. What follows must end it.
    fn word(&mut self, skip: usize, kind: Kind) -> Token {
        let rest = self.rest();
        let end = rest[skip..].find(|c| !in_word(c)).map_or(rest.len(), |at| at + skip);
        if let Some(c) = rest[end..].chars().next()
            && !BLANKS.contains(&c)
            && !".,|:()".contains(c)
            && !rest[end..].starts_with("}}")
        {
            self.at += end;
            return self.error(format!("bad character {}", code_point(c)));
        }
        self.take(kind, end)
    }

    fn identifier(&mut self) -> Token {
        let mut token = self.word(0, Kind::Identifier);
        if token.kind == Kind::Identifier {
            token.kind = match token.text.as_str() {
                "true" | "false" => Kind::Bool,
                "nil" => Kind::Nil,
                word if KEYWORDS.contains(&word) => Kind::Keyword,
                _ => Kind::Identifier,
            };
        }
        token
    }

    /// The longest thing that looks like a number; whether it is one is seen when it is read.
    fn number(&mut self) -> Token {
        let rest = self.rest();
        let mut end = usize::from(rest.starts_with(['+', '-']));
        let hex = rest[end..].starts_with("0x") || rest[end..].starts_with("0X");
        if rest[end..].starts_with('0') && rest[end + 1..].starts_with(['x', 'X', 'o', 'O', 'b', 'B']) {
            end += 2;
        }
        let digits = |at: usize| {
            let more = |c: char| !(c == '_' || if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() });
            rest[at..].find(more).map_or(rest.len(), |length| at + length)
        };
        end = digits(end);
        if rest[end..].starts_with('.') {
            end = digits(end + 1);
        }
        if rest[end..].starts_with(if hex { ['p', 'P'] } else { ['e', 'E'] }) {
            end += 1;
            end += usize::from(rest[end..].starts_with(['+', '-']));
            end = rest[end..].find(|c: char| !(c == '_' || c.is_ascii_digit())).map_or(rest.len(), |n| end + n);
        }
        if let Some(c) = rest[end..].chars().next()
            && in_word(c)
        {
            let wrong = quote(&rest[..end + c.len_utf8()]);
            return self.error(format!("bad number syntax: {wrong}"));
        }
        self.take(Kind::Number, end)
    }
}

/// Bytes of the marker after `{{`: a dash and a blank.
fn left_trim(after: &str) -> usize {
    match after.strip_prefix('-') {
        Some(rest) if rest.starts_with(BLANKS) => 2,
        _ => 0,
    }
}

/// Whether `}}` or a trim marker and `}}` come next: its length, and whether it trims.
fn right_delim(rest: &str) -> Option<(usize, bool)> {
    if rest.starts_with("}}") {
        return Some((2, false));
    }
    let marked = rest.starts_with(BLANKS) && rest[1..].starts_with("-}}");
    marked.then_some((4, true))
}

fn in_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Go's `%#U`.
fn code_point(c: char) -> String {
    let code = format!("U+{:04X}", c as u32);
    if c.is_control() { code } else { format!("{code} '{c}'") }
}

//! A template's text to nodes. What is wrong is said in the words of Go's parser, which docker passes on.

use super::lex::{Kind, Lexer, Token};
use super::literal;
use super::node::{Branch, Call, Node, Nodes};
use super::print::quote;
use std::collections::BTreeMap;

/// Blocks and parentheses within one another.
const DEEPEST: usize = 100;

/// The main template (under the empty name) and those defined in it; or `template: :LINE: what is wrong`.
pub fn parse(text: &str) -> Result<BTreeMap<String, Nodes>, String> {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        waiting: Vec::new(),
        line: 1,
        action_line: 0,
        variables: vec!["$".into()],
        loops: 0,
        depth: 0,
        templates: BTreeMap::new(),
    };
    let main = parser.all()?;
    parser.templates.insert(String::new(), main);
    Ok(parser.templates)
}

pub(super) struct Parser<'t> {
    lexer: Lexer<'t>,
    /// Tokens looked at and put back, the next one last.
    waiting: Vec<Token>,
    /// Of the newest token: where errors are reported.
    line: usize,
    /// Where the current action starts.
    action_line: usize,
    pub(super) variables: Vec<String>,
    loops: usize,
    depth: usize,
    templates: BTreeMap<String, Nodes>,
}

/// What ended a list of nodes.
enum Ended {
    End,
    Else,
}

impl Ended {
    fn text(&self) -> &'static str {
        match self {
            Ended::End => "{{end}}",
            Ended::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Ended(Ended),
}

pub(super) type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    pub(super) fn next(&mut self) -> Token {
        if let Some(token) = self.waiting.pop() {
            return token;
        }
        let token = self.lexer.next();
        self.line = token.line;
        token
    }

    pub(super) fn next_word(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    pub(super) fn back(&mut self, token: Token) {
        self.waiting.push(token);
    }

    pub(super) fn peek(&mut self) -> Token {
        let token = self.next();
        self.back(token.clone());
        token
    }

    pub(super) fn peek_word(&mut self) -> Token {
        let token = self.next_word();
        self.back(token.clone());
        token
    }

    pub(super) fn wrong<T>(&self, what: impl std::fmt::Display) -> Parsed<T> {
        Err(format!("template: :{}: {what}", self.line))
    }

    pub(super) fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.wrong(format!("unexpected {token} in {context}"));
        }
        if self.action_line == 0 || self.action_line == token.line {
            return self.wrong(token);
        }
        let action = if token.text.ends_with(" action") { "" } else { " in action" };
        self.wrong(format!("{token}{action} started at :{}", self.action_line))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_word();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    /// One level deeper, and back.
    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEEPEST {
            return self.wrong("max expression depth exceeded");
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn all(&mut self) -> Parsed<Nodes> {
        let mut nodes = Nodes::new();
        loop {
            let token = self.next();
            if token.kind == Kind::End {
                return Ok(nodes);
            }
            if token.kind == Kind::LeftDelim {
                let word = self.next_word();
                if word.kind == Kind::Keyword && word.text == "define" {
                    self.definition()?;
                    continue;
                }
                self.back(word);
            }
            self.back(token);
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Ended(ended) => return self.wrong(format!("unexpected {}", ended.text())),
            }
        }
    }

    /// After `{{define`.
    fn definition(&mut self) -> Parsed<()> {
        let name = self.template_name("define clause")?.1;
        self.expect(Kind::RightDelim, "define clause")?;
        self.add(name, "define clause")
    }

    /// The body of a template with variables of its own, up to its `{{end}}`.
    fn add(&mut self, name: String, context: &str) -> Parsed<()> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let loops = std::mem::take(&mut self.loops);
        let (nodes, ended) = self.deeper(Self::list)?;
        (self.variables, self.loops) = (outer, loops);
        if let Ended::Else = ended {
            return self.wrong(format!("unexpected {} in {context}", ended.text()));
        }
        let blank = |nodes: &Nodes| nodes.iter().all(|n| matches!(n, Node::Text(text) if text.trim().is_empty()));
        match self.templates.get(&name) {
            Some(old) if !blank(old) && !blank(&nodes) => {
                return self.wrong(format!("template: multiple definition of template {}", quote(&name)));
            }
            Some(old) if !blank(old) => {}
            _ => {
                self.templates.insert(name, nodes);
            }
        }
        Ok(())
    }

    fn list(&mut self) -> Parsed<(Nodes, Ended)> {
        let mut nodes = Nodes::new();
        while self.peek_word().kind != Kind::End {
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Ended(ended) => return Ok((nodes, ended)),
            }
        }
        self.wrong("unexpected EOF")
    }

    fn item(&mut self) -> Parsed<Item> {
        let token = self.next_word();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action();
                self.action_line = 0;
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_word();
        let word = if token.kind == Kind::Keyword { token.text.as_str() } else { "" };
        Ok(Item::Node(match word {
            "if" => Node::If(self.control("if")?),
            "with" => Node::With(self.control("with")?),
            "range" => Node::Range(self.control("range")?),
            "block" => self.block()?,
            "template" => self.call()?,
            "break" => self.jump("{{break}}", Node::Break)?,
            "continue" => self.jump("{{continue}}", Node::Continue)?,
            "end" => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Ended(Ended::End));
            }
            "else" => {
                let next = self.peek_word();
                // `{{else if …}}` is read by the block that it is in.
                if !(next.kind == Kind::Keyword && matches!(next.text.as_str(), "if" | "with")) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Ended(Ended::Else));
            }
            _ => {
                self.back(token);
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        }))
    }

    fn jump(&mut self, name: &str, node: Node) -> Parsed<Node> {
        self.expect(Kind::RightDelim, name)?;
        if self.loops == 0 { self.wrong(format!("{name} outside {{{{range}}}}")) } else { Ok(node) }
    }

    fn control(&mut self, word: &'static str) -> Parsed<Branch> {
        self.deeper(|p| {
            let known = p.variables.len();
            let branch = p.branch(word);
            p.variables.truncate(known);
            branch
        })
    }

    fn branch(&mut self, word: &'static str) -> Parsed<Branch> {
        let pipe = self.pipeline(word, Kind::RightDelim)?;
        let is_loop = usize::from(word == "range");
        self.loops += is_loop;
        let (then, ended) = self.list()?;
        self.loops -= is_loop;
        let mut otherwise = Nodes::new();
        if let Ended::Else = ended {
            let next = self.peek_word();
            if word != "range" && next.kind == Kind::Keyword && next.text == word {
                self.next_word();
                let inner = self.control(word)?;
                otherwise.push(if word == "if" { Node::If(inner) } else { Node::With(inner) });
            } else {
                let (nodes, ended) = self.list()?;
                if let Ended::Else = ended {
                    return self.wrong("expected end; found {{else}}");
                }
                otherwise = nodes;
            }
        }
        Ok(Branch { pipe, then, otherwise })
    }

    fn block(&mut self) -> Parsed<Node> {
        let (at, name) = self.template_name("block clause")?;
        let pipe = self.pipeline("block clause", Kind::RightDelim)?;
        self.add(name.clone(), "block clause")?;
        Ok(Node::Template(Call { at, name, pipe: Some(pipe) }))
    }

    fn call(&mut self) -> Parsed<Node> {
        let (at, name) = self.template_name("template clause")?;
        let token = self.next_word();
        if token.kind == Kind::RightDelim {
            return Ok(Node::Template(Call { at, name, pipe: None }));
        }
        self.back(token);
        let pipe = self.pipeline("template clause", Kind::RightDelim)?;
        Ok(Node::Template(Call { at, name, pipe: Some(pipe) }))
    }

    fn template_name(&mut self, context: &str) -> Parsed<(usize, String)> {
        let token = self.expect(Kind::String, context)?;
        match literal::string(&token.text) {
            Ok(name) => Ok((token.at, name)),
            Err(e) => self.wrong(e),
        }
    }
}

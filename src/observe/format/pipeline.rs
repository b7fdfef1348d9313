//! What is inside of an action: pipelines of commands made of operands.

use super::functions;
use super::lex::Kind;
use super::literal;
use super::node::{Command, Operand, OperandKind, Pipe};
use super::parse::{Parsed, Parser};
use super::print::quote;

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let at = self.peek_word().at;
        let mut pipe = Pipe { at, variables: Vec::new(), assigns: false, commands: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_word();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::Character
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.back(token);
                    pipe.commands.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        if pipe.commands.is_empty() {
            return self.wrong(format!("missing value for {context}"));
        }
        let callable = |c: &Command| {
            use OperandKind::{Bool, Dot, Nil, Number, String};
            !matches!(c.operands[0].kind, Bool(_) | Dot | Nil | Number { .. } | String { .. })
        };
        match pipe.commands.iter().skip(1).position(|c| !callable(c)) {
            Some(at) => self.wrong(format!("non executable command in pipeline stage {}", at + 2)),
            None => Ok(pipe),
        }
    }

    /// `$x :=`, `$x =` or, of a range, `$i, $x :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<()> {
        loop {
            let variable = self.next_word();
            if variable.kind != Kind::Variable {
                self.back(variable);
                return Ok(());
            }
            let after = self.next();
            let blank = after.kind == Kind::Space;
            let next = if blank { self.next_word() } else { after.clone() };
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = next.kind == Kind::Assign;
                    pipe.variables.push(variable.text.clone());
                    self.variables.push(variable.text);
                    return Ok(());
                }
                Kind::Comma => {
                    pipe.variables.push(variable.text.clone());
                    self.variables.push(variable.text);
                    if context != "range" || pipe.variables.len() > 1 {
                        return self.wrong(format!("too many declarations in {context}"));
                    }
                    if !matches!(self.peek_word().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return self.wrong("range can only initialize variables");
                    }
                }
                _ => {
                    self.back(next);
                    if blank {
                        self.back(after);
                    }
                    self.back(variable);
                    return Ok(());
                }
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut command = Command { at: self.peek_word().at, operands: Vec::new() };
        loop {
            self.peek_word();
            if let Some(operand) = self.operand()? {
                command.operands.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.back(token),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if command.operands.is_empty() { self.wrong("empty command") } else { Ok(command) }
    }

    /// A term and the fields asked of it.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(term) = self.term()? else { return Ok(None) };
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(term));
        }
        let mut more = Vec::new();
        while self.peek().kind == Kind::Field {
            more.push(self.next().text[1..].to_owned());
        }
        let kind = match term.kind {
            OperandKind::Field(mut names) => {
                names.append(&mut more);
                OperandKind::Field(names)
            }
            OperandKind::Variable(name, _) => OperandKind::Variable(name, more),
            OperandKind::Function(_) | OperandKind::Pipe(_) | OperandKind::Chain(..) => {
                OperandKind::Chain(Box::new(term), more)
            }
            _ => return self.wrong(format!("unexpected . after term {}", quote(&term.to_string()))),
        };
        Ok(Some(Operand { at: first.at, kind }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.next_word();
        let kind = match token.kind {
            Kind::Dot => OperandKind::Dot,
            Kind::Nil => OperandKind::Nil,
            Kind::Bool => OperandKind::Bool(token.text == "true"),
            Kind::Field => OperandKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Identifier if !functions::exists(&token.text) => {
                return self.wrong(format!("function {} not defined", quote(&token.text)));
            }
            Kind::Identifier => OperandKind::Function(token.text),
            Kind::Variable if !self.variables.contains(&token.text) => {
                return self.wrong(format!("undefined variable {}", quote(&token.text)));
            }
            Kind::Variable => OperandKind::Variable(token.text, Vec::new()),
            Kind::LeftParen => {
                OperandKind::Pipe(self.deeper(|p| p.pipeline("parenthesized pipeline", Kind::RightParen))?)
            }
            Kind::Number | Kind::Character => {
                let read = if token.kind == Kind::Number { literal::number } else { literal::character };
                match read(&token.text) {
                    Ok(value) => OperandKind::Number { text: token.text, value },
                    Err(e) => return self.wrong(e),
                }
            }
            Kind::String => match literal::string(&token.text) {
                Ok(value) => OperandKind::String { text: token.text, value },
                Err(e) => return self.wrong(e),
            },
            _ => {
                self.back(token);
                return Ok(None);
            }
        };
        Ok(Some(Operand { at: token.at, kind }))
    }
}

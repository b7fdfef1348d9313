//! A parsed template. Nodes print as they were written, for errors say where they are.

use super::print::quote;
use std::fmt;

/// A part of a template.
#[derive(Debug)]
pub enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    /// `{{template "name" pipe}}`
    Template(Call),
    Break,
    Continue,
}

pub type Nodes = Vec<Node>;

#[derive(Debug)]
pub struct Branch {
    pub pipe: Pipe,
    pub then: Nodes,
    pub otherwise: Nodes,
}

#[derive(Debug)]
pub struct Call {
    pub at: usize,
    pub name: String,
    pub pipe: Option<Pipe>,
}

/// `$x := a | b`
#[derive(Debug)]
pub struct Pipe {
    pub at: usize,
    /// With their `$`.
    pub variables: Vec<String>,
    /// `=`: the variables are there already.
    pub assigns: bool,
    pub commands: Vec<Command>,
}

/// What is called, if it can be, and what with.
#[derive(Debug)]
pub struct Command {
    pub at: usize,
    /// One at least.
    pub operands: Vec<Operand>,
}

#[derive(Debug)]
pub struct Operand {
    pub at: usize,
    pub kind: OperandKind,
}

#[derive(Debug)]
pub enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Number {
        text: String,
        value: Number,
    },
    /// As written and as read.
    String {
        text: String,
        value: String,
    },
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`; the variable with its `$`.
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Pipe),
    /// `(pipe).A.B`
    Chain(Box<Operand>, Vec<String>),
}

/// Which numbers a literal can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Int(i64),
    /// Written as an integer, but larger than Go's.
    TooLarge,
    Float(f64),
}

/// Something that an error can be about.
#[derive(Debug, Clone, Copy)]
pub enum Place<'t> {
    Start,
    Operand(&'t Operand),
    Command(&'t Command),
    Pipe(&'t Pipe),
    Call(&'t Call),
}

impl Place<'_> {
    pub fn at(&self) -> usize {
        match self {
            Place::Start => 0,
            Place::Operand(o) => o.at,
            Place::Command(c) => c.at,
            Place::Pipe(p) => p.at,
            Place::Call(c) => c.at,
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Start => Ok(()),
            Place::Operand(o) => o.fmt(f),
            Place::Command(c) => c.fmt(f),
            Place::Pipe(p) => p.fmt(f),
            Place::Call(c) => c.fmt(f),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", quote(&self.name))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{} {} ", self.variables.join(", "), if self.assigns { "=" } else { ":=" })?;
        }
        let commands: Vec<String> = self.commands.iter().map(Command::to_string).collect();
        f.write_str(&commands.join(" | "))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, operand) in self.operands.iter().enumerate() {
            let blank = if at > 0 { " " } else { "" };
            match operand.kind {
                OperandKind::Pipe(_) => write!(f, "{blank}({operand})")?,
                _ => write!(f, "{blank}{operand}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dotted = |f: &mut fmt::Formatter<'_>, names: &[String]| names.iter().try_for_each(|n| write!(f, ".{n}"));
        match &self.kind {
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Bool(b) => b.fmt(f),
            OperandKind::Number { text, .. } | OperandKind::String { text, .. } => f.write_str(text),
            OperandKind::Field(names) => dotted(f, names),
            OperandKind::Variable(name, names) => f.write_str(name).and_then(|()| dotted(f, names)),
            OperandKind::Function(name) => f.write_str(name),
            OperandKind::Pipe(pipe) => pipe.fmt(f),
            OperandKind::Chain(inner, names) => match inner.kind {
                OperandKind::Pipe(_) => write!(f, "({inner})").and_then(|()| dotted(f, names)),
                _ => inner.fmt(f).and_then(|()| dotted(f, names)),
            },
        }
    }
}

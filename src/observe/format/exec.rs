//! A template walked over data.

use super::functions::{Param, Purpose};
use super::node::{Branch, Call, Command, Node, Nodes, Number, Operand, OperandKind, Pipe, Place};
use super::print::plain;
use super::value::Value;
use super::{Missing, Template};
use crate::ui;
use std::rc::Rc;

/// Blocks, templates and parentheses that are open at a time. Go allows 100,000 templates, on a stack that grows.
const DEEPEST: usize = 100;

/// How a template is to be walked.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub missing: Missing,
    pub purpose: Purpose,
    /// Make control characters in what actions print visible: the text goes to a terminal.
    pub clean: bool,
}

/// `template: :LINE:COLUMN: executing "" at <.X>: what is wrong`
pub type Executed<T> = Result<T, String>;

pub struct State<'t> {
    template: &'t Template,
    pub(super) options: Options,
    /// Of the template that is walked now.
    name: &'t str,
    variables: Vec<(&'t str, Value)>,
    /// What is evaluated at the moment.
    pub(super) place: Place<'t>,
    depth: usize,
    out: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// The text, and what went wrong after it was written.
pub fn execute(template: &Template, data: &Value, options: Options) -> (String, Executed<()>) {
    let mut state = State {
        template,
        options,
        name: "",
        variables: vec![("$", data.clone())],
        place: Place::Start,
        depth: 0,
        out: String::new(),
    };
    let result = match template.trees.get("") {
        Some(nodes) => state.walk(data, nodes).map(drop),
        None => Ok(()),
    };
    (state.out, result)
}

/// An error with its place in the text of the template.
pub fn told(text: &str, name: &str, place: Place<'_>, what: &dyn std::fmt::Display) -> String {
    let at = place.at();
    let before = &text[..at];
    let line = 1 + before.matches('\n').count();
    let column = at - before.rfind('\n').map_or(0, |n| n + 1);
    format!("template: :{line}:{column}: executing {} at <{place}>: {what}", super::print::quote(name))
}

impl<'t> State<'t> {
    pub(super) fn wrong<T>(&self, what: impl std::fmt::Display) -> Executed<T> {
        Err(told(&self.template.text, self.name, self.place, &what))
    }

    pub(super) fn no_entry<T>(&self, key: &str) -> Executed<T> {
        self.wrong(format!("map has no entry for key {}", super::print::quote(key)))
    }

    fn no_field<T>(&self, name: &str, of: &str) -> Executed<T> {
        self.wrong(format!("can't evaluate field {name} in type {of}"))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Executed<T>) -> Executed<T> {
        if self.depth == DEEPEST {
            return self.wrong(format!("exceeded maximum template depth ({DEEPEST})"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn walk(&mut self, dot: &Value, nodes: &'t Nodes) -> Executed<Flow> {
        for node in nodes {
            let flow = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    Flow::On
                }
                Node::Action(pipe) => {
                    let value = self.pipeline(dot, pipe)?;
                    if pipe.variables.is_empty() {
                        self.print(&value)?;
                    }
                    Flow::On
                }
                Node::If(branch) | Node::With(branch) => self.deeper(|s| s.branch(dot, node, branch))?,
                Node::Range(branch) => self.deeper(|s| s.range(dot, branch))?,
                Node::Template(call) => self.deeper(|s| s.call(dot, call))?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// What an action came to. What is not there is never printed: a script would take it for an answer.
    fn print(&mut self, value: &Value) -> Executed<()> {
        let text = match value {
            Value::Absent(key) => return self.no_entry(key),
            // A key that is there and is null: docker's words.
            Value::Null => "<no value>".to_owned(),
            Value::Lookup(_) => return self.wrong("can't print a method"),
            value => plain(value),
        };
        let clean = |text: String| if self.options.clean { ui::clean_lines(&text) } else { text };
        let text = clean(text);
        self.out.push_str(&text);
        Ok(())
    }

    fn branch(&mut self, dot: &Value, node: &Node, branch: &'t Branch) -> Executed<Flow> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = match value.truth() {
            true if matches!(node, Node::With(_)) => self.walk(&value, &branch.then)?,
            true => self.walk(dot, &branch.then)?,
            false => self.walk(dot, &branch.otherwise)?,
        };
        self.variables.truncate(known);
        Ok(flow)
    }

    fn range(&mut self, dot: &Value, branch: &'t Branch) -> Executed<Flow> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let mut any = false;
        let mut step = |s: &mut Self, key: Value, item: Value| -> Executed<bool> {
            any = true;
            s.set_loop_variables(known, &branch.pipe, key, &item)?;
            let inner = s.variables.len();
            let flow = s.walk(&item, &branch.then)?;
            s.variables.truncate(inner);
            Ok(flow == Flow::Break)
        };
        match &value {
            Value::List(list) => {
                for (at, item) in list.items().iter().enumerate() {
                    if step(self, Value::Int(at as i64), item.clone())? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in map.iter() {
                    if step(self, Value::text(key.as_str()), item.clone())? {
                        break;
                    }
                }
            }
            Value::Int(count) => {
                for n in 0..*count {
                    if step(self, Value::Int(n), Value::Int(n))? {
                        break;
                    }
                }
            }
            Value::Null | Value::Absent(_) => {}
            other => return self.wrong(format!("range can't iterate over {}", plain(other))),
        }
        let flow = if any { Flow::On } else { self.walk(dot, &branch.otherwise)? };
        self.variables.truncate(known);
        Ok(flow)
    }

    /// The pipeline has declared its variables, above the first `known`.
    fn set_loop_variables(&mut self, known: usize, pipe: &'t Pipe, key: Value, item: &Value) -> Executed<()> {
        let values = match pipe.variables.len() {
            0 => return Ok(()),
            1 => vec![item.clone()],
            _ => vec![key, item.clone()],
        };
        for (at, (name, value)) in pipe.variables.iter().zip(values).enumerate() {
            if pipe.assigns {
                self.assign(name, value)?;
            } else {
                self.variables[known + at].1 = value;
            }
        }
        Ok(())
    }

    fn assign(&mut self, name: &str, value: Value) -> Executed<()> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some(variable) => {
                variable.1 = value;
                Ok(())
            }
            None => self.wrong(format!("undefined variable: {name}")),
        }
    }

    fn call(&mut self, dot: &Value, call: &'t Call) -> Executed<Flow> {
        self.place = Place::Call(call);
        let Some((name, nodes)) = self.template.trees.get_key_value(&call.name) else {
            return self.wrong(format!("template {} not defined", super::print::quote(&call.name)));
        };
        let dot = match &call.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Null,
        };
        let outer_name = std::mem::replace(&mut self.name, name);
        let outer = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        self.walk(&dot, nodes)?;
        (self.name, self.variables) = (outer_name, outer);
        Ok(Flow::On)
    }

    fn pipeline(&mut self, dot: &Value, pipe: &'t Pipe) -> Executed<Value> {
        self.place = Place::Pipe(pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Value::Null);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    /// `last`: what the command before it in the pipeline gave; its last argument.
    fn command(&mut self, dot: &Value, command: &'t Command, last: Option<Value>) -> Executed<Value> {
        let (first, args) = (&command.operands[0], &command.operands[1..]);
        match &first.kind {
            OperandKind::Function(name) => {
                self.place = Place::Operand(first);
                return self.function(dot, name, Place::Command(command), args, last);
            }
            OperandKind::Field(_) | OperandKind::Variable(..) | OperandKind::Chain(..) => {
                return self.fields(dot, first, args, last);
            }
            _ => {}
        }
        self.place = Place::Operand(first);
        if !args.is_empty() || last.is_some() {
            return self.wrong(format!("can't give argument to non-function {first}"));
        }
        match &first.kind {
            OperandKind::Nil => self.wrong("nil is not a command"),
            _ => self.operand(dot, first),
        }
    }

    pub(super) fn operand(&mut self, dot: &Value, operand: &'t Operand) -> Executed<Value> {
        self.place = Place::Operand(operand);
        Ok(match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Nil => Value::Null,
            OperandKind::Bool(b) => Value::Bool(*b),
            OperandKind::String { value, .. } => Value::text(value.as_str()),
            OperandKind::Number { value: Number::Int(n), .. } => Value::Int(*n),
            OperandKind::Number { value: Number::Float(f), .. } => Value::Float(*f),
            OperandKind::Number { text, .. } => return self.wrong(format!("{text} overflows int")),
            // A variable declared in parentheses lives on, as in Go.
            OperandKind::Pipe(pipe) => self.deeper(|s| s.pipeline(dot, pipe))?,
            OperandKind::Function(name) => self.function(dot, name, Place::Operand(operand), &[], None)?,
            OperandKind::Field(_) | OperandKind::Variable(..) | OperandKind::Chain(..) => {
                self.fields(dot, operand, &[], None)?
            }
        })
    }

    /// `.A.B`, `$x.A.B` and `(pipe).A.B`. Arguments are for the last one, where that is a method.
    fn fields(
        &mut self,
        dot: &Value,
        operand: &'t Operand,
        args: &'t [Operand],
        last: Option<Value>,
    ) -> Executed<Value> {
        self.place = Place::Operand(operand);
        let (base, names) = match &operand.kind {
            OperandKind::Field(names) => (dot.clone(), names),
            OperandKind::Variable(name, names) => (self.variable(name)?, names),
            OperandKind::Chain(inner, names) => (self.operand(dot, inner)?, names),
            _ => return self.operand(dot, operand),
        };
        let Some((end, path)) = names.split_last() else {
            if !args.is_empty() || last.is_some() {
                return self.wrong(format!("can't give argument to non-function {operand}"));
            }
            return Ok(base);
        };
        let chained = matches!(operand.kind, OperandKind::Chain(..));
        let mut value = match base {
            // What a pipeline came to has no type any more where it is nil.
            Value::Null => Value::Absent(names[0].as_str().into()),
            other if chained && !matches!(other, Value::Map(_) | Value::Struct(_) | Value::NilPointer(_)) => {
                return self.no_field(&names[0], other.type_name());
            }
            other => other,
        };
        for name in path {
            value = self.field(&value, name, 0)?;
            if let Value::Lookup(_) = value {
                return self.wrong(format!("wrong number of args for {name}: want 1 got 0"));
            }
        }
        let given = args.len() + usize::from(last.is_some());
        let value = self.field(&value, end, given)?;
        let Value::Lookup(words) = &value else { return Ok(value) };
        if given != 1 {
            return self.wrong(format!("wrong number of args for {end}: want 1 got {given}"));
        }
        let word = match (args.first(), last) {
            (Some(arg), _) => self.argument(dot, arg, Param::Text)?,
            (None, last) => self.checked(last.unwrap_or(Value::Null), Param::Text)?,
        };
        let word = plain(&word);
        if self.options.purpose == Purpose::Heading {
            let name = word.rsplit('.').next().unwrap_or_default();
            return Ok(Value::text(name.replace(['-', '_'], " ")));
        }
        Ok(Value::text(words.get(&word).map_or("", String::as_str)))
    }

    fn variable(&self, name: &str) -> Executed<Value> {
        match self.variables.iter().rev().find(|(known, _)| *known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.wrong(format!("undefined variable: {name}")),
        }
    }

    /// `args`: how many were given.
    fn field(&self, value: &Value, name: &str, args: usize) -> Executed<Value> {
        match value {
            Value::Struct(s) => match s.field(name) {
                Some(Value::Lookup(words)) => Ok(Value::Lookup(words.clone())),
                Some(_) if args > 0 => self.wrong(format!("{name} has arguments but cannot be invoked as function")),
                Some(found) => Ok(found.clone()),
                None => self.no_field(name, s.name),
            },
            Value::Map(map) if args > 0 && !matches!(map.get(name), Some(Value::Lookup(_))) => {
                self.wrong(format!("{name} is not a method but has arguments"))
            }
            Value::Map(map) if map.key != "string" => self.no_field(name, "map"),
            Value::Map(map) => match map.get(name) {
                Some(found) => Ok(found.clone()),
                None if self.options.missing == Missing::Error => self.no_entry(name),
                None => Ok(Value::Absent(name.into())),
            },
            Value::Absent(key) if self.options.missing == Missing::Absent => Ok(Value::Absent(Rc::clone(key))),
            Value::Absent(_) => self.wrong(format!("nil data; no entry for key {}", super::print::quote(name))),
            Value::NilPointer(of) => self.wrong(format!("nil pointer evaluating {of}.{name}")),
            Value::Null => self.wrong(format!("nil pointer evaluating interface {{}}.{name}")),
            other => {
                let raw = self.options.missing == Missing::Error;
                let of = if raw { "interface {}" } else { other.type_name() };
                self.no_field(name, of)
            }
        }
    }
}

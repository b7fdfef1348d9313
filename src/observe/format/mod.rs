//! Docker's output formats: Go's text templates over Go's values, tables, JSON.
//!
//! The evaluator is hardrun's own, for what a script sees of docker's is not only Go's language: structs print in the
//! order of their fields, a second look goes over the raw JSON, errors name line, column and expression. What it prints is held against
//! docker's own answers in `tests/formats/`.

mod call;
mod compare;
mod escape;
mod exec;
mod functions;
#[cfg(test)]
mod golden;
pub mod inspect;
pub mod json;
mod lex;
pub mod list;
mod literal;
mod node;
mod parse;
mod pipeline;
pub mod print;
mod printf;
mod rehearse;
mod table;
mod value;

pub use exec::Options;
pub use functions::Purpose;
pub use value::{Field, List, Map, Struct, Value};

use node::{Node, Nodes};
use std::collections::BTreeMap;

/// What asking a map for a key that it does not have comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// [`Value::Absent`]: `if` takes it for false, to print it is an error.
    Absent,
    /// An error at once, as docker has it for raw JSON.
    Error,
}

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    text: String,
    /// The main one under the empty name.
    trees: BTreeMap<String, Nodes>,
}

impl Template {
    /// The error is docker's without its first words: `template: :1: unclosed action`.
    pub fn parse(text: &str) -> Result<Template, String> {
        Ok(Template { text: text.to_owned(), trees: parse::parse(text)? })
    }

    /// The text that the data gives. The error is docker's without its first words.
    pub fn render(&self, data: &Value, options: Options) -> Result<String, String> {
        let (text, result) = exec::execute(self, data, options);
        result.map(|()| text)
    }

    /// What is written up to the first error.
    fn render_what_can_be(&self, data: &Value, options: Options) -> String {
        exec::execute(self, data, options).0
    }

    /// Looks for fields of an entry that it does not have, where there is no entry to ask.
    ///
    /// # Errors
    /// What an entry of the type `of` would have said.
    pub fn rehearse(&self, of: &str, known: &[&str]) -> Result<(), String> {
        let unknown = |names: &[String]| names.first().is_some_and(|n| !known.contains(&n.as_str()));
        let Some(operand) = self.trees.get("").and_then(|nodes| rehearse::first(nodes, true, &unknown)) else {
            return Ok(());
        };
        let (node::OperandKind::Field(names) | node::OperandKind::Variable(_, names)) = &operand.kind else {
            return Ok(());
        };
        let name = names.first().map(String::as_str).unwrap_or_default();
        let place = node::Place::Operand(operand);
        Err(exec::told(&self.text, "", place, &format!("can't evaluate field {name} in type {of}")))
    }

    /// Whether `.NAME` is asked for anywhere: what is expensive to find out need not be found out otherwise.
    pub fn mentions(&self, name: &str) -> bool {
        self.trees.values().flatten().any(|node| in_node(node, name))
    }
}

fn in_node(node: &Node, name: &str) -> bool {
    match node {
        Node::Text(_) | Node::Break | Node::Continue => false,
        Node::Action(pipe) => in_pipe(pipe, name),
        Node::If(b) | Node::With(b) | Node::Range(b) => {
            in_pipe(&b.pipe, name) || b.then.iter().chain(&b.otherwise).any(|n| in_node(n, name))
        }
        Node::Template(call) => call.pipe.as_ref().is_some_and(|pipe| in_pipe(pipe, name)),
    }
}

fn in_pipe(pipe: &node::Pipe, name: &str) -> bool {
    pipe.commands.iter().flat_map(|c| &c.operands).any(|operand| in_operand(operand, name))
}

fn in_operand(operand: &node::Operand, name: &str) -> bool {
    use node::OperandKind::{Chain, Field, Pipe, Variable};
    match &operand.kind {
        Field(names) | Variable(_, names) => names.iter().any(|n| n == name),
        Chain(inner, names) => names.iter().any(|n| n == name) || in_operand(inner, name),
        Pipe(pipe) => in_pipe(pipe, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPTIONS: Options = Options { missing: Missing::Absent, purpose: Purpose::Data, clean: false };

    #[test]
    fn what_is_nested_too_deep_is_an_error() {
        let data = Value::from(serde_json::json!({"a": 1}));
        let deep = |n: usize| format!("{}1{}", "{{if .a}}".repeat(n), "{{end}}".repeat(n));
        assert_eq!(Template::parse(&deep(90)).unwrap().render(&data, OPTIONS).unwrap(), "1");
        assert!(Template::parse(&deep(1000)).unwrap_err().contains("max expression depth"));
        let parens = format!("{{{{{}1{}}}}}", "(".repeat(1000), ")".repeat(1000));
        assert!(Template::parse(&parens).unwrap_err().contains("max expression depth"));
        let endless = Template::parse(r#"{{define "a"}}{{template "a"}}{{end}}{{template "a"}}"#).unwrap();
        assert!(endless.render(&data, OPTIONS).unwrap_err().contains("exceeded maximum template depth"));
    }

    #[test]
    fn fields_that_are_asked_for() {
        let template = Template::parse(r#"{{range .A}}{{if eq (printf "%s" $.Size) "x"}}{{end}}{{end}}"#).unwrap();
        assert!(template.mentions("Size") && template.mentions("A") && !template.mentions("B"));
    }

    #[test]
    fn escapes_do_not_reach_a_terminal() {
        let data = Value::from(serde_json::json!({"a": "x\u{1b}[2J\ny"}));
        let template = Template::parse("{{.a}}\u{1b}").unwrap();
        let shown = template.render(&data, Options { clean: true, ..OPTIONS }).unwrap();
        assert_eq!(shown, "x\\u{1b}[2J\ny\u{1b}");
    }

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("{{".to_owned()),
            Just("}}".to_owned()),
            "[ .|$()a-c\"'`0-9:=,%-]{0,6}",
            prop::sample::select(vec![
                "if", "else", "end", "range", "with", "define", "template", "block", "break", "json", "printf",
                "index", "slice", ".a", ".b", "$x", ":=", "eq", "len", "and", "pad", "truncate", "nil", "true", "-}}",
                "{{- ",
            ])
            .prop_map(|word| format!(" {word} ")),
            ".{0,3}",
        ]
    }

    proptest! {
        #[test]
        fn no_text_panics(pieces in proptest::collection::vec(piece(), 0..12)) {
            let data = Value::from(serde_json::json!({"a": [1, "x", null], "b": {"c": 1.5}}));
            if let Ok(template) = Template::parse(&pieces.concat()) {
                let _ = template.render(&data, OPTIONS);
                let _ = template.render(&data, Options { missing: Missing::Error, ..OPTIONS });
            }
        }
    }
}

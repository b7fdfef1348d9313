//! Which fields a template asks an entry for, without an entry: where nothing is listed, a field that does not exist would pass
//! for an empty answer.

use super::node::{Branch, Node, Operand, OperandKind, Pipe};

/// The first operand that asks the entry for a field that is `unknown`. `entry`: the dot is the entry here; in the body of `with`
/// and `range` it is something else, which only an entry could tell.
pub fn first<'t>(nodes: &'t [Node], entry: bool, unknown: &dyn Fn(&[String]) -> bool) -> Option<&'t Operand> {
    nodes.iter().find_map(|node| match node {
        Node::Text(_) | Node::Break | Node::Continue => None,
        Node::Action(pipe) => in_pipe(pipe, entry, unknown),
        Node::If(b) => branch(b, entry, entry, unknown),
        Node::With(b) | Node::Range(b) => branch(b, entry, false, unknown),
        Node::Template(call) => call.pipe.as_ref().and_then(|pipe| in_pipe(pipe, entry, unknown)),
    })
}

fn branch<'t>(b: &'t Branch, entry: bool, inside: bool, unknown: &dyn Fn(&[String]) -> bool) -> Option<&'t Operand> {
    in_pipe(&b.pipe, entry, unknown)
        .or_else(|| first(&b.then, inside, unknown))
        // What is done instead is done with the same dot.
        .or_else(|| first(&b.otherwise, entry, unknown))
}

fn in_pipe<'t>(pipe: &'t Pipe, entry: bool, unknown: &dyn Fn(&[String]) -> bool) -> Option<&'t Operand> {
    pipe.commands.iter().flat_map(|c| &c.operands).find_map(|operand| in_operand(operand, entry, unknown))
}

fn in_operand<'t>(operand: &'t Operand, entry: bool, unknown: &dyn Fn(&[String]) -> bool) -> Option<&'t Operand> {
    match &operand.kind {
        OperandKind::Field(names) if entry && unknown(names) => Some(operand),
        OperandKind::Variable(name, names) if name == "$" && unknown(names) => Some(operand),
        OperandKind::Chain(inner, _) => in_operand(inner, entry, unknown),
        OperandKind::Pipe(pipe) => in_pipe(pipe, entry, unknown),
        _ => None,
    }
}

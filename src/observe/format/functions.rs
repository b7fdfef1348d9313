//! What a template can call: Go's own functions, and those that docker adds.

use super::print::{plain, sprint, sprintln};
use super::value::Value;
use super::{compare, escape, json, printf};
use std::rc::Rc;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Param {
    Any,
    /// The answer may depend on whether a key is there; nothing of it is shown.
    Maybe,
    Text,
    Int,
}

pub struct Function {
    pub params: &'static [Param],
    /// Any number of further ones.
    pub rest: Option<Param>,
    pub call: fn(&[Value]) -> Result<Value, String>,
}

/// Which functions there are: a table's heading is made by the same template from the columns' names, with functions
/// that leave those as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Data,
    Heading,
}

const fn fixed(params: &'static [Param], call: fn(&[Value]) -> Result<Value, String>) -> Function {
    Function { params, rest: None, call }
}

const fn open(params: &'static [Param], rest: Param, call: fn(&[Value]) -> Result<Value, String>) -> Function {
    Function { params, rest: Some(rest), call }
}

use Param::{Any, Int, Maybe, Text};

/// `and` and `or` are not here: they look at their operands one by one.
const FUNCTIONS: &[(&str, Function)] = &[
    ("call", open(&[Any], Any, |v| Err(format!("non-function of type {}", v[0].type_name())))),
    ("html", open(&[], Any, |v| Ok(Value::text(escape::html(&joined(v)))))),
    ("index", open(&[Any], Any, |v| v[1..].iter().try_fold(v[0].clone(), index))),
    ("slice", open(&[Any], Any, slice)),
    ("js", open(&[], Any, |v| Ok(Value::text(escape::js(&joined(v)))))),
    ("len", fixed(&[Any], len)),
    ("not", fixed(&[Maybe], |v| Ok(Value::Bool(!v[0].truth())))),
    ("print", open(&[], Any, |v| Ok(Value::text(sprint(v))))),
    ("println", open(&[], Any, |v| Ok(Value::text(sprintln(v))))),
    ("printf", open(&[Text], Any, |v| Ok(Value::text(printf::sprintf(&text(v, 0), &v[1..]))))),
    ("urlquery", open(&[], Any, |v| Ok(Value::text(escape::urlquery(&joined(v)))))),
    ("eq", open(&[Maybe], Maybe, |v| compare::eq(&v[0], &v[1..]).map(Value::Bool))),
    ("ne", fixed(&[Maybe, Maybe], |v| compare::eq(&v[0], &v[1..]).map(|same| Value::Bool(!same)))),
    ("lt", fixed(&[Any, Any], |v| compare::less(&v[0], &v[1]).map(Value::Bool))),
    ("le", fixed(&[Any, Any], |v| compare::less_or_same(&v[0], &v[1]).map(Value::Bool))),
    ("gt", fixed(&[Any, Any], |v| compare::less_or_same(&v[0], &v[1]).map(|is| Value::Bool(!is)))),
    ("ge", fixed(&[Any, Any], |v| compare::less(&v[0], &v[1]).map(|is| Value::Bool(!is)))),
    ("json", fixed(&[Any], |v| Ok(Value::text(json::compact(&v[0]))))),
    ("join", fixed(&[Any, Text], |v| join(&v[0], &text(v, 1)))),
    ("split", fixed(&[Text, Text], |v| Ok(split(&text(v, 0), &text(v, 1))))),
    ("lower", fixed(&[Text], |v| Ok(Value::text(text(v, 0).to_lowercase())))),
    ("upper", fixed(&[Text], |v| Ok(Value::text(text(v, 0).to_uppercase())))),
    ("title", fixed(&[Text], |v| Ok(Value::text(title(&text(v, 0)))))),
    ("pad", fixed(&[Text, Int, Int], |v| pad(&text(v, 0), int(v, 1), int(v, 2)))),
    ("truncate", fixed(&[Text, Int], |v| truncate(&text(v, 0), int(v, 1)))),
];

const HEADING: &[(&str, Function)] = &[
    ("json", fixed(&[Text], |v| Ok(v[0].clone()))),
    ("lower", fixed(&[Text], |v| Ok(v[0].clone()))),
    ("upper", fixed(&[Text], |v| Ok(v[0].clone()))),
    ("title", fixed(&[Text], |v| Ok(v[0].clone()))),
    ("truncate", fixed(&[Text, Int], |v| Ok(v[0].clone()))),
];

/// Longest padding and text that a template can ask for; docker has no limit but memory.
const LONGEST: i64 = 1 << 20;

pub fn exists(name: &str) -> bool {
    matches!(name, "and" | "or") || find(name, Purpose::Data).is_some()
}

pub fn find(name: &str, purpose: Purpose) -> Option<&'static Function> {
    let heading = if purpose == Purpose::Heading { HEADING } else { &[] };
    heading.iter().chain(FUNCTIONS).find(|(known, _)| *known == name).map(|(_, function)| function)
}

/// Arguments were checked against the parameters.
fn text(values: &[Value], at: usize) -> Rc<str> {
    match &values[at] {
        Value::Text(text) => text.clone(),
        other => plain(other).into(),
    }
}

fn int(values: &[Value], at: usize) -> i64 {
    if let Value::Int(n) = values[at] { n } else { 0 }
}

/// One text as it is, anything else printed.
fn joined(values: &[Value]) -> String {
    sprint(values)
}

/// One step of `index`.
fn index(item: Value, by: &Value) -> Result<Value, String> {
    match &item {
        Value::Null | Value::Absent(_) => Err("index of untyped nil".into()),
        Value::NilPointer(_) => Err("index of nil pointer".into()),
        Value::List(list) => {
            let at = position(by, list.items().len())?;
            list.items().get(at).cloned().ok_or_else(|| "reflect: slice index out of range".into())
        }
        Value::Text(text) => {
            let at = position(by, text.len())?;
            let byte = text.as_bytes().get(at).map(|b| Value::Int((*b).into()));
            byte.ok_or_else(|| "reflect: string index out of range".into())
        }
        Value::Map(map) => match by {
            Value::Text(_) if map.key != "string" => Err(format!("value has type string; should be {}", map.key)),
            Value::Text(key) => Ok(map.get(key).unwrap_or(&map.zero).clone()),
            Value::Null | Value::Absent(_) => Err("value is nil; should be of type string".into()),
            other => Err(format!("value has type {}; should be string", other.type_name())),
        },
        other => Err(format!("can't index item of type {}", other.type_name())),
    }
}

/// An index up to `length`.
fn position(by: &Value, length: usize) -> Result<usize, String> {
    let n = match by {
        Value::Int(n) => *n,
        Value::Null | Value::Absent(_) => return Err("cannot index slice/array with nil".into()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    let within = usize::try_from(n).ok().filter(|at| *at <= length);
    within.ok_or_else(|| format!("index out of range: {n}"))
}

fn slice(values: &[Value]) -> Result<Value, String> {
    let (item, by) = (&values[0], &values[1..]);
    if by.len() > 3 {
        return Err(format!("too many slice indexes: {}", by.len()));
    }
    let length = match item {
        Value::List(list) => list.items().len(),
        Value::Text(_) if by.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::Text(text) => text.len(),
        Value::Null | Value::Absent(_) => return Err("slice of untyped nil".into()),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let by = by.iter().map(|by| position(by, length)).collect::<Result<Vec<_>, _>>()?;
    if let Some(wrong) = by.windows(2).find(|pair| pair[0] > pair[1]) {
        return Err(format!("invalid slice index: {} > {}", wrong[0], wrong[1]));
    }
    let (from, to) = (by.first().copied().unwrap_or(0), by.get(1).copied().unwrap_or(length));
    Ok(match item {
        Value::List(list) => Value::list(list.items()[from..to].iter().cloned()),
        Value::Text(text) => Value::text(String::from_utf8_lossy(&text.as_bytes()[from..to])),
        _ => Value::Null,
    })
}

fn len(values: &[Value]) -> Result<Value, String> {
    let length = match &values[0] {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items().len(),
        Value::Map(map) => map.len(),
        Value::Null | Value::Absent(_) | Value::NilPointer(_) => return Err("len of nil pointer".into()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(length as i64))
}

/// The items of a slice, or the values of a map in the order of its keys.
fn join(items: &Value, separator: &str) -> Result<Value, String> {
    let texts: Vec<String> = match items {
        Value::Null => Vec::new(),
        Value::List(list) => list.items().iter().map(plain).collect(),
        Value::Map(map) => map.iter().map(|(_, value)| plain(value)).collect(),
        other => return Err(format!("expected slice, got {}", other.type_name())),
    };
    Ok(Value::text(texts.join(separator)))
}

fn split(text: &str, separator: &str) -> Value {
    if separator.is_empty() {
        return Value::list(text.chars().map(|c| Value::text(c.to_string())));
    }
    Value::list(text.split(separator).map(Value::text))
}

/// A capital after everything that is neither letter, digit nor underscore.
fn title(text: &str) -> String {
    let mut before = ' ';
    let capital = |c: char| {
        let start = match before {
            b if b.is_ascii() => !(b.is_ascii_alphanumeric() || b == '_'),
            b => b.is_whitespace(),
        };
        before = c;
        if start { c.to_uppercase().collect::<String>() } else { c.to_string() }
    };
    text.chars().map(capital).collect()
}

fn pad(text: &str, before: i64, after: i64) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::text(""));
    }
    if before < 0 || after < 0 {
        return Err("strings: negative Repeat count".into());
    }
    if before > LONGEST || after > LONGEST {
        return Err("strings: Repeat output length overflow".into());
    }
    Ok(Value::text(format!("{}{text}{}", " ".repeat(before as usize), " ".repeat(after as usize))))
}

/// Bytes, not characters, as docker counts.
fn truncate(text: &str, length: i64) -> Result<Value, String> {
    let length = usize::try_from(length).map_err(|_| format!("slice bounds out of range [:{length}]"))?;
    let kept = &text.as_bytes()[..length.min(text.len())];
    Ok(Value::text(String::from_utf8_lossy(kept)))
}

//! The Go types behind docker's answers: which fields they have, in which order, under which names. JSON that hardrun makes
//! is read into them, so that templates print what docker's would, and every key is there whether or not it was given.

mod container;
mod event;
mod store;

pub use container::CONTAINER;
pub use event::EVENT;
pub use store::{IMAGE, NETWORK, VOLUME};

use super::format::{Field, List, Map, Struct, Value};
use jiff::Timestamp;
use serde_json::Value as Json;
use std::rc::Rc;

/// A Go type.
#[derive(Debug)]
pub enum Shape {
    /// Whatever JSON there is.
    Any,
    Bool,
    Int,
    /// Nanoseconds, printed `1m30s`.
    Duration,
    Text,
    /// Printed as Go does, RFC 3339 in JSON.
    Time,
    /// With the name that an error about a nil one gives.
    Pointer(&'static str, &'static Shape),
    List(&'static Shape),
    Map(&'static Shape),
    /// A map whose keys are ports, `80/tcp`.
    PortMap(&'static Shape),
    Struct(&'static Type),
}

/// A Go struct type.
#[derive(Debug)]
pub struct Type {
    pub name: &'static str,
    pub fields: &'static [FieldType],
    /// Its `String` method.
    pub text: Option<fn(&Json) -> String>,
}

/// A field of a struct type.
#[derive(Debug)]
pub struct FieldType {
    pub name: &'static str,
    /// `None`: an embedded struct.
    pub json: Option<&'static str>,
    pub shape: &'static Shape,
    pub omit_empty: bool,
}

/// A field of the same name in Go and JSON.
const fn same(name: &'static str, shape: &'static Shape) -> FieldType {
    FieldType { name, json: Some(name), shape, omit_empty: false }
}
/// A field that JSON spells in its own way.
const fn named(name: &'static str, json: &'static str, shape: &'static Shape) -> FieldType {
    FieldType { name, json: Some(json), shape, omit_empty: false }
}
/// A field that JSON leaves out where it is empty.
const fn optional(name: &'static str, shape: &'static Shape) -> FieldType {
    FieldType { name, json: Some(name), shape, omit_empty: true }
}
const fn embedded(name: &'static str, shape: &'static Shape) -> FieldType {
    FieldType { name, json: None, shape, omit_empty: false }
}
const fn plain(name: &'static str, fields: &'static [FieldType]) -> Type {
    Type { name, fields, text: None }
}

const BOOL: &Shape = &Shape::Bool;
const INT: &Shape = &Shape::Int;
const TEXT: &Shape = &Shape::Text;
const TEXTS: &Shape = &Shape::List(TEXT);
const WORDS: &Shape = &Shape::Map(TEXT);
const UNIT: &Shape = &Shape::Struct(&Type { name: "struct {}", fields: &[], text: None });
/// `map[string]struct{}`
const SET: &Shape = &Shape::Map(UNIT);
const PORT_SET: &Shape = &Shape::PortMap(UNIT);

impl Shape {
    /// The JSON as a value of this type; what is not there is Go's zero value.
    pub fn typed(&self, json: Option<&Json>) -> Value {
        let json = json.filter(|j| !j.is_null());
        match self {
            Shape::Any => json.map_or(Value::Null, |j| Value::from(j.clone())),
            Shape::Bool => Value::Bool(json.and_then(Json::as_bool).unwrap_or_default()),
            Shape::Int => Value::Int(json.and_then(Json::as_i64).unwrap_or_default()),
            Shape::Duration => Value::Duration(json.and_then(Json::as_i64).unwrap_or_default()),
            Shape::Text => Value::text(json.and_then(Json::as_str).unwrap_or_default()),
            Shape::Time => {
                let given = json.and_then(Json::as_str).and_then(|text| text.parse::<Timestamp>().ok());
                Value::Time(given.unwrap_or_else(zero_time))
            }
            Shape::Pointer(name, inner) => match json {
                Some(json) => inner.typed(Some(json)),
                None => Value::NilPointer(name),
            },
            Shape::List(inner) => {
                let items = json.and_then(Json::as_array);
                Value::List(List(items.map(|items| items.iter().map(|item| inner.typed(Some(item))).collect())))
            }
            Shape::Map(inner) | Shape::PortMap(inner) => {
                let entries = json.and_then(Json::as_object);
                let typed = |(key, value): (&String, &Json)| (key.clone(), inner.typed(Some(value)));
                Value::Map(Map {
                    entries: entries.map(|entries| Rc::new(entries.iter().map(typed).collect())),
                    zero: Rc::new(inner.typed(None)),
                    key: if matches!(self, Shape::PortMap(_)) { "nat.Port" } else { "string" },
                })
            }
            Shape::Struct(of) => Value::Struct(Rc::new(of.typed(json))),
        }
    }
}

impl Type {
    fn typed(&self, json: Option<&Json>) -> Struct {
        let field = |field: &FieldType| Field {
            name: field.name,
            json: field.json,
            omit_empty: field.omit_empty,
            embedded: field.json.is_none(),
            value: match field.json {
                Some(key) => field.shape.typed(json.and_then(|j| j.get(key))),
                None => field.shape.typed(json),
            },
        };
        Struct {
            name: self.name,
            fields: self.fields.iter().map(field).collect(),
            text: self.text.map(|text| text(json.unwrap_or(&Json::Null))),
            entry: false,
        }
    }
}

/// Go's zero time, `0001-01-01T00:00:00Z`.
pub fn zero_time() -> Timestamp {
    Timestamp::from_second(-62_135_596_800).expect("the year 1 is within what a timestamp holds")
}

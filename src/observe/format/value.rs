//! The data that templates are evaluated over: Go's values, as far as a template can tell them apart.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A value. Clones are cheap: what can be large is shared.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// What came of asking a map for a key (given here) that it does not have. It may be asked about (`if`, `eq`), but
    /// not shown.
    Absent(Rc<str>),
    /// `nil` without a type: JSON's `null`. Printed `<no value>`, inside of another value `<nil>`.
    Null,
    /// A pointer of this type that leads nowhere. Printed `<nil>`.
    NilPointer(&'static str),
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Time(Timestamp),
    /// Nanoseconds.
    Duration(i64),
    List(List),
    Map(Map),
    Struct(Rc<Struct>),
    /// A method that takes a word: `.Label "key"`. A word that is not there gives the empty text.
    Lookup(Rc<BTreeMap<String, String>>),
}

/// A slice. A nil one prints like an empty one and is `null` in JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct List(pub Option<Rc<[Value]>>);

/// A map with text as keys, which Go prints and walks in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// `None`: a nil map, which prints like an empty one and is `null` in JSON.
    pub entries: Option<Rc<BTreeMap<String, Value>>>,
    /// What `index` gives for a key that is not there.
    pub zero: Rc<Value>,
    /// The Go type of its keys. Where that is not `string`, as with ports, `index` does not take a text for a key, and a
    /// template that tries goes on over the raw JSON.
    pub key: &'static str,
}

/// A Go struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Struct {
    /// As errors name it: `container.State`.
    pub name: &'static str,
    pub fields: Vec<Field>,
    /// How it prints where its type has a `String` method.
    pub text: Option<String>,
    /// An entry of a listing: Go's own encoder makes its JSON, which escapes what HTML would take for markup.
    pub entry: bool,
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// As a template asks for it: `CPUShares`.
    pub name: &'static str,
    /// As JSON has it: `CpuShares`. `None`: not at all.
    pub json: Option<&'static str>,
    /// Left out of JSON where it is empty.
    pub omit_empty: bool,
    /// An embedded struct: its fields count as those of the outer one.
    pub embedded: bool,
    pub value: Value,
}

impl List {
    pub fn items(&self) -> &[Value] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Map {
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.as_ref()?.get(key)
    }
    pub fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, |e| e.len())
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// In the keys' order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.entries.iter().flat_map(|e| e.iter())
    }
}

impl Struct {
    /// By the name that Go has for it, in embedded structs too.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|f| f.name == name).map(|f| &f.value).or_else(|| {
            let inner = self.fields.iter().filter(|f| f.embedded);
            inner.filter_map(|f| if let Value::Struct(s) = &f.value { s.field(name) } else { None }).next()
        })
    }

    /// The fields as JSON has them, in order, embedded structs taken apart.
    pub fn json_fields(&self) -> Vec<(&'static str, &Value)> {
        let mut out = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            match (&field.value, field.json) {
                (Value::Struct(inner), _) if field.embedded => out.extend(inner.json_fields()),
                (Value::Lookup(_), _) | (_, None) => {}
                (value, Some(_)) if field.omit_empty && value.is_empty() => {}
                (value, Some(name)) => out.push((name, value)),
            }
        }
        out
    }
}

impl Value {
    pub fn text(text: impl Into<Rc<str>>) -> Value {
        Value::Text(text.into())
    }

    pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(List(Some(items.into_iter().collect())))
    }

    /// A map whose missing keys are `nil`, as those of decoded JSON are.
    pub fn map(entries: BTreeMap<String, Value>) -> Value {
        Value::Map(Map { entries: Some(Rc::new(entries)), zero: Rc::new(Value::Null), key: "string" })
    }

    /// A line of a listing: what a template can ask for, under one name for Go and JSON. JSON has the fields in
    /// alphabetical order, as docker's has.
    pub fn row(name: &'static str, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
        let field = |(name, value)| Field { name, json: Some(name), omit_empty: false, embedded: false, value };
        let mut fields: Vec<Field> = fields.into_iter().map(field).collect();
        fields.sort_by_key(|f| f.name);
        Value::Struct(Rc::new(Struct { name, fields, text: None, entry: true }))
    }

    /// What `if` makes of it.
    pub fn truth(&self) -> bool {
        match self {
            Value::Absent(_) | Value::Null | Value::NilPointer(_) => false,
            Value::Bool(b) => *b,
            Value::Int(n) | Value::Duration(n) => *n != 0,
            Value::Float(f) => *f != 0.0,
            Value::Text(s) => !s.is_empty(),
            Value::List(l) => !l.items().is_empty(),
            Value::Map(m) => !m.is_empty(),
            Value::Struct(_) | Value::Time(_) | Value::Lookup(_) => true,
        }
    }

    /// What `omitempty` leaves out of JSON.
    fn is_empty(&self) -> bool {
        !self.truth()
    }

    /// The name of its Go type, or of the nearest one that a template's data has.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Absent(_) | Value::Null => "interface {}",
            Value::NilPointer(name) => name,
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]interface {}",
            Value::Struct(s) => s.name,
            Value::Lookup(_) => "func(string) string",
        }
    }

    /// The same as decoded JSON: structs are maps, what is nil is `null`.
    pub fn raw(&self) -> Value {
        match self {
            Value::Absent(_) | Value::Null | Value::NilPointer(_) | Value::Lookup(_) => Value::Null,
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => self.clone(),
            Value::Time(at) => Value::text(at.to_string()),
            Value::Duration(n) => Value::Int(*n),
            Value::List(List(None)) | Value::Map(Map { entries: None, .. }) => Value::Null,
            Value::List(list) => Value::list(list.items().iter().map(Value::raw)),
            Value::Map(map) => Value::map(map.iter().map(|(k, v)| (k.clone(), v.raw())).collect()),
            Value::Struct(s) => {
                Value::map(s.json_fields().into_iter().map(|(name, value)| (name.to_owned(), value.raw())).collect())
            }
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(b) => Value::Bool(b),
            serde_json::Value::Number(n) => match n.as_i64() {
                Some(n) => Value::Int(n),
                None => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(s) => Value::text(s),
            serde_json::Value::Array(items) => Value::list(items.into_iter().map(Value::from)),
            serde_json::Value::Object(entries) => {
                Value::map(entries.into_iter().map(|(k, v)| (k, Value::from(v))).collect())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::text(text)
    }
}
impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::text(text)
    }
}
impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}
impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Int(n)
    }
}

//! `eq`, `lt` and their kin: only like is compared with like.

use super::print::plain;
use super::value::Value;
use std::cmp::Ordering;

/// Whether `one` is any of `others`.
pub fn eq(one: &Value, others: &[Value]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        if same(one, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn nil(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Absent(_) | Value::NilPointer(_))
}

fn same(one: &Value, other: &Value) -> Result<bool, String> {
    match (one, other) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Text(a), Value::Text(b)) => Ok(a == b),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        (a, b) if nil(a) || nil(b) => Ok(nil(a) && nil(b)),
        (Value::List(_) | Value::Map(_), _) if one.type_name() == other.type_name() => {
            Err(format!("non-comparable type {}: {}", plain(one), one.type_name()))
        }
        (Value::Struct(a), Value::Struct(b)) if a.name == b.name => Ok(a == b),
        _ => Err("incompatible types for comparison".into()),
    }
}

pub fn less(one: &Value, other: &Value) -> Result<bool, String> {
    Ok(order(one, other)? == Some(Ordering::Less))
}

pub fn less_or_same(one: &Value, other: &Value) -> Result<bool, String> {
    Ok(order(one, other)?.is_some_and(|o| o != Ordering::Greater))
}

fn order(one: &Value, other: &Value) -> Result<Option<Ordering>, String> {
    let basic =
        |v: &Value| matches!(v, Value::Bool(_) | Value::Int(_) | Value::Duration(_) | Value::Float(_) | Value::Text(_));
    match (one, other) {
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(_), Value::Bool(_)) => Err("invalid type for comparison".into()),
        (a, b) if !basic(a) || !basic(b) => Err("invalid type for comparison".into()),
        _ => Err("incompatible types for comparison".into()),
    }
}

//! Calls of functions: how many arguments there are, of which kind, and what is not there.

use super::exec::{Executed, State};
use super::functions::{self, Function, Param};
use super::node::{Operand, OperandKind, Place};
use super::value::Value;

impl<'t> State<'t> {
    /// `whole`: what an error that the function itself gives is about.
    pub(super) fn function(
        &mut self,
        dot: &Value,
        name: &str,
        whole: Place<'t>,
        args: &'t [Operand],
        last: Option<Value>,
    ) -> Executed<Value> {
        let given = args.len() + usize::from(last.is_some());
        if name == "and" || name == "or" {
            if given == 0 {
                return self.wrong(format!("wrong number of args for {name}: want at least 1 got 0"));
            }
            return self.shortcut(dot, name == "or", args, last);
        }
        let Some(Function { params, rest, call }) = functions::find(name, self.options.purpose) else {
            return self.wrong(format!("{} is not a defined function", super::print::quote(name)));
        };
        match rest {
            Some(_) if given < params.len() => {
                let least = params.len();
                return self.wrong(format!("wrong number of args for {name}: want at least {least} got {given}"));
            }
            None if given != params.len() => {
                return self.wrong(format!("wrong number of args for {name}: want {} got {given}", params.len()));
            }
            _ => {}
        }
        let param = |at: usize| params.get(at).copied().or(*rest).unwrap_or(Param::Any);
        let mut values = Vec::with_capacity(given);
        for (at, arg) in args.iter().enumerate() {
            values.push(self.argument(dot, arg, param(at))?);
        }
        if let Some(last) = last {
            values.push(self.checked(last, param(args.len()))?);
        }
        call(&values).or_else(|e| {
            self.place = whole;
            self.wrong(format!("error calling {name}: {e}"))
        })
    }

    /// `and`, `or`: the first operand that decides, or the last one.
    fn shortcut(&mut self, dot: &Value, stop: bool, args: &'t [Operand], last: Option<Value>) -> Executed<Value> {
        let mut value = Value::Null;
        for arg in args {
            value = self.operand(dot, arg)?;
            if value.truth() == stop {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    pub(super) fn argument(&mut self, dot: &Value, arg: &'t Operand, param: Param) -> Executed<Value> {
        self.place = Place::Operand(arg);
        let literal =
            matches!(arg.kind, OperandKind::Bool(_) | OperandKind::Number { .. } | OperandKind::String { .. });
        let value = match &arg.kind {
            OperandKind::Nil if param == Param::Text => return self.wrong("cannot assign nil to string"),
            OperandKind::Nil if param == Param::Int => return self.wrong("cannot assign nil to int"),
            _ => self.operand(dot, arg)?,
        };
        match param {
            Param::Text if literal && !matches!(value, Value::Text(_)) => {
                self.wrong(format!("expected string; found {arg}"))
            }
            Param::Int if literal && !matches!(value, Value::Int(_)) => {
                self.wrong(format!("expected integer; found {arg}"))
            }
            param => self.checked(value, param),
        }
    }

    pub(super) fn checked(&self, value: Value, param: Param) -> Executed<Value> {
        match (param, &value) {
            (Param::Maybe, _) => Ok(value),
            (_, Value::Absent(key)) => self.no_entry(key),
            (Param::Any, _) | (Param::Text, Value::Text(_)) | (Param::Int, Value::Int(_)) => Ok(value),
            (param, value) => {
                let wanted = if param == Param::Int { "int" } else { "string" };
                match value {
                    Value::Null => self.wrong(format!("invalid value; expected {wanted}")),
                    other => self.wrong(format!("wrong type for value; expected {wanted}; got {}", other.type_name())),
                }
            }
        }
    }
}

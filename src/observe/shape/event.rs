//! Docker's `events.Message`.

use super::{FieldType, INT, Shape, TEXT, Type, WORDS, named, plain, same};

const fn left_out(name: &'static str, json: &'static str, shape: &'static Shape) -> FieldType {
    FieldType { omit_empty: true, ..named(name, json, shape) }
}

const ACTOR: Type = plain("events.Actor", &[same("ID", TEXT), same("Attributes", WORDS)]);

pub const EVENT: &Shape = &Shape::Struct(&plain(
    "*events.Message",
    &[
        left_out("Status", "status", TEXT),
        left_out("ID", "id", TEXT),
        left_out("From", "from", TEXT),
        same("Type", TEXT),
        same("Action", TEXT),
        same("Actor", &Shape::Struct(&ACTOR)),
        left_out("Scope", "scope", TEXT),
        left_out("Time", "time", INT),
        left_out("TimeNano", "timeNano", INT),
    ],
));

//! Presets: named sets of defaults and locks, layered on one another. Layers may tighten what is locked, never loosen it.

mod layer;
mod load;
mod schema;

pub use layer::{Preset, PresetTmpfs};
pub use load::{BUILTIN, SITE, list, load, resolve, source};
pub use schema::{Amount, Key, PresetFile, PresetNetwork};

/// JSON Schema of a preset file.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(PresetFile).to_value()
}

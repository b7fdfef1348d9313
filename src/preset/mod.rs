//! Presets: named sets of defaults and locks, layered on one another. Layers may tighten what is locked, never loosen it.

mod layer;
mod load;
mod paths;
mod schema;

pub use layer::{Preset, PresetTmpfs};
pub use load::{BUILTIN, SITE, list, load, resolve, source};
pub use schema::{Amount, Key, PresetFile, PresetNetwork};

/// JSON Schema of a preset file.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(PresetFile).to_value()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_has_every_key_and_takes_no_other() {
        let schema = super::json_schema();
        assert_eq!(schema["additionalProperties"], false);
        // Every key of the built-in presets is described.
        for (_, text) in super::BUILTIN {
            let file: toml::Table = text.parse().unwrap();
            for (key, value) in &file {
                assert!(schema["properties"][key].is_object(), "{key}");
                for inner in value.as_table().into_iter().flat_map(|t| t.keys()) {
                    assert!(schema["$defs"]["LimitsFile"]["properties"][inner]["description"].is_string(), "{inner}");
                }
            }
        }
    }
}

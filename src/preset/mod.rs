//! Presets: named sets of defaults and locks, layered on one another. Layers may tighten what is locked, never loosen it.

mod check;
mod choose;
mod layer;
mod load;
mod paths;
pub mod proof;
mod schema;

pub use check::{Problem, problems};
pub use choose::{LABEL, choose};
pub use layer::{Preset, PresetHealth, PresetTmpfs};
pub use load::{BUILTIN, DEFAULT, Listed, SITE, list, load, of_site, remember, resolve, source};
pub use schema::{Amount, Key, PresetFile, PresetNetwork, parse};

/// JSON Schema of a preset file.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(PresetFile).to_value()
}

#[cfg(test)]
mod tests {
    /// What editors and other programs check preset files with. `BLESS=1 cargo test --lib preset` writes it.
    #[test]
    fn the_published_schema_is_the_programs() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/presets/schema.json");
        let schema = format!("{:#}\n", super::json_schema());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(file, &schema).unwrap();
        }
        assert!(std::fs::read_to_string(file).unwrap() == schema, "presets/schema.json is not what the code takes");
    }

    /// Whoever takes a grant away later has to know which code needs it.
    #[test]
    fn every_grant_of_a_built_in_preset_says_what_for() {
        for (name, text) in super::BUILTIN.iter().filter(|(name, _)| !["default", "strict"].contains(name)) {
            let mut listing = false;
            let mut before = "";
            for line in text.lines() {
                let grants = listing && line.trim_start().starts_with('"') || line.starts_with("[[");
                let said = line.contains('#') || before.starts_with('#');
                assert!(!grants || said, "{name}: {line} does not say what for");
                listing = if listing { !line.starts_with(']') } else { line.ends_with("= [") };
                before = line;
            }
        }
    }

    #[test]
    fn every_built_in_preset_but_the_general_ones_has_a_proof() {
        let proofs: Vec<&str> = super::proof::PROOFS.iter().map(|(name, _)| *name).collect();
        for (name, _) in super::BUILTIN.iter().filter(|(name, _)| !["default", "strict"].contains(name)) {
            assert!(proofs.contains(name), "{name}");
        }
        for (name, script) in super::proof::PROOFS {
            assert!(super::proof::image_of(script).is_some(), "{name} names no image");
            assert!(script.contains("work() {") && script.contains("outside() {"), "{name} has one half");
        }
    }

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
                    // `{"$ref": "#/$defs/LimitsFile"}`, in a list of one where it may be left out.
                    let property = schema["properties"][key].to_string();
                    let name = property.split("#/$defs/").nth(1).unwrap().split('"').next().unwrap();
                    assert!(schema["$defs"][name]["properties"][inner]["description"].is_string(), "{inner}");
                }
            }
        }
    }
}

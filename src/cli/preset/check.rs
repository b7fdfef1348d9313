//! `hardrun preset check`

use super::json;
use crate::error::Result;
use crate::preset::{Problem, problems};
use crate::ui::clean;
use std::path::PathBuf;

/// What there is to say, and the exit status: 1 where a file has an error.
pub(super) fn check(files: &[PathBuf], format: &str) -> Result<(String, u8)> {
    let mut found: Vec<(String, Problem)> = Vec::new();
    for file in files {
        let name = file.display().to_string();
        found.extend(problems(&name).into_iter().map(|problem| (name.clone(), problem)));
    }
    let status = u8::from(!found.is_empty());
    if format == "json" {
        let list: Vec<_> = found
            .iter()
            .map(|(file, p)| serde_json::json!({ "file": file, "line": p.line, "key": p.key, "message": p.message }))
            .collect();
        return Ok((json(&list)?, status));
    }
    let mut text = String::new();
    for (file, Problem { line, key, message }) in &found {
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        let key = key.as_ref().map_or_else(String::new, |key| format!("{key}: "));
        text.push_str(&format!("{}{line}: {}{}\n", clean(file), clean(&key), clean(message)));
    }
    Ok((text, status))
}

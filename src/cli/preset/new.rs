//! `hardrun preset new`

use crate::error::{Context as _, Error, Result};
use crate::preset;
use std::io::Write;
use std::path::Path;

/// A preset with every key, commented out: what stays out is decided by the preset that it extends.
const SKELETON: &str = include_str!("new.toml");

pub(super) fn new(name: &str, from: &str, output: Option<&Path>) -> Result<String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.starts_with('-') || !name.bytes().all(plain) {
        return Err(Error::runner(format!("{name:?} is no name of a preset"))
            .hint("lower-case letters, digits and - make one; it is the file's name without .toml"));
    }
    if preset::BUILTIN.iter().any(|(known, _)| *known == name) {
        return Err(Error::runner(format!("there is a preset {name} in hardrun already, and it would be found first"))
            .hint(format!("hardrun preset new my-{name} --from {name}")));
    }
    // What it extends has to be one.
    preset::load(from)?;
    let text = SKELETON.replace("@NAME@", name).replace("@FROM@", from);
    let Some(path) = output else { return Ok(text) };
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = made.and_then(|mut file| file.write_all(text.as_bytes()));
    written.context(|| format!("cannot write {}", path.display()))?;
    Ok(String::new())
}

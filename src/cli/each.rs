//! Verbs that take several names: one that fails does not stop the others, and the names that went well are printed as typed.

use crate::error::Result;

/// Do `one` for each name. Returns the exit status: 1 if any failed.
pub fn print(names: &[String], mut one: impl FnMut(&str) -> Result<()>) -> Result<u8> {
    let mut status = 0;
    for name in names {
        match one(name) {
            Ok(()) => crate::ui::stdout(&format!("{name}\n"))?,
            Err(e) => {
                crate::ui::error(&e);
                status = 1;
            }
        }
    }
    Ok(status)
}

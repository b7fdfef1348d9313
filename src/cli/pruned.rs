//! What the verbs that prune print, in docker's words.

use crate::observe::human;

/// The list of what went, and an empty line; nothing where nothing went.
pub fn list(what: &str, lines: &[String]) -> String {
    match lines {
        [] => String::new(),
        lines => format!("Deleted {what}:\n{}\n\n", lines.join("\n")),
    }
}

/// The last line. In bytes.
pub fn reclaimed(bytes: u64) -> String {
    format!("Total reclaimed space: {}\n", human::long_size(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_dockers() {
        assert_eq!(list("Networks", &["a".into(), "b".into()]), "Deleted Networks:\na\nb\n\n");
        assert_eq!(list("Images", &[]), "");
        assert_eq!(reclaimed(0), "Total reclaimed space: 0B\n");
    }
}

//! Docker's other spellings of a verb, before clap sees them: `container run`, `image ls`, `help run`.

use std::ffi::{OsStr, OsString};

/// Management groups: group, its word, our verb.
const GROUPS: &[(&str, &str, &str)] = &[
    ("container", "run", "run"),
    ("container", "create", "create"),
    ("container", "start", "start"),
    ("container", "attach", "attach"),
    ("container", "exec", "exec"),
    ("container", "stop", "stop"),
    ("container", "restart", "restart"),
    ("container", "kill", "kill"),
    ("container", "pause", "pause"),
    ("container", "unpause", "unpause"),
    ("container", "wait", "wait"),
    ("container", "rm", "rm"),
    ("container", "remove", "rm"),
    ("container", "rename", "rename"),
    ("container", "update", "update"),
    ("container", "cp", "cp"),
    ("container", "diff", "diff"),
    ("container", "commit", "commit"),
    ("container", "export", "export"),
    ("system", "start-all", "start-all"),
    ("image", "ls", "images"),
    ("image", "list", "images"),
    ("image", "pull", "pull"),
    ("image", "rm", "rmi"),
    ("image", "remove", "rmi"),
    ("image", "load", "load"),
    ("image", "save", "save"),
    ("image", "import", "import"),
    ("image", "tag", "tag"),
    ("image", "push", "push"),
    ("image", "history", "history"),
];

/// `argv` with the verb spelled in one word.
pub fn normalise(mut argv: Vec<OsString>) -> Vec<OsString> {
    let Some(at) = verb_at(&argv) else { return argv };
    let second = argv.get(at + 1).cloned().unwrap_or_default();
    if argv[at] == "help" && !second.is_empty() && !second.to_string_lossy().starts_with('-') {
        argv.remove(at);
        let argv = normalise(argv);
        // After a group has become one word, the verb stands where `help` stood.
        return argv.into_iter().take(at + 1).chain([OsString::from("--help")]).collect();
    }
    if let Some((_, _, verb)) = GROUPS.iter().find(|(group, word, _)| argv[at] == *group && second == *word) {
        argv.splice(at..=at + 1, [OsString::from(verb)]);
    }
    argv
}

/// `hardrun run` for messages.
pub fn verb_of(argv: &[OsString]) -> String {
    match verb_at(argv).map(|at| argv[at].to_string_lossy()) {
        Some(word) if super::command().get_subcommands().any(|s| s.get_name() == word) => format!("hardrun {word}"),
        _ => "hardrun".to_owned(),
    }
}

/// Where the verb stands: the first word that is no option of hardrun's own.
fn verb_at(argv: &[OsString]) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = argv.get(at).map(OsString::as_os_str) {
        if word == OsStr::new("--root") {
            at += 2;
        } else if word.to_string_lossy().starts_with('-') {
            at += 1;
        } else {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(words: &str) -> String {
        let argv = words.split(' ').map(OsString::from).collect();
        let words: Vec<String> = normalise(argv).into_iter().map(|w| w.into_string().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn groups_become_verbs() {
        assert_eq!(after("h container run -it a image ls"), "h run -it a image ls");
        assert_eq!(after("h --root /x image ls -q"), "h --root /x images -q");
        assert_eq!(after("h --root=/x image rm a"), "h --root=/x rmi a");
        assert_eq!(after("h run container run"), "h run container run");
        assert_eq!(after("h image nope"), "h image nope");
        assert_eq!(after("h"), "h");
    }

    #[test]
    fn help_verb_is_verb_help() {
        assert_eq!(after("h help run"), "h run --help");
        assert_eq!(after("h help image ls"), "h images --help");
        assert_eq!(after("h help"), "h help");
        assert_eq!(after("h help --help"), "h help --help");
    }

    #[test]
    fn the_verb_is_named_in_messages() {
        let verb = |words: &str| verb_of(&words.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(verb("h --root /x run --nope"), "hardrun run");
        assert_eq!(verb("h nope"), "hardrun");
        assert_eq!(verb("h --nope"), "hardrun");
    }
}

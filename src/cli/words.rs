//! Docker's other spellings of a verb, before clap sees them: `container run`, `image ls`, `help run`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Management groups: group, its word, our verb.
const GROUPS: &[(&str, &str, &str)] = &[
    ("container", "run", "run"),
    ("container", "ls", "ps"),
    ("container", "list", "ps"),
    ("container", "ps", "ps"),
    ("container", "inspect", "inspect --type=container"),
    ("container", "port", "port"),
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
    ("container", "logs", "logs"),
    ("container", "top", "top"),
    ("container", "stats", "stats"),
    ("system", "start-all", "start-all"),
    ("system", "info", "info"),
    ("system", "events", "events"),
    ("image", "ls", "images"),
    ("image", "list", "images"),
    ("image", "inspect", "inspect --type=image"),
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
        argv.splice(at..=at + 1, verb.split(' ').map(OsString::from));
    }
    argv
}

/// Under which of its two names the program was called.
pub fn program(argv: &[OsString]) -> &'static str {
    let name = argv.first().map(Path::new).and_then(Path::file_name);
    if name == Some(OsStr::new("docker")) { "docker" } else { "hardrun" }
}

/// `hardrun run`, `docker container rm` for messages: the words as they were called.
pub fn verb_of(argv: &[OsString]) -> String {
    let program = program(argv);
    let Some(at) = verb_at(argv) else { return program.to_owned() };
    let word = |at: usize| argv.get(at).map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
    let (first, second) = (word(at), word(at + 1));
    let table = super::command();
    let sub = table.find_subcommand(&first);
    let mut built = sub.cloned();
    let nested = built.as_mut().is_some_and(|sub| {
        sub.build();
        sub.find_subcommand(&second).is_some()
    });
    if nested || GROUPS.iter().any(|(group, verb, _)| *group == first && *verb == second) {
        return format!("{program} {first} {second}");
    }
    let is_group = GROUPS.iter().any(|(group, ..)| *group == first);
    if sub.is_some() || is_group { format!("{program} {first}") } else { program.to_owned() }
}

/// The verb, and the word behind it where there is one.
pub fn verb_words(argv: &[OsString]) -> Option<(String, Option<String>)> {
    let at = verb_at(argv)?;
    let word = |at: usize| argv.get(at).map(|w| w.to_string_lossy().into_owned());
    Some((word(at)?, word(at + 1)))
}

/// `docker`, `docker help` and `docker help VERB` as the calls with `--help` that they stand for.
pub fn help_as_flag(mut argv: Vec<OsString>) -> Vec<OsString> {
    match verb_at(&argv) {
        None if argv.len() == 1 => argv.push("--help".into()),
        Some(at) if argv[at] == "help" => {
            argv.remove(at);
            argv.push("--help".into());
        }
        _ => {}
    }
    argv
}

/// What is in a group that is no verb itself, with the verbs that its words stand for.
pub fn group(name: &str) -> Option<Vec<(&'static str, &'static str)>> {
    let words: Vec<_> = GROUPS.iter().filter(|(g, ..)| *g == name).map(|(_, word, verb)| (*word, *verb)).collect();
    (!words.is_empty() && matches!(name, "container" | "system")).then_some(words)
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
        assert_eq!(after("h container inspect a"), "h inspect --type=container a");
        assert_eq!(after("h system info"), "h info");
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
        assert_eq!(verb("/usr/bin/docker container rm x"), "docker container rm");
        assert_eq!(verb("docker network connect x"), "docker network connect");
        assert_eq!(verb("docker container nosuch"), "docker container");
        assert_eq!(verb("docker rm rm"), "docker rm");
    }
}

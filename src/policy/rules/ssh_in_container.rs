use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "ssh-in-container",
    severity: Severity::Medium,
    summary: "an ssh server in the container",
    risk: "keys, passwords and updates for a second way in, which no log of the engine sees",
    instead: "hardrun exec -it NAME sh; to watch output: hardrun logs or attach",
    example: "IMAGE /usr/sbin/sshd -D",
    overriding: Override::Loosens("the server runs, or its port is published"),
    references: &["CIS 5.7", "NIST SP 800-190 4.4.3"],
    check,
};

const SERVERS: &[&str] = &["sshd", "dropbear", "sshd-session", "in.sshd", "tinysshd"];

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let args = &draft.process.args.value;
    let mut out = Vec::new();
    if starts_server(args) {
        let what = match &draft.process.args.source {
            Source::Flag(_) => format!("the command {}", args.join(" ")),
            other => format!("the command {} ({other})", args.join(" ")),
        };
        out.push(Finding::new(RULE.id, what));
    }
    for port in draft.asked.publish.iter().filter(|p| p.container_port == 22 && p.protocol != "udp") {
        out.push(Finding::new(RULE.id, published(port)).detail("port 22 in the container is ssh's"));
    }
    out
}

/// The program itself, or named in a shell's `-c` text, by `service ssh start` or by an init script. What another
/// program starts later is not seen.
fn starts_server(args: &[String]) -> bool {
    const SERVICES: &[&str] = &["ssh", "sshd", "ssh.service", "sshd.service", "dropbear"];
    const MANAGERS: &[&str] = &["service", "rc-service", "systemctl"];
    let words: Vec<&str> = args
        .iter()
        .enumerate()
        .flat_map(|(i, arg)| match i > 0 && args[i - 1].starts_with('-') && args[i - 1].ends_with('c') {
            true => arg.split([' ', '\t', '\n', ';', '&', '|', '(', ')', '"', '\'', '`']).collect(),
            false => vec![arg.as_str()],
        })
        .filter(|word| !word.is_empty())
        .collect();
    let base = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let script = args.iter().any(|a| a.contains(' ')) || args.len() == 1;
    words.iter().enumerate().any(|(i, word)| {
        let name = base(word);
        let first =
            i == 0 || word.starts_with('/') || script || is_wrapper(&base(words[i - 1])) || words[i - 1] == "--";
        let server = first && SERVERS.contains(&name.as_str());
        let started =
            SERVICES.contains(&name.as_str()) && words[..i].iter().any(|w| MANAGERS.contains(&base(w).as_str()));
        server || started || word.ends_with("/init.d/ssh") || word.ends_with("/init.d/sshd")
    })
}

/// Programs that run the one named after them.
fn is_wrapper(name: &str) -> bool {
    ["env", "exec", "tini", "dumb-init", "nohup", "setsid", "sudo", "su-exec", "gosu", "nice", "busybox"]
        .contains(&name)
}

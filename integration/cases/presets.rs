//! Presets: the proofs of some, by what they do and what they grant; the rest are `integration/bench presets`. Who chooses one, and what a
//! hostile image gets by its label.

use crate::harness::env::{needs_user_namespaces, s};
use crate::harness::{Env, Outcome};
use crate::measure::presets::{quick, whole, with_proofs};
use crate::{cases, check, check_eq};

cases!("presets":
    nginx_is_proved, redis_is_proved, memcached_is_proved, batch_is_proved, every_other_is_left_to_the_one_command,
    the_images_label_chooses_but_never_loosens, a_label_is_no_path, the_images_name_chooses_for_its_own_command,
    one_call_outside_is_refused, a_volume_of_a_preset_goes_with_the_container, folders_of_presets, check_names_file_line_and_key,
    one_is_made_shown_and_compared,
);

/// Proved in every run.
const SELECTED: [&str; 4] = ["nginx", "redis", "memcached", "batch"];
/// Proved by `integration/bench presets`, with the others: their images are a gigabyte, or their work takes minutes.
const LEFT: [&str; 11] = [
    "haproxy",
    "static-server",
    "postgres",
    "mariadb",
    "node",
    "python",
    "jvm",
    "static-binary",
    "ci-build",
    "network-tool",
    "untrusted",
];

fn nginx_is_proved(env: &Env) -> Outcome {
    quick(env, "nginx")
}
fn redis_is_proved(env: &Env) -> Outcome {
    quick(env, "redis")
}
fn memcached_is_proved(env: &Env) -> Outcome {
    whole(env, "memcached")
}
fn batch_is_proved(env: &Env) -> Outcome {
    whole(env, "batch")
}

fn every_other_is_left_to_the_one_command(env: &Env) -> Outcome {
    let mut named = [&SELECTED[..], &LEFT].concat();
    named.sort_unstable();
    let mut all = with_proofs(env)?;
    all.sort_unstable();
    check_eq!(named, all);
    println!("      left to `integration/bench presets`: {}", LEFT.join(", "));
    Ok(())
}

/// busybox under another name, with changes.
fn image(env: &Env, name: &str, changes: &[&str]) -> Outcome {
    let mut words = vec!["import"];
    changes.iter().for_each(|change| words.extend(["--change", change]));
    let tar = env.fixtures.busybox()?;
    env.verb(&words).args([s(&tar), name]).limit(120).go()?.ok().map(drop)
}

fn the_images_label_chooses_but_never_loosens(env: &Env) -> Outcome {
    image(env, "labelled:1", &["LABEL hardrun.preset=batch", "CMD true"])?;
    let out =
        env.verb(&["run", "--rm", "labelled:1", "sh", "-c", "id -u; grep CapBnd /proc/self/status"]).go()?.ok()?;
    check_eq!(out.out(), "1000\nCapBnd:\t0000000000000000\n");
    check!(out.err().contains("preset batch") && out.err().contains("hardrun.preset"), "{}", out.told());
    let out = env.verb(&["run", "--rm", "--preset", "default", "labelled:1", "id", "-u"]).go()?.ok()?;
    check!(out.out() == "0\n" && !out.err().contains("preset"), "{}", out.told());
    // A preset of the site that gives more than `default`: by flag whole, by label only as far as `default` goes.
    let config = env.dir("label-config")?;
    let folder = config.join("hardrun/presets");
    std::fs::create_dir_all(&folder)?;
    let loose = "description = \"x\"\ncapabilities = [\"CHOWN\", \"NET_ADMIN\"]\numask = \"0000\"\n[limits]\npids = 4000\ncore = 4096\n";
    std::fs::write(folder.join("loose.toml"), loose)?;
    image(env, "hostile:1", &["LABEL hardrun.preset=loose"])?;
    let script = "umask; ulimit -c; grep CapBnd /proc/self/status";
    let run = env.verb(&["run", "--rm", "hostile:1", "sh", "-c", script]).env("XDG_CONFIG_HOME", &config);
    let out = run.go()?.ok()?;
    // Without user namespaces nobody has a capability.
    let chown = u8::from(needs_user_namespaces().is_ok());
    check_eq!(out.out(), format!("0022\n0\nCapBnd:\t000000000000000{chown}\n"));
    check!(
        out.err().contains("nothing looser than preset default") && out.err().contains("capabilities"),
        "{}",
        out.told()
    );
    Ok(())
}

fn a_label_is_no_path(env: &Env) -> Outcome {
    for (n, label) in ["../../etc/x", "/etc/passwd", "x.toml", "nosuch"].iter().enumerate() {
        let name = format!("badlabel:{n}");
        image(env, &name, &[&format!("LABEL hardrun.preset={label}")])?;
        env.verb(&["run", "--rm", &name, "true"]).go()?.exits(125)?.complains(&["label", "--preset default"])?;
        env.verb(&["run", "--rm", "--preset", "default", &name, "true"]).go()?.ok()?;
    }
    Ok(())
}

fn the_images_name_chooses_for_its_own_command(env: &Env) -> Outcome {
    image(env, "memcached:1.6", &["CMD [\"id\", \"-u\"]"])?;
    let out = env.verb(&["run", "--rm", "memcached:1.6"]).go()?.ok()?;
    check!(out.out() == "11211\n" && out.err().contains("preset memcached"), "{}", out.told());
    let out = env.verb(&["run", "--rm", "memcached:1.6", "sh", "-c", "id -u"]).go()?.ok()?;
    check!(out.out() == "0\n" && !out.err().contains("preset"), "{}", out.told());
    let shown = env.verb(&["explain", "memcached:1.6"]).go()?.out();
    check!(shown.contains("memcached") && shown.contains("system calls, listed"), "{shown}");
    Ok(())
}

fn one_call_outside_is_refused(env: &Env) -> Outcome {
    let file = env.dir("one-call")?.join("one.toml");
    let text = "description = \"x\"\nsystem-calls = [\"start\", \"children\", \"folders\"]\n";
    std::fs::write(&file, text)?;
    env.verb(&["run", "--rm", "--preset", s(&file), "busybox", "sh", "-c", "cd /tmp && cat /etc/passwd"]).go()?.ok()?;
    for (command, needed) in
        [("mkdir /tmp/x", "file-names"), ("chmod 700 /tmp", "file-modes"), ("ln -s a /tmp/b", "file-names")]
    {
        let run = |file: &str| env.verb(&["run", "--rm", "--preset", file, "busybox", "sh", "-c", command]).go();
        let out = run(s(&file))?;
        check!(out.code != 0 && out.err().contains("not permitted"), "{}", out.told());
        let more = env.dir("one-call-more")?.join("more.toml");
        std::fs::write(&more, text.replace("\"folders\"", &format!("\"folders\", \"{needed}\"")))?;
        run(s(&more))?.ok()?;
    }
    Ok(())
}

fn a_volume_of_a_preset_goes_with_the_container(env: &Env) -> Outcome {
    let file = env.dir("volume-preset")?.join("v.toml");
    std::fs::write(&file, "description = \"x\"\nread-only = true\n[[volumes]]\npath = \"/srv\"\n")?;
    let script = "echo kept > /srv/x && cat /srv/x; touch /etc/x 2>/dev/null || echo read-only";
    let out = env.verb(&["run", "--rm", "--preset", s(&file), "busybox", "sh", "-c", script]).go()?.ok()?;
    check_eq!(out.out(), "kept\nread-only\n");
    Ok(())
}

fn folders_of_presets(env: &Env) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let config = env.dir("preset-config")?;
    let folder = config.join("hardrun/presets");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("mine.toml");
    let made = env.verb(&["preset", "new", "mine", "--from", "strict", "-o", s(&file)]).go()?.ok()?;
    check!(made.out().is_empty(), "{}", made.told());
    let at = |args: &[&str]| env.verb(args).env("XDG_CONFIG_HOME", &config).go();
    check!(at(&["preset", "list"])?.ok()?.out().contains("mine"), "not listed");
    at(&["run", "--rm", "--preset", "mine", "busybox", "id", "-u"])?.ok()?.says("65534")?;
    // Whoever else can write it decides what containers get.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666))?;
    at(&["run", "--rm", "--preset", "mine", "busybox", "true"])?
        .exits(125)?
        .complains(&["can be written by others"])?;
    Ok(())
}

fn check_names_file_line_and_key(env: &Env) -> Outcome {
    let file = env.dir("preset-check")?.join("bad.toml");
    std::fs::write(
        &file,
        "description = \"x\"\ncapabilities = [\"NO_SUCH\"]\n\n[limits]\nmemory = \"lots\"\npids = 5\n",
    )?;
    let out = env.verb(&["preset", "check", s(&file)]).go()?.exits(1)?;
    let lines: Vec<String> = out.out().lines().map(str::to_owned).collect();
    check!(lines.len() == 2, "{}", out.told());
    check!(lines[0].starts_with(&format!("{}:2: capabilities: ", s(&file))), "{}", lines[0]);
    check!(lines[1].starts_with(&format!("{}:5: limits.memory: ", s(&file))), "{}", lines[1]);
    Ok(())
}

fn one_is_made_shown_and_compared(env: &Env) -> Outcome {
    let file = env.dir("preset-new")?.join("ours.toml");
    env.verb(&["preset", "new", "ours", "--from", "nginx", "-o", s(&file)]).go()?.ok()?;
    env.verb(&["preset", "new", "ours", "-o", s(&file)]).go()?.complains(&["ours.toml"])?;
    env.verb(&["preset", "check", s(&file)]).go()?.ok()?;
    let text = std::fs::read_to_string(&file)?;
    check!(text.lines().any(|l| l == "extends = \"nginx\""), "{text}");
    let shown = env.verb(&["preset", "show", "--resolved", s(&file)]).go()?.ok()?.out();
    check!(
        shown.lines().any(|l| l.contains("stop-signal") && l.contains("QUIT") && l.contains("preset nginx")),
        "{shown}"
    );
    env.verb(&["preset", "diff", "nginx", "nginx"]).go()?.ok()?.says("")?;
    let out = env.verb(&["preset", "diff", "strict", "untrusted"]).go()?.exits(1)?.out();
    for key in ["system-calls", "timeout", "memory"] {
        check!(out.lines().any(|l| l.contains(key)), "{key}: {out}");
    }
    check!(!out.contains("oom-score-adj"), "{out}");
    Ok(())
}

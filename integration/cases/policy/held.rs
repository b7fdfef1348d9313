//! What exists already is held to what the site says today: limits that are changed, folders that have changed, presets by path.

use super::Site;
use crate::harness::env::s;
use crate::harness::{Env, Outcome};
use crate::{cases, check, check_eq};
use std::os::unix::net::UnixListener;

cases!("policy":
    an_update_is_held_to_the_sites_ground, what_has_come_into_a_bound_folder_is_seen, a_file_by_path_is_not_told,
);

/// A label's preset is held to the site's when a container is made; and when it is changed.
fn an_update_is_held_to_the_sites_ground(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let tar = env.fixtures.busybox()?;
    let words = ["import", "--change", "LABEL hardrun.preset=batch", s(&tar), "labelled"];
    env.at(&root, &words).limit(120).go()?.ok()?;
    let site = Site::new(env, &root, "preset = \"strict\"\n")?;
    let at = |args: &[&str]| site.run(args);
    at(&["create", "--name", "made", "labelled", "true"]).go()?.ok()?;
    let up = ["run", "-d", "--name", "up", "labelled", "sleep", "600"];
    at(&up).go()?.ok()?;
    let tried: Outcome = (|| {
        for name in ["made", "up"] {
            // More than `strict` locks, and less than `batch` would let.
            for (flags, says) in [
                (["--memory", "2g"], "--memory 2147483648 loosens what preset strict has locked"),
                (["--pids-limit", "1000"], "--pids-limit 1000 loosens what preset strict has locked"),
                (["--cpus", "2"], " loosens what preset strict has locked"),
            ] {
                at(&["update"]).args(flags).arg(name).go()?.exits(1)?.complains(&[says])?;
            }
            at(&["update", "--memory", "64m", name]).go()?.ok()?;
        }
        Ok(())
    })();
    env.at(&root, &["rm", "-f", "made", "up"]).go()?.ok()?;
    tried?;
    // The same without a policy: `default` locks nothing.
    env.at(&root, &["create", "--name", "free", "labelled", "true"]).go()?.ok()?;
    env.at(&root, &["update", "--memory", "2g", "free"]).go()?.ok()?;
    env.at(&root, &["rm", "free"]).go()?.ok()?;
    Ok(())
}

fn what_has_come_into_a_bound_folder_is_seen(env: &Env) -> Outcome {
    let (root, data) = (env.own_root()?, env.dir("data")?);
    let at = |args: &[&str]| env.at(&root, args);
    let volume = format!("{}:/x", s(&data));
    at(&["create", "--name", "made", "-v", &volume, "busybox", "true"]).go()?.ok()?;
    at(&["run", "-d", "--name", "up", "-v", &volume, "busybox", "sleep", "600"]).go()?.ok()?;
    let tried = (|| {
        at(&["start", "-a", "made"]).go()?.ok()?;
        at(&["exec", "up", "true"]).go()?.ok()?;
        let refused = |rule: &str, what: &str| -> Outcome {
            let out = at(&["start", "made"]).go()?.exits(1)?.complains(&[rule, what])?;
            check!(out.err().contains("is not started: rules refuse it"), "{}", out.told());
            at(&["exec", "up", "true"]).go()?.exits(125)?.complains(&[rule, what])?;
            at(&["restart", "-t", "0", "up"]).go()?.exits(1)?.complains(&[rule])?;
            // Nothing was stopped for a start that is refused.
            check!(at(&["ps", "-q"]).go()?.ok()?.out().lines().count() == 1, "`up` is gone");
            Ok(())
        };
        let socket = data.join("docker.sock");
        let listener = UnixListener::bind(&socket)?;
        refused("engine-socket", "docker.sock")?;
        drop(listener);
        std::fs::remove_file(&socket)?;
        at(&["start", "-a", "made"]).go()?.ok()?;
        at(&["exec", "up", "true"]).go()?.ok()?;
        std::fs::create_dir(data.join(".ssh"))?;
        std::fs::write(data.join(".ssh/id_ed25519"), "key")?;
        refused("host-secrets", ".ssh")?;
        // A new container has it covered.
        let words = ["run", "--rm", "-v", &volume, "busybox", "sh", "-c", "ls /x/.ssh; echo ran"];
        let out = at(&words).go()?.ok()?;
        check!(out.out() == "ran\n", "{}", out.told());
        // What the policy has come to keep is seen as well.
        std::fs::remove_dir_all(data.join(".ssh"))?;
        std::fs::create_dir(data.join("keys"))?;
        let path = format!("[[path]]\npath = \"{}/keys\"\nmode = \"never\"\nreason = \"a test\"\n", s(&data));
        let site = Site::new(env, &root, &path)?;
        site.run(&["start", "made"]).go()?.exits(1)?.complains(&["site-path", "a test"])?;
        site.run(&["exec", "up", "true"]).go()?.exits(125)?.complains(&["site-path", "a test"])?;
        Ok(())
    })();
    at(&["rm", "-f", "made", "up"]).go()?.ok()?;
    tried
}

/// `sudo hardrun run` reads a preset as root: what is in a file that is none must not be said.
fn a_file_by_path_is_not_told(env: &Env) -> Outcome {
    let folder = env.dir("files")?;
    for (name, text) in [
        ("shadow", "root:$y$secret$hash:19000:0:99999:7:::\n"),
        ("env", "API_TOKEN=\"secret\"\n"),
        ("ini", "[database]\npassword = \"secret\"\n"),
        ("lines", "secret\nsecret = secret\n"),
        ("bytes", "\u{1}secret\u{0}"),
        ("extends", "description = \"\"\nextends = \"./shadow.toml\"\n"),
    ] {
        let file = folder.join(format!("{name}.toml"));
        std::fs::write(&file, text)?;
        for verb in [&["run", "--rm"][..], &["create"], &["explain"], &["run", "--dry-run"]] {
            let out = env.verb(verb).args(["--preset", s(&file), "busybox", "true"]).dir(&folder).go()?;
            // docker's client answers what `create` does not take with 1.
            check_eq!(out.code, if verb == ["create"] { 1 } else { 125 }, "{}", out.told());
            let said = format!("{}{}", out.out(), out.err());
            check!(!said.contains("secret") && !said.contains("API_TOKEN"), "{}", out.told());
            check!(said.contains("cannot read preset") && said.contains("line 1"), "{}", out.told());
        }
    }
    Ok(())
}

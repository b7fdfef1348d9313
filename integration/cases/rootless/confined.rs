//! What refuses root's containers refuses an ordinary user's: asked from inside, and of the kernel.

use super::user::User;
use crate::cases::paths;
use crate::harness::env::s;
use crate::harness::{Env, Outcome, raw, skip};
use crate::{cases, check, check_eq};

cases!("rootless":
    @alone landlock_refuses_by_list_and_by_name, @alone the_filter_is_roots_and_answers_alike,
);

fn landlock_refuses_by_list_and_by_name(env: &Env) -> Outcome {
    if hardrun::sys::landlock::abi() == 0 {
        return skip("this kernel has no Landlock");
    }
    let user = User::new(env)?;
    user.import_as(&paths::image(env)?, "declared")?;
    let said = |words: &[&str], script: &str| -> Outcome<Vec<String>> {
        let out = user.hardrun(&[words, &["sh", "-c", script]].concat()).go()?.ok()?;
        Ok(out.out().lines().map(str::to_owned).collect())
    };
    // What a list has, and one step outside; for the first process, another user of the container's, and exec.
    let listed = user.give(&paths::preset(env, paths::LISTED)?, "listed.toml")?;
    let script = paths::tries(&paths::STEPS);
    let wanted: Vec<&str> = (0..paths::STEPS.len()).map(|n| if n < 4 { "ok" } else { paths::DENIED }).collect();
    let preset = ["--preset", s(&listed), "--tmpfs", "/tmp:exec"];
    for who in ["0:0", "1000:1000"] {
        let run = [&["run", "--rm", "--user", who], &preset[..], &["declared"]].concat();
        check_eq!(said(&run, &script)?, wanted, "as {who}");
    }
    let run = [&["run", "-d", "--name", "one"], &preset[..], &["declared", "busybox", "sleep", "1000"]].concat();
    user.hardrun(&run).go()?.ok()?;
    check_eq!(said(&["exec", "one"], &script)?, wanted, "with exec");
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    // What is denied below what is allowed; without the rule it is there.
    let text = "[paths]\nall = true\ndeny = [{ path = \"/etc/shadow\", access = \"r\" }, { path = \"/bin/ls\", access = \"x\" }]\n";
    let denied = user.give(&paths::preset(env, text)?, "denied.toml")?;
    let script = paths::tries(&["cat /etc/group", "echo x >/root/file", "cat /etc/shadow", "/bin/ls /"]);
    let rules = ["run", "--rm", "--preset", s(&denied), "declared"];
    check_eq!(said(&rules, &script)?, ["ok", "ok", paths::DENIED, paths::DENIED]);
    check_eq!(said(&["run", "--rm", "declared"], &script)?, ["ok"; 4]);
    user.nothing_runs()
}

fn the_filter_is_roots_and_answers_alike(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.import_as(&env.fixtures.probe()?, "probe")?;
    user.hardrun(&["run", "-d", "--name", "one", "probe", "sleep", "1000"]).go()?.ok()?;
    for what in ["doors", "sockets"] {
        let roots = env.probe(&[], &[what])?.ok()?.fields();
        check!(roots.len() > 20 && roots.values().any(|v| v == "EPERM"), "{what} tries too little: {roots:?}");
        let asked = ["/probe", "probe", what];
        let inside = user.hardrun(&[&["run", "--rm", "probe"], &asked[..]].concat()).go()?.ok()?.fields();
        let with_exec = user.hardrun(&[&["exec", "one"], &asked[..]].concat()).go()?.ok()?.fields();
        for (name, answer) in &roots {
            let got = [inside.get(name), with_exec.get(name)];
            check!(got == [Some(answer); 2], "{name} is {answer} for root, and {got:?} here");
        }
    }
    // And the instructions themselves.
    let held = env.hold(&["--network", "none"])?;
    let roots = raw::filters(held.init)?;
    held.end()?.ok()?;
    let users = raw::filters(user.pid("one")?)?;
    check!(!roots.is_empty() && users == roots, "{} and {} filters, or others", users.len(), roots.len());
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    user.nothing_runs()
}

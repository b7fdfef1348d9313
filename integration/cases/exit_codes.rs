//! Exit statuses are docker's, wherever docker runs beside.

use crate::harness::{Env, Outcome, Output, Stop};
use crate::{cases, check_eq};

cases!("exit":
    the_commands_own, not_found_is_127, not_executable_is_126, a_signal_is_128_and_its_number, bad_flags_are_125,
    slips_are_dockers,
);

/// The status of the same words under hardrun and, where it is to be had, docker.
fn both(env: &Env, words: &[&str], want: i32) -> Outcome<Output> {
    let ours = env.verb(&["run", "--rm"]).args(words).go()?;
    check_eq!(ours.code, want, "status of hardrun run --rm {}\n{}", words.join(" "), ours.told());
    match env.peers.docker(env) {
        Ok(docker) => {
            let theirs = docker.run(&["run", "--rm"]).args(words).go()?;
            check_eq!(theirs.code, want, "status of docker run --rm {}\n{}", words.join(" "), theirs.told());
        }
        Err(Stop::Skip(_)) => {}
        Err(stop) => return Err(stop),
    }
    Ok(ours)
}

fn the_commands_own(env: &Env) -> Outcome {
    for code in [0, 1, 7, 125, 126, 127, 137, 143, 200, 255] {
        both(env, &["--network", "none", "busybox", "sh", "-c", &format!("exit {code}")], code)?;
    }
    Ok(())
}

fn not_found_is_127(env: &Env) -> Outcome {
    both(env, &["--network", "none", "busybox", "no-such-command"], 127)?.complains(&["no-such-command"])?;
    both(env, &["--network", "none", "busybox", "/no/such/path"], 127)?.complains(&["/no/such/path"])?;
    Ok(())
}

fn not_executable_is_126(env: &Env) -> Outcome {
    both(env, &["--network", "none", "busybox", "/etc/passwd"], 126)?.complains(&["/etc/passwd"])?;
    both(env, &["--network", "none", "busybox", "/etc"], 126)?.complains(&["/etc"])?;
    Ok(())
}

fn a_signal_is_128_and_its_number(env: &Env) -> Outcome {
    for (signal, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11), ("USR1", 10)] {
        // Not as pid 1, which the kernel shields from its own signals.
        let script = format!("sh -c 'kill -{signal} $$'; exit $?");
        both(env, &["--network", "none", "busybox", "sh", "-c", &script], 128 + number)?;
    }
    Ok(())
}

fn bad_flags_are_125(env: &Env) -> Outcome {
    for words in [
        &["--no-such-flag", "busybox", "true"][..],
        &["--memory", "lots", "busybox", "true"],
        &["-w", "relative", "busybox", "true"],
        &["-u", "nosuchuser", "busybox", "true"],
        &["--network", "none", "no/such/image:here", "true"],
        &["--pull", "sometimes", "busybox", "true"],
    ] {
        let words: Vec<&str> = if words.contains(&"no/such/image:here") {
            ["--pull", "never"].iter().chain(words).copied().collect()
        } else {
            words.to_vec()
        };
        both(env, &words, 125)?;
    }
    Ok(())
}

fn slips_are_dockers(env: &Env) -> Outcome {
    // Where docker's client itself answers, before any container: 1 for a missing image and for -t without a terminal.
    both(env, &[], 1)?;
    both(env, &["-it", "busybox", "true"], 1)?.complains(&["TTY"])?;
    both(env, &["-a", "stdout", "-d", "busybox", "true"], 1)?;
    Ok(())
}

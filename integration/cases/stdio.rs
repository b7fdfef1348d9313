//! stdin, stdout and stderr are the command's, byte for byte.

use crate::harness::{Env, Outcome, Run};
use crate::{cases, check, check_eq};
use std::time::Duration;

cases!("stdio":
    ten_megabytes_through_cat, output_without_stdin, stderr_stays_apart, without_i_stdin_is_empty,
    the_end_of_stdin_is_passed_on, stdin_nobody_reads, a_reader_that_leaves, attach_one_stream, the_last_byte_arrives,
);

/// Bytes of every value, without a pattern that a block size could hide.
fn noise(length: usize) -> Vec<u8> {
    let mut x = 0x2545_f491_4f6c_dd1du64;
    let next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn ten_megabytes_through_cat(env: &Env) -> Outcome {
    let sent = noise(10 << 20);
    let out = env.verb(&["run", "--rm", "-i", "busybox", "cat"]).stdin(sent.clone()).go()?.ok()?;
    check!(out.stdout == sent, "{} bytes came back of {}, or others", out.stdout.len(), sent.len());
    Ok(())
}

fn output_without_stdin(env: &Env) -> Outcome {
    let dir = env.dir("noise")?;
    let sent = noise(3 << 20);
    std::fs::write(dir.join("file"), &sent)?;
    let bind = format!("{}:/in:ro", dir.display());
    let out = env.verb(&["run", "--rm", "-v", &bind, "busybox", "cat", "/in/file"]).go()?.ok()?;
    check!(out.stdout == sent, "{} bytes came of {}, or others", out.stdout.len(), sent.len());
    Ok(())
}

fn stderr_stays_apart(env: &Env) -> Outcome {
    let out = env.sh(&["--network", "none"], "echo out; echo err >&2; echo out again")?.ok()?;
    check_eq!(out.out(), "out\nout again\n");
    check!(out.err().lines().any(|l| l == "err"), "{}", out.told());
    check!(!out.err().contains("out"), "{}", out.told());
    // With the network named there is nothing to tell: stderr is the command's alone.
    check_eq!(out.err(), "err\n");
    Ok(())
}

fn without_i_stdin_is_empty(env: &Env) -> Outcome {
    let out = env.verb(&["run", "--rm", "busybox", "wc", "-c"]).stdin("a word").go()?.ok()?;
    out.says("0")?;
    Ok(())
}

fn the_end_of_stdin_is_passed_on(env: &Env) -> Outcome {
    env.verb(&["run", "--rm", "-i", "busybox", "wc", "-c"]).stdin("a word").go()?.ok()?.says("6")?;
    env.verb(&["run", "--rm", "-i", "busybox", "wc", "-c"]).stdin("").go()?.ok()?.says("0")?;
    Ok(())
}

fn stdin_nobody_reads(env: &Env) -> Outcome {
    // The command ends while its stdin is open: nothing waits for the rest.
    let out = env.verb(&["run", "--rm", "-i", "busybox", "echo", "done"]).open_stdin().limit(20).go()?.ok()?;
    check!(out.took < Duration::from_secs(10), "{}", out.told());
    env.verb(&["run", "--rm", "-i", "busybox", "true"]).stdin(noise(4 << 20)).limit(20).go()?.ok()?;
    Ok(())
}

fn a_reader_that_leaves(env: &Env) -> Outcome {
    // `yes` must meet a broken pipe, as it would without a container.
    let line = format!("{} --root {} run --rm busybox yes | head -n 1", env.hardrun.display(), env.root.display());
    Run::new("sh").args(["-c", &line]).limit(20).go()?.ok()?.says("y")?;
    Ok(())
}

fn attach_one_stream(env: &Env) -> Outcome {
    let script = "echo out; echo err >&2";
    let out = env.sh(&["--network", "none", "-a", "stdout"], script)?.ok()?;
    check_eq!((out.out().as_str(), out.err().as_str()), ("out\n", ""));
    let out = env.sh(&["--network", "none", "-a", "stderr"], script)?.ok()?;
    check_eq!((out.out().as_str(), out.err().as_str()), ("", "err\n"));
    Ok(())
}

fn the_last_byte_arrives(env: &Env) -> Outcome {
    for _ in 0..10 {
        let out = env.sh(&[], "head -c 100000 /dev/zero; printf end; exit 3")?.exits(3)?;
        check_eq!(out.stdout.len(), 100_003);
        check!(out.stdout.ends_with(b"end"));
    }
    Ok(())
}

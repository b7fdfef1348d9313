//! `-t`: a terminal inside that behaves like the one outside.

use crate::harness::env::s;
use crate::harness::pty::Terminal;
use crate::harness::{Env, Outcome};
use crate::{cases, check, check_eq};

cases!("tty":
    lines_end_with_crlf, both_streams_and_the_status, size_and_its_changes, control_c_is_the_containers,
    typing_and_the_end_of_input, the_outer_terminal_is_put_back, t_without_i, escape_sequences_pass,
);

fn open(env: &Env, flags: &[&str], script: &str) -> Outcome<Terminal> {
    let mut words = vec![s(&env.hardrun), "--root", s(&env.root), "run", "--rm", "--network", "none"];
    words.extend(flags);
    words.extend(["busybox", "sh", "-c", script]);
    Terminal::start(&words, 31, 91)
}

fn lines_end_with_crlf(env: &Env) -> Outcome {
    let (code, text) = open(env, &["-it"], "echo one; echo two")?.finish(20)?;
    check_eq!(code, 0, "{text}");
    check!(text.contains("one\r\ntwo\r\n"), "{text:?}");
    check!(!text.contains("\r\r"), "line ends were translated twice: {text:?}");
    Ok(())
}

fn both_streams_and_the_status(env: &Env) -> Outcome {
    let script = "test -t 0 && test -t 1 && test -t 2 && echo terminal $TERM; tty; echo err >&2; exit 7";
    let (code, text) = open(env, &["-it"], script)?.finish(20)?;
    check_eq!(code, 7, "{text}");
    check!(text.contains("terminal xterm"), "{text:?}");
    check!(text.contains("/dev/pts/0") || text.contains("/dev/console"), "{text:?}");
    check!(text.contains("err"), "{text:?}");
    Ok(())
}

fn size_and_its_changes(env: &Env) -> Outcome {
    let mut t = open(
        env,
        &["-it"],
        "trap 'stty size' WINCH; stty size; while :; do read -r l && [ \"$l\" = end ] && exit 3; done",
    )?;
    t.expect("31 91", 20)?;
    t.resize(17, 63)?;
    t.expect("17 63", 20)?;
    t.resize(50, 132)?;
    t.expect("50 132", 20)?;
    t.send(b"end\r")?;
    let (code, text) = t.finish(20)?;
    check_eq!(code, 3, "{text}");
    // The size is right from the first moment on, not after a first change.
    check!(text.starts_with("31 91"), "{text:?}");
    Ok(())
}

fn control_c_is_the_containers(env: &Env) -> Outcome {
    let mut t = open(env, &["-it"], "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.1; done")?;
    t.expect("ready", 20)?;
    check!(t.raw()?, "the outer terminal still edits lines and echoes");
    t.send(b"\x03")?;
    t.expect("caught", 20)?;
    let (code, text) = t.finish(20)?;
    check_eq!(code, 5, "{text}");
    Ok(())
}

fn typing_and_the_end_of_input(env: &Env) -> Outcome {
    let mut t = open(env, &["-i", "-t"], "read -r a; echo got $a; cat; echo over")?;
    t.send(b"words\r")?;
    t.expect("got words", 20)?;
    t.send(b"\x04")?;
    t.expect("over", 20)?;
    check_eq!(t.finish(20)?.0, 0);
    Ok(())
}

fn the_outer_terminal_is_put_back(env: &Env) -> Outcome {
    let run = format!("{} --root {} run --rm -it busybox", env.hardrun.display(), env.root.display());
    let script =
        format!("stty -a > {0}/before; {run} sh -c 'stty -echo raw; exit 3'; echo status $?; stty -a > {0}/after", {
            s(&env.dir("stty")?).to_owned()
        });
    let dir = script.split_whitespace().nth(3).and_then(|p| p.strip_suffix("/before;")).unwrap_or_default().to_owned();
    let (code, text) = Terminal::start(&["sh", "-c", &script], 24, 80)?.finish(20)?;
    check_eq!(code, 0, "{text}");
    check!(text.contains("status 3"), "{text:?}");
    let read = |name: &str| std::fs::read_to_string(format!("{dir}/{name}"));
    check_eq!(read("after")?, read("before")?);
    Ok(())
}

fn t_without_i(env: &Env) -> Outcome {
    let (code, text) = open(env, &["-t"], "test -t 1 && echo terminal; exit 4")?.finish(20)?;
    check_eq!(code, 4, "{text}");
    check!(text.contains("terminal"), "{text:?}");
    Ok(())
}

fn escape_sequences_pass(env: &Env) -> Outcome {
    // What a program draws is the program's; only hardrun's own lines are cleaned.
    let (code, text) = open(env, &["-it"], r"printf '\033[1mbold\033[0m\007'")?.finish(20)?;
    check_eq!(code, 0);
    check!(text.contains("\x1b[1mbold\x1b[0m\x07"), "{text:?}");
    Ok(())
}

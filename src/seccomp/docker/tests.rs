//! Profiles in, answers out.

use super::*;
use crate::seccomp::simulate::{Call, run};

fn host() -> Host {
    Host { kernel: (6, 1), capabilities: ["CAP_CHOWN".to_owned()].into() }
}
fn read(json: &str) -> Result<Policy> {
    parse(Path::new("p.json"), json, &host())
}
fn ask(json: &str, nr: i64, args: [u64; 6]) -> Action {
    let code = crate::seccomp::bpf::assemble(&read(json).unwrap()).unwrap();
    run(&code, &Call::native(nr as u32, args)).unwrap().0
}
fn error(json: &str) -> String {
    read(json).unwrap_err().chain().join(": ")
}
fn entry(json: &str) -> String {
    format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read"],"action":"SCMP_ACT_ALLOW"}},{json}]}}"#
    )
}

#[test]
fn every_action_and_both_spellings_of_names() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],
        "archMap":null,"flags":["SCMP_IGNORED"],"syscalls":null}"#;
    assert!(error(json).contains("flag \"SCMP_IGNORED\""));
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"archMap":[{"architecture":"X"}],
        "syscalls":[
        {"name":"read","action":"SCMP_ACT_ALLOW","args":null},
        {"names":["write","no_such_call"],"action":"SCMP_ACT_LOG","comment":"c","includes":{},"excludes":{}},
        {"names":["mount"],"action":"SCMP_ACT_KILL"},
        {"names":["umount2"],"action":"SCMP_ACT_KILL_PROCESS"},
        {"names":["setns"],"action":"SCMP_ACT_TRAP"},
        {"names":["bpf"],"action":"SCMP_ACT_ERRNO","errnoRet":13},
        {"names":["ptrace"],"action":"SCMP_ACT_ERRNO"}]}"#;
    for (nr, action) in [
        (libc::SYS_read, Action::Allow),
        (libc::SYS_write, Action::Log),
        (libc::SYS_mount, Action::KillThread),
        (libc::SYS_umount2, Action::KillProcess),
        (libc::SYS_setns, Action::Trap(0)),
        (libc::SYS_bpf, Action::Errno(13)),
        (libc::SYS_ptrace, Action::Errno(1)),
        (libc::SYS_close, Action::Errno(38)),
    ] {
        assert_eq!(ask(json, nr, [0; 6]), action);
    }
}

#[test]
fn every_comparison_on_all_64_bits() {
    let one = |op: &str, value: u64, two: u64| {
        entry(&format!(
            r#"{{"names":["dup"],"action":"SCMP_ACT_ALLOW","args":[{{"index":1,"op":"{op}","value":{value},"valueTwo":{two}}}]}}"#
        ))
    };
    type Holds = fn(u64, u64) -> bool;
    let ops: [(&str, Holds); 6] = [
        ("SCMP_CMP_EQ", |a, v| a == v),
        ("SCMP_CMP_NE", |a, v| a != v),
        ("SCMP_CMP_LT", |a, v| a < v),
        ("SCMP_CMP_LE", |a, v| a <= v),
        ("SCMP_CMP_GT", |a, v| a > v),
        ("SCMP_CMP_GE", |a, v| a >= v),
    ];
    let values = [0, 1, 5, u64::from(u32::MAX), 1 << 32, (1 << 32) + 5, 5 << 32, u64::MAX - 1, u64::MAX];
    for (op, holds) in ops {
        for value in values {
            for arg in values {
                let got = ask(&one(op, value, 0), libc::SYS_dup, [9, arg, 9, 9, 9, 9]);
                assert_eq!(got.permits(), holds(arg, value), "{arg:#x} {op} {value:#x}");
            }
        }
    }
    for mask in values {
        for arg in values {
            let got = ask(&one("SCMP_CMP_MASKED_EQ", mask, 5), libc::SYS_dup, [9, arg, 9, 9, 9, 9]);
            assert_eq!(got.permits(), arg & mask == 5 & mask, "{arg:#x} & {mask:#x}");
        }
    }
}

#[test]
fn two_conditions_on_one_argument_mean_either() {
    let json = entry(
        r#"{"names":["dup"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"op":"SCMP_CMP_EQ","value":1},
           {"index":0,"op":"SCMP_CMP_EQ","value":2}]}"#,
    );
    for (arg, open) in [(1, true), (2, true), (3, false)] {
        assert_eq!(ask(&json, libc::SYS_dup, [arg, 0, 0, 0, 0, 0]).permits(), open);
    }
    let json = entry(
        r#"{"names":["dup"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"op":"SCMP_CMP_EQ","value":1},
           {"index":1,"op":"SCMP_CMP_EQ","value":2}]}"#,
    );
    for (args, open) in [([1, 2], true), ([1, 0], false), ([0, 2], false)] {
        assert_eq!(ask(&json, libc::SYS_dup, [args[0], args[1], 0, 0, 0, 0]).permits(), open);
    }
}

#[test]
fn entries_apply_by_capability_architecture_and_kernel() {
    for (condition, open) in [
        (r#""includes":{"caps":["CAP_CHOWN"]}"#, true),
        (r#""includes":{"caps":["CAP_CHOWN","CAP_BPF"]}"#, false),
        (r#""excludes":{"caps":["CAP_CHOWN"]}"#, false),
        (r#""excludes":{"caps":["CAP_BPF"]}"#, true),
        (r#""includes":{"minKernel":"4.8"}"#, true),
        (r#""includes":{"minKernel":"6.2"}"#, false),
        (r#""excludes":{"minKernel":"6.1"}"#, false),
        (r#""includes":{"arches":["s390x"]}"#, false),
        (r#""includes":{"arches":["amd64","arm64"]}"#, true),
        (r#""excludes":{"arches":["amd64","arm64"]}"#, false),
        (r#""includes":null,"excludes":{"arches":[]}"#, true),
    ] {
        let json = entry(&format!(r#"{{"names":["bpf"],"action":"SCMP_ACT_ALLOW",{condition}}}"#));
        assert_eq!(ask(&json, libc::SYS_bpf, [0; 6]).permits(), open, "{condition}");
    }
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let json =
        r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","statx"],"action":"SCMP_ACT_ALLOW"}]}"#;
    assert_eq!(ask(json, libc::SYS_clone3, [0; 6]), Action::Errno(libc::ENOSYS as u16));
    assert_eq!(ask(json, libc::SYS_mount, [0; 6]), Action::Errno(libc::EPERM as u16));
    assert_eq!(ask(json, 9999, [0; 6]), Action::Errno(libc::ENOSYS as u16));
    let open = r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#;
    assert_eq!(ask(open, libc::SYS_clone3, [0; 6]), Action::Allow);
    assert_eq!(ask(open, 9999, [0; 6]), Action::Errno(libc::ENOSYS as u16));
    let kill = r#"{"defaultAction":"SCMP_ACT_KILL_PROCESS"}"#;
    assert_eq!(ask(kill, 9999, [0; 6]), Action::KillProcess);
}

#[test]
fn an_entry_without_conditions_wins() {
    for (first, second) in [("", r#","args":[{"index":0,"op":"SCMP_CMP_EQ","value":1}]"#)] {
        for (a, b) in [(first, second), (second, first)] {
            let json = entry(&format!(
                r#"{{"names":["dup"],"action":"SCMP_ACT_ALLOW"{a}}},{{"names":["dup"],"action":"SCMP_ACT_ALLOW"{b}}}"#
            ));
            assert_eq!(ask(&json, libc::SYS_dup, [7, 0, 0, 0, 0, 0]), Action::Allow);
        }
    }
    // Overlapping conditions: the refusal holds, in either order.
    let deny = r#"{"names":["dup"],"action":"SCMP_ACT_KILL","args":[{"index":0,"op":"SCMP_CMP_EQ","value":1}]}"#;
    let allow = r#"{"names":["dup"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"op":"SCMP_CMP_EQ","value":1}]}"#;
    for json in [format!("{deny},{allow}"), format!("{allow},{deny}")] {
        assert_eq!(ask(&entry(&json), libc::SYS_dup, [1, 1, 0, 0, 0, 0]), Action::KillThread);
    }
}

#[test]
fn bad_profiles_say_where() {
    for (json, says) in [
        ("{\n\"defaultAction\": \"SCMP_ACT_ERRNO\",\n\"syscalls\": [,]}", "line 3"),
        (r#"{"defaultAction":"SCMP_ACT_DENY"}"#, "unknown variant `SCMP_ACT_DENY`"),
        (r#"{"syscalls":[]}"#, "missing field `defaultAction`"),
        (r#"{"defaultAction":"SCMP_ACT_TRACE"}"#, "defaultAction: SCMP_ACT_TRACE needs a tracer"),
        (&entry(r#"{"names":["dup"],"action":"SCMP_ACT_NOTIFY"}"#), "syscalls[1] (dup): SCMP_ACT_NOTIFY"),
        (&entry(r#"{"names":["dup"],"action":"SCMP_ACT_ALLOW","arg":[]}"#), "unknown field `arg`"),
        (&entry(r#"{"names":[],"action":"SCMP_ACT_ALLOW"}"#), "syscalls[1] (no name): no call is named"),
        (&entry(r#"{"name":"dup","names":["dup"],"action":"SCMP_ACT_ALLOW"}"#), "not both"),
        (&entry(r#"{"names":["dup"],"action":"SCMP_ACT_ERRNO","errnoRet":5000}"#), "errnoRet 5000"),
        (
            &entry(r#"{"names":["dup"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}"#),
            "argument 6 does not exist",
        ),
        (
            &entry(r#"{"names":["dup"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"four"}}"#),
            "minKernel \"four\"",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mout"],"action":"SCMP_ACT_ERRNO"}]}"#,
            "syscalls[0] (mout): no system call is called \"mout\"",
        ),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/a"}"#, "listenerPath"),
    ] {
        let text = error(json);
        assert!(text.contains(says) && text.starts_with("seccomp profile p.json"), "{text} lacks {says}");
    }
    let elsewhere =
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["socketcall"],"action":"SCMP_ACT_KILL"}]}"#;
    assert!(read(elsewhere).is_ok(), "a call of another architecture is no hole");
}

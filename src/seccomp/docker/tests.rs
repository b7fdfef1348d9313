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

/// The same entries given to libseccomp, and both programs run over the same calls.
///
/// One entry a call: with `arg < 2^32` and `arg < 0` on one call, libseccomp 2.5.4 refuses 1.
mod beside_libseccomp {
    use super::*;
    use libseccomp::{ScmpAction as A, ScmpArch, ScmpArgCompare, ScmpCompareOp as C, ScmpFilterContext, ScmpSyscall};
    use proptest::prelude::*;
    use std::io::{Read, Seek};

    const VALUES: [u64; 8] = [0, 1, 2, 0xffff_ffff, 1 << 32, (1 << 32) + 1, 1 << 63, u64::MAX];
    const CALLS: [(&str, i64); 3] = [("dup", libc::SYS_dup), ("getpid", libc::SYS_getpid), ("statx", libc::SYS_statx)];

    fn op(name: &str, value: u64) -> C {
        match name {
            "SCMP_CMP_EQ" => C::Equal,
            "SCMP_CMP_NE" => C::NotEqual,
            "SCMP_CMP_LT" => C::Less,
            "SCMP_CMP_LE" => C::LessOrEqual,
            "SCMP_CMP_GT" => C::Greater,
            "SCMP_CMP_GE" => C::GreaterEqual,
            _ => C::MaskedEqual(value),
        }
    }

    type Entry = (usize, Vec<(u32, &'static str, u64, u64)>);

    fn theirs(allow: bool, entries: &[Entry]) -> Vec<u8> {
        let (default, action) = if allow { (A::Allow, A::Errno(1)) } else { (A::Errno(1), A::Allow) };
        let mut context = ScmpFilterContext::new(default).unwrap();
        context.set_act_badarch(A::Errno(libc::ENOSYS)).unwrap();
        assert!(context.is_arch_present(ScmpArch::native()).unwrap());
        for (call, args) in entries {
            let call = ScmpSyscall::from_raw_syscall(CALLS[*call].1 as i32);
            let compare = |&(arg, name, value, two): &(u32, &str, u64, u64)| {
                ScmpArgCompare::new(arg, op(name, value), if name == "SCMP_CMP_MASKED_EQ" { two } else { value })
            };
            if args.is_empty() {
                context.add_rule(action, call).unwrap();
            } else {
                let all: Vec<_> = args.iter().map(compare).collect();
                context.add_rule_conditional(action, call, &all).unwrap();
            }
        }
        let mut file = tempfile::tempfile().unwrap();
        context.export_bpf(&file).unwrap();
        let mut code = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut code).unwrap();
        code
    }

    fn ours(allow: bool, entries: &[Entry]) -> Vec<u8> {
        let (default, action) = if allow { ("ALLOW", "ERRNO") } else { ("ERRNO", "ALLOW") };
        let entries: Vec<String> = entries
            .iter()
            .map(|(call, args)| {
                let args: Vec<String> = args
                    .iter()
                    .map(|(n, op, value, two)| {
                        format!(r#"{{"index":{n},"op":"{op}","value":{value},"valueTwo":{two}}}"#)
                    })
                    .collect();
                let name = CALLS[*call].0;
                format!(r#"{{"names":["{name}"],"action":"SCMP_ACT_{action}","args":[{}]}}"#, args.join(","))
            })
            .collect();
        let json = format!(r#"{{"defaultAction":"SCMP_ACT_{default}","syscalls":[{}]}}"#, entries.join(","));
        crate::seccomp::bpf::assemble(&read(&json).unwrap()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn both_answer_the_same(
            allow: bool,
            conditions in prop::collection::vec(
                prop::collection::btree_map(0..3u32, (
                    prop::sample::select(&["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",
                        "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_MASKED_EQ"][..]),
                    prop::sample::select(&VALUES[..]), prop::sample::select(&VALUES[..])), 0..3), CALLS.len()),
        ) {
            let entries: Vec<Entry> = conditions
                .into_iter()
                .map(|args| args.into_iter().map(|(n, (op, value, two))| (n, op, value, two)).collect())
                .enumerate()
                .collect();
            let (theirs, ours) = (theirs(allow, &entries), ours(allow, &entries));
            for (_, nr) in CALLS {
                for n in 0..VALUES.len().pow(3) {
                    let (a, b, c) = (n % 8, n / 8 % 8, n / 64);
                    let call = Call::native(nr as u32, [VALUES[a], VALUES[b], VALUES[c], 9, 9, 9]);
                    let (a, b) = (run(&theirs, &call).unwrap().0, run(&ours, &call).unwrap().0);
                    prop_assert_eq!(a.permits(), b.permits(), "{:x?}", call);
                }
            }
        }
    }
}

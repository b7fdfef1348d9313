//! The doors at the end of the practices, each tried from inside.

use crate::harness::filter::{self, Call, Verdict};
use crate::harness::{Env, Outcome, raw};
use crate::{cases, check, check_eq};
use std::collections::BTreeMap;

cases!("doors":
    are_shut, clone3_is_enosys, other_abis_are_shut, socket_families, terminal_injection, the_filter_in_the_kernel,
    threads_and_forks_work,
);

/// Answers that only come when the call never reached its own code.
const SHUT: [&str; 2] = ["EPERM", "ENOSYS"];

fn tried(env: &Env, flags: &[&str], what: &str) -> Outcome<BTreeMap<String, String>> {
    Ok(env.probe(flags, &[what])?.ok()?.fields())
}

fn are_shut(env: &Env) -> Outcome {
    for flags in [&[][..], &["--preset", "strict"], &["-u", "app"]] {
        let doors = tried(env, flags, "doors")?;
        check!(doors.len() > 60, "only {} doors were tried", doors.len());
        let open: Vec<String> = doors
            .iter()
            .filter(|(name, _)| !name.starts_with("int80") && !name.starts_with("x32"))
            .filter(|(_, result)| !SHUT.contains(&result.as_str()))
            .map(|(name, result)| format!("{name}: {result}"))
            .collect();
        check!(open.is_empty(), "with {flags:?} these went through the filter: {open:?}");
    }
    Ok(())
}

fn clone3_is_enosys(env: &Env) -> Outcome {
    // glibc and JVMs fall back to clone on ENOSYS, and give up on EPERM.
    check_eq!(tried(env, &[], "doors")?["clone3"], "ENOSYS");
    Ok(())
}

fn other_abis_are_shut(env: &Env) -> Outcome {
    let doors = tried(env, &[], "doors")?;
    for name in ["int80-getpid", "int80-socketcall", "x32-getpid"] {
        let result = doors[name].as_str();
        check!(SHUT.contains(&result) || result == "signal-31", "{name}: {result}");
    }
    Ok(())
}

fn socket_families(env: &Env) -> Outcome {
    let made = tried(env, &[], "sockets")?;
    let open: Vec<&str> = made.iter().filter(|(_, r)| *r == "open").map(|(n, _)| n.as_str()).collect();
    for name in &open {
        let fine = match *name {
            "family-unix" | "family-inet" | "family-inet6" | "family-netlink" => true,
            "netlink-route" | "netlink-sock_diag" | "netlink-usersock" => *name == "netlink-route",
            other => matches!(other.split_once('-'), Some(("inet" | "inet6", "tcp" | "udp" | "icmp" | "udplite"))),
        };
        check!(fine || *name == "netlink-generic" || *name == "inet-mptcp" || *name == "inet6-mptcp", "{name} is open");
    }
    for needed in ["family-unix", "inet-tcp", "inet6-tcp", "inet-udp", "netlink-route"] {
        check!(open.contains(&needed), "{needed} is shut: {}", made[needed]);
    }
    for (name, result) in &made {
        let kind = name.as_str();
        if matches!(
            kind,
            "family-alg"
                | "family-vsock"
                | "family-rxrpc"
                | "family-packet"
                | "family-xdp"
                | "family-key"
                | "family-alg-high"
                | "inet-raw"
                | "inet-sctp"
                | "netlink-xfrm"
                | "netlink-netfilter"
                | "netlink-crypto"
                | "netlink-audit"
        ) {
            // Refused before the kernel looks whether it has the family at all.
            check!(
                ["EPERM", "EAFNOSUPPORT", "EACCES", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"].contains(&result.as_str()),
                "{name}: {result}"
            );
        }
    }
    Ok(())
}

fn terminal_injection(env: &Env) -> Outcome {
    let doors = tried(env, &[], "doors")?;
    for name in ["ioctl-tiocsti", "ioctl-tiocsti-high", "ioctl-tioclinux"] {
        check_eq!(doors[name], "EPERM", "{name}");
    }
    Ok(())
}

fn the_filter_in_the_kernel(env: &Env) -> Outcome {
    for flags in [&[][..], &["--preset", "strict"], &["--init"]] {
        let held = env.hold(flags)?;
        let filters = raw::filters(held.init)?;
        held.end()?.ok()?;
        check!(!filters.is_empty(), "no filter in the kernel");
        let verdict = |arch, number, first| filter::verdict(&filters, Call { arch, number, first });
        for number in 0..1024 {
            check_eq!(verdict(filter::I386, number, None), Verdict::Denied, "i386 call {number}");
            check_eq!(verdict(filter::X86_64, number | filter::X32, None), Verdict::Denied, "x32 call {number}");
        }
        for family in 0..64u64 {
            let allowed = verdict(filter::X86_64, libc::SYS_socket as u32, Some(family)) != Verdict::Denied;
            check!(!allowed || [1, 2, 10, 16].contains(&family), "socket({family}) is let through");
        }
        // Default-deny: a number that no kernel has yet.
        for number in [470, 500, 600, 1000] {
            check_eq!(verdict(filter::X86_64, number, None), Verdict::Denied, "call {number}");
        }
    }
    Ok(())
}

fn threads_and_forks_work(env: &Env) -> Outcome {
    env.sh(&[], "for i in 1 2 3 4 5; do (echo $i) & done; wait; echo x | cat | cat")?.ok()?;
    Ok(())
}

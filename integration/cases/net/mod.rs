//! Networks, called as the supervisor calls them: what reaches what, what is left behind.

pub mod lab;
pub mod names;
pub mod reach;
pub mod ways;

use crate::harness::{Env, Outcome, fail};
use lab::{Ask, Lab, Space, check, stop};
use std::process::Command;

crate::cases!("net":
    @alone a_killed_supervisors_things_are_swept,
    @alone fifty_at_a_time_leave_nothing,
    @alone a_network_more_and_one_less,
    @alone conflicts_are_dockers,
    @alone other_firewalls_are_told_and_left_alone,
    @alone flushed_rules_come_back,
);

fn a_killed_supervisors_things_are_swept(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    lab.network("back", &["10.214.1.0/24"], |_| {})?;
    let ask = Ask::new("web", &["back"]).publish(Some("0.0.0.0"), None, 80).egress(&["192.0.2.0/24"]);
    let guest = lab.guest(ask)?;
    let kept = lab.guest(Ask::new("db", &["back"]))?;
    // As if it were killed: nothing of its own runs any more.
    drop(guest);
    lab.sweep(true)?;
    check(lab.paths.run.join("net").read_dir().map_err(stop("read"))?.count() == 2, "the living were swept")?;
    kept.detach()?;
    lab.sweep(false)?;
    lab.nothing_left()?;
    lab.sweep(false)?;
    // What is left without a lease goes too.
    let guest = lab.guest(Ask::new("web", &["back"]))?;
    let ip = guest.ip();
    drop(guest);
    let again = lab.guest(Ask::new("web2", &["back"]))?;
    check(again.ip() != ip, "the address of a container that may live was given away")?;
    drop(again);
    lab.sweep(false)?;
    lab.nothing_left()
}

fn fifty_at_a_time_leave_nothing(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    lab.network("many", &["10.214.2.0/24", "fd00:214:2::/64"], |_| {})?;
    let errors: Vec<String> = std::thread::scope(|s| {
        let one = |n: usize| {
            for _ in 0..2 {
                let network = if n.is_multiple_of(2) { "bridge" } else { "many" };
                let guest = lab.guest(Ask::new(&format!("c{n}"), &[network]).publish(None, None, 80))?;
                guest.detach()?;
            }
            Outcome::Ok(())
        };
        let tasks: Vec<_> = (0..50).map(|n| s.spawn(move || one(n))).collect();
        tasks.into_iter().filter_map(|t| t.join().ok()?.err()).map(|e| format!("{e:?}")).collect()
    });
    check(errors.is_empty(), errors.join("; "))?;
    lab.nothing_left()
}

fn a_network_more_and_one_less(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    lab.network("one", &["10.214.3.0/24"], |_| {})?;
    lab.network("two", &["10.214.4.0/24"], |_| {})?;
    let mut guest = lab.guest(Ask::new("web", &["one"]).publish(None, None, 80))?;
    let other = lab.guest(Ask::new("db", &["two"]))?;
    guest.space.serve("0.0.0.0:80")?;
    let port = other.space.serve("0.0.0.0:5432")?;
    let to = lab::at(other.ip(), port);
    check(guest.space.reach(to).is_err(), "another network was reached")?;
    let two =
        hardrun::plan::EndpointPlan { network: "two".into(), ip: Some("10.214.4.77".into()), ..Default::default() };
    guest.attached.connect(&two, &lab::alive).map_err(stop("connect"))?;
    let shown = guest.attached.network();
    check(shown.endpoints[1].ip == "10.214.4.77" && shown.endpoints[1].interface == "eth1", format!("{shown:?}"))?;
    check(guest.space.reach(to).as_deref() == Ok("10.214.4.77"), "the network that was added is not reached")?;
    check(guest.look_up("db", 1)?.1 == [other.ip().to_string()], "its names are not known")?;
    check(guest.attached.connect(&two, &lab::alive).is_err(), "connected twice")?;
    let here = lab::at("127.0.0.1", guest.port());
    check(lab::reach(here).is_ok(), "the published port is not reached")?;
    guest.attached.disconnect("one").map_err(stop("disconnect"))?;
    check(lab::reach(here).is_ok(), "the published port did not move to the network that is left")?;
    guest.attached.disconnect("two").map_err(stop("disconnect"))?;
    check(guest.space.reach(to).is_err(), "a network that was left is reached")?;
    check(guest.attached.disconnect("two").is_err(), "left twice")?;
    guest.detach()?;
    other.detach()?;
    lab.nothing_left()
}

fn conflicts_are_dockers(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    lab.network("one", &["10.214.5.0/30"], |_| {})?;
    let guest = lab.guest(Ask::new("web", &["one"]).publish(None, None, 80))?;
    let port = guest.port();
    let space = Space::new()?;
    for (ask, words) in [
        (
            Ask::new("b", &["bridge"]).publish(None, Some(port), 80),
            format!("Bind for 127.0.0.1:{port} failed: port is already allocated"),
        ),
        (Ask::new("b", &["one"]), "no available IPv4 addresses".into()),
        (Ask::new("b", &["nope"]), "network nope not found".into()),
        (
            Ask::new("b", &["one"]).with(|p| p.endpoints[0].ip = Some(guest.ip().to_string())),
            "Address already in use".into(),
        ),
        (
            Ask::new("b", &["bridge"]).with(|p| p.endpoints[0].mac = Some("01:02:03:04:05:06".into())),
            "invalid MAC address".into(),
        ),
    ] {
        match lab.try_attach(&space, &ask) {
            Ok(_) => return fail(format!("{words}: it was attached")),
            Err(e) => {
                check(e.message.contains(&words), format!("{} instead of {words}", e.message))?;
                check(e.kind.exit_code() == 125, "the exit status")?;
            }
        }
    }
    guest.detach()?;
    lab.nothing_left()
}

/// In a network namespace that is the host for as long as the case lasts.
fn other_firewalls_are_told_and_left_alone(_: &Env) -> Outcome {
    std::thread::scope(|s| {
        let host = s.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).map_err(stop("make a network namespace"))?;
            told_and_left_alone()
        });
        host.join().unwrap_or_else(|_| fail("it panicked"))
    })
}

fn told_and_left_alone() -> Outcome {
    let run = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let out = Command::new(words[0]).args(&words[1..]).output().map_err(stop(line))?;
        check(out.status.success(), format!("{line}: {}", String::from_utf8_lossy(&out.stderr)))?;
        Outcome::Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    };
    lab::ip("link set lo up")?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").map_err(stop("ip_forward"))?;
    let (lab, lan) = (Lab::new()?, lab::Lan::new()?);
    lab.network("one", &["10.214.40.0/24"], |_| {})?;
    let port = lan.space.serve("0.0.0.0:0")?;
    for others in [false, true] {
        run("iptables -P FORWARD DROP")?;
        if others {
            run("iptables -N DOCKER-USER")?;
            run("iptables -I FORWARD -j DOCKER-USER")?;
        }
        let before = run("iptables -S")?;
        let guest = lab.guest(Ask::new("a", &["one"]).publish(Some("0.0.0.0"), None, 80))?;
        let said = guest.attached.notices.join("\n");
        let chain = if others { "DOCKER-USER" } else { "FORWARD" };
        check(said.contains(&format!("chain {chain} now lets hr-")), said.clone())?;
        check(others || said.contains("net.ipv4.ip_forward was 0 and is 1 now"), said)?;
        check(run("iptables -S")?.matches("hardrun hr-").count() == 2, "the rules that let it pass")?;
        guest.space.serve("0.0.0.0:80")?;
        let seen = guest.space.reach(lab::at(lan.ip(), port));
        check(seen.is_ok(), format!("the way out through {chain}: {seen:?}"))?;
        let seen = lan.space.reach(lab::at(lan.host_ip(), guest.port()));
        check(seen.is_ok(), format!("the way in through {chain}: {seen:?}"))?;
        guest.detach()?;
        check(run("iptables -S")? == before, "the rules of others have changed")?;
    }
    // A table of somebody else's, which no chain is kept in for others.
    run("iptables -P FORWARD ACCEPT")?;
    run("nft add table inet mine")?;
    run("nft add chain inet mine pass { type filter hook forward priority 0 ; policy drop ; }")?;
    let before = run("nft list table inet mine")?;
    let guest = lab.guest(Ask::new("a", &["one"]))?;
    let said = guest.attached.notices.join("\n");
    check(said.contains("nftables chain inet mine pass drops forwarded packets"), said)?;
    guest.detach()?;
    check(run("nft list table inet mine")? == before, "a table of somebody else's has changed")?;
    lab.nothing_left()
}

fn flushed_rules_come_back(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    let table = hardrun::net::names::Names::of(&lab.paths).table;
    let flush = || {
        for family in ["inet", "bridge"] {
            let out = Command::new("nft").args(["delete", "table", family, &table]).output().map_err(stop("nft"))?;
            check(out.status.success(), "there were no rules to flush")?;
        }
        Outcome::Ok(())
    };
    lab.network("one", &["10.214.41.0/24", "fd00:214:41::/64"], |_| {})?;
    let a = lab.guest(Ask::new("a", &["one"]).publish(None, None, 80).egress(&["192.0.2.0/24"]))?;
    a.space.serve("0.0.0.0:80")?;
    let service = lab::serve(std::net::TcpListener::bind("0.0.0.0:0").map_err(stop("listen"))?)?;
    let (published, host) = (lab::at("127.0.0.1", a.port()), lab::at(a.gateway(), service));
    check(lab::reach(published).is_ok() && a.space.reach(host).is_err(), "nothing was tried")?;
    flush()?;
    lab.sweep(true)?;
    check(lab::reach(published).is_ok(), "the published port did not come back")?;
    check(a.space.reach(host).is_err(), "the host is open")?;
    flush()?;
    // The next container brings them back too.
    let b = lab.guest(Ask::new("b", &["one"]))?;
    check(lab::reach(published).is_ok(), "the published port did not come back with the next container")?;
    check(b.space.reach(lab::at(a.ip(), 80)).is_ok(), "containers do not meet")?;
    // One table alone, and rules without their tables: what is left of them keeps nobody from anything.
    for words in [["delete", "table", "bridge"], ["flush", "table", "inet"], ["flush", "table", "bridge"]] {
        let out = Command::new("nft").args(words).arg(&table).output().map_err(stop("nft"))?;
        check(out.status.success(), format!("{words:?}: {}", String::from_utf8_lossy(&out.stderr)))?;
        lab.sweep(true)?;
        let rules = Command::new("nft").args(["list", "ruleset"]).output().map_err(stop("nft"))?;
        let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
        check(
            rules.contains("@targets6 drop") && rules.contains("@never4"),
            format!("{words:?}: they did not come back"),
        )?;
        check(a.space.reach(host).is_err(), format!("{words:?}: the host is open"))?;
        check(lab::reach(published).is_ok(), format!("{words:?}: the published port did not come back"))?;
    }
    a.detach()?;
    flush()?;
    b.detach()?;
    lab.nothing_left()
}

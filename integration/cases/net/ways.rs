//! `--egress`: where a container may go.

use super::lab::{Ask, Lab, Lan, at, check, reach, stop};
use super::names::Server;
use crate::harness::{Env, Outcome};
use hardrun::net::dns::message::A;
use std::sync::atomic::Ordering;

crate::cases!("net_ways":
    @alone only_listed_addresses_and_ports_are_reached,
    @alone names_are_followed_as_they_are_looked_up,
    @alone neighbours_on_the_same_network_count_too,
    @alone a_whole_container_is_limited_and_inspect_says_so,
);

fn only_listed_addresses_and_ports_are_reached(_: &Env) -> Outcome {
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    let good = lan.space.serve("0.0.0.0:0")?;
    let bad = lan.space.serve("0.0.0.0:0")?;
    let listed = format!("{}:{good}", lan.ip());
    let limited = lab.guest(Ask::new("a", &["bridge"]).egress(&[&listed]).publish(None, None, 80))?;
    check(limited.space.reach(at(lan.ip(), good)).is_ok(), "what is listed is not reached")?;
    let none = limited.attached.refused().map_err(stop("count"))?;
    check(none.packets == 0, format!("{none:?}"))?;
    check(limited.space.reach(at(lan.ip(), bad)).is_err(), "another port was reached")?;
    let some = limited.attached.refused().map_err(stop("count"))?;
    check(some.packets > 0 && some.bytes > 0, format!("{some:?}"))?;
    limited.space.serve("0.0.0.0:80")?;
    check(reach(at("127.0.0.1", limited.port())).is_ok(), "answers to who asked from outside are refused")?;
    let free = lab.guest(Ask::new("b", &["bridge"]))?;
    check(free.space.reach(at(lan.ip(), bad)).is_ok(), "others are limited too")?;
    check(free.attached.refused().map_err(stop("count"))?.packets == 0, "others are counted")?;
    let network = lab.guest(Ask::new("c", &["bridge"]).egress(&[&format!("{}/30", lan.ip()), &listed]))?;
    check(network.space.reach(at(lan.ip(), bad)).is_ok(), "a listed network is not reached")?;
    let nowhere = lab.guest(Ask::new("d", &["bridge"]).egress(&["none"]))?;
    check(nowhere.space.reach(at(lan.ip(), good)).is_err(), "with none something was reached")?;
    for guest in [limited, free, network, nowhere] {
        guest.detach()?;
    }
    lab.nothing_left()
}

fn names_are_followed_as_they_are_looked_up(_: &Env) -> Outcome {
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    let std::net::IpAddr::V4(ip) = lan.ip() else { return Ok(()) };
    let server = Server::start("127.0.0.161", ip.octets())?;
    let port = lan.space.serve("0.0.0.0:0")?;
    let ask = Ask::new("a", &["bridge"]).egress(&["deb.example"]).with(|p| p.dns = vec![server.address.clone()]);
    let mut guest = lab.guest(ask)?;
    check(guest.space.reach(at(ip, port)).is_err(), "it was reached before its name was looked up")?;
    check(guest.look_up("evil.example", A)?.0 == 5, "another name is not refused")?;
    check(server.asked.load(Ordering::Relaxed) == 0, "a name that is not listed was asked about")?;
    check(guest.look_up("deb.example", A)? == (0, vec![ip.to_string()]), "the listed name")?;
    check(guest.space.reach(at(ip, port)).is_ok(), "the address of a listed name is not reached")?;
    check(guest.look_up("deb.example", A)?.0 == 0, "asked again")?;
    check(guest.space.reach(at(ip, port)).is_ok(), "asked again, it is not reached")?;
    let address = guest.ip();
    guest.detach()?;
    // The next with the same address has none of it.
    let ask = Ask::new("b", &["bridge"]).egress(&["none"]);
    let keeper = lab.guest(ask)?;
    check(keeper.ip() == address, "another address: nothing is tried")?;
    check(keeper.space.reach(at(ip, port)).is_err(), "what another learned is open to the next")?;
    keeper.detach()?;
    lab.nothing_left()
}

fn neighbours_on_the_same_network_count_too(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    lab.network("near", &["10.214.30.0/24"], |_| {})?;
    let db = lab.guest(Ask::new("db", &["near"]))?;
    let (good, bad) = (db.space.serve("0.0.0.0:0")?, db.space.serve("0.0.0.0:0")?);
    let limited = lab.guest(Ask::new("a", &["near"]).egress(&[&format!("{}:{good}", db.ip())]))?;
    check(limited.space.reach(at(db.ip(), good)).is_ok(), "a listed neighbour is not reached")?;
    check(limited.space.reach(at(db.ip(), bad)).is_err(), "a neighbour was reached on another port")?;
    check(limited.attached.refused().map_err(stop("count"))?.packets > 0, "it was not counted")?;
    let own = limited.space.serve("0.0.0.0:0")?;
    check(db.space.reach(at(limited.ip(), own)).is_ok(), "answers to a neighbour are refused")?;
    let mut named = lab.guest(Ask::new("b", &["near"]).egress(&["db"]))?;
    check(named.space.reach(at(db.ip(), bad)).is_err(), "a neighbour was reached before it was looked up")?;
    check(named.look_up("db", A)?.1 == [db.ip().to_string()], "a listed neighbour's name")?;
    check(named.space.reach(at(db.ip(), bad)).is_ok(), "a neighbour that is listed by name is not reached")?;
    for guest in [db, limited, named] {
        guest.detach()?;
    }
    lab.nothing_left()
}

/// Through the command line, with a program inside: on the default network, and on one that was connected later.
fn a_whole_container_is_limited_and_inspect_says_so(env: &Env) -> Outcome {
    let (root, lan) = (env.own_root()?, Lan::new()?);
    let (good, bad) = (lan.space.serve("0.0.0.0:0")?, lan.space.serve("0.0.0.0:0")?);
    let listed = format!("{}:{good}", lan.ip());
    let hardrun = |words: &[&str]| env.at(&root, words).limit(30).go();
    hardrun(&["run", "-d", "--name", "limited", "--egress", &listed, "busybox", "sleep", "1000"])?.ok()?;
    let ask = |port: u16| {
        let script = format!("nc -w 3 {} {port} </dev/null || echo refused", lan.ip());
        hardrun(&["exec", "limited", "sh", "-c", &script]).map(|o| o.out().trim().to_owned())
    };
    let told = || {
        let format = "{{.Hardrun.Egress.Allowed}} {{.Hardrun.Egress.RefusedPackets}}";
        Outcome::Ok(hardrun(&["inspect", "-f", format, "limited"])?.ok()?.out().trim().to_owned())
    };
    let done = (|| {
        let seen = ask(good)?;
        check(seen == lan.host_ip().to_string(), format!("what is listed: {seen}"))?;
        let shown = format!("[{}/32:{good}]", lan.ip());
        check(told()? == format!("{shown} 0"), told()?)?;
        check(ask(bad)? == "refused", "another port was reached")?;
        let refused = told()?;
        let count = refused.strip_prefix(&format!("{shown} ")).and_then(|n| n.parse::<u64>().ok());
        check(count.is_some_and(|n| n > 0), refused)?;
        hardrun(&["network", "create", "more"])?.ok()?;
        hardrun(&["network", "connect", "more", "limited"])?.ok()?;
        hardrun(&["network", "disconnect", "bridge", "limited"])?.ok()?;
        check(ask(bad)? == "refused", "a network that was connected later is a way around")?;
        let seen = ask(good)?;
        check(seen == lan.host_ip().to_string(), format!("what is listed, by another network: {seen}"))
    })();
    hardrun(&["rm", "-f", "limited"])?.ok()?;
    done
}

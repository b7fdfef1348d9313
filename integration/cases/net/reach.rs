//! Who reaches whom: containers, the host, a neighbour on the LAN.

use super::lab::{self, Ask, Lab, Lan, Space, at, check, reach, serve, stop};
use crate::harness::{Env, Outcome, skip};
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

crate::cases!("net_reach":
    @alone a_container_has_a_way_out_under_the_hosts_address,
    @alone what_is_published_on_loopback_stays_there,
    @alone what_is_published_everywhere_is_reached_from_everywhere,
    @alone the_host_and_other_networks_are_out_of_reach,
    @alone host_access_opens_the_host,
    @alone metadata_addresses_are_out_of_reach,
    @alone nobody_sends_under_anothers_address,
    @alone nobody_answers_for_anothers_address,
    @alone the_hosts_loopback_is_not_to_be_had,
    @alone an_internal_network_has_no_way_out,
    @alone ipv6_works_from_the_first_moment,
    @alone without_icc_containers_do_not_meet,
    @alone the_first_connection_is_not_late,
    @alone datagrams_are_led_to_the_container_that_is_there,
    @alone sctp_ports_are_published_too,
);

fn a_container_has_a_way_out_under_the_hosts_address(_: &Env) -> Outcome {
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    let guest = lab.guest(Ask::new("web", &["bridge"]))?;
    let port = lan.space.serve("0.0.0.0:0")?;
    let seen = guest.space.reach(at(lan.ip(), port));
    check(seen == Ok(lan.host_ip().to_string()), format!("the neighbour saw {seen:?}"))?;
    guest.detach()?;
    lab.nothing_left()
}

fn what_is_published_on_loopback_stays_there(_: &Env) -> Outcome {
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    let guest = lab.guest(Ask::new("web", &["bridge"]).publish(None, None, 80))?;
    let other = lab.guest(Ask::new("other", &["bridge"]))?;
    guest.space.serve("0.0.0.0:80")?;
    let port = guest.port();
    let seen = reach(at("127.0.0.1", port));
    check(seen == Ok(guest.gateway().to_string()), format!("from the host: {seen:?}"))?;
    check(lan.space.reach(at(lan.host_ip(), port)).is_err(), "the neighbour reached it at the host's address")?;
    // A neighbour that takes the host for the way to 127.0.0.1 (CVE-2020-8558, and the DNAT in prerouting besides).
    lan.space.write("/proc/sys/net/ipv4/conf/all/route_localnet", "1")?;
    lan.space.ip("addr del 127.0.0.1/8 dev lo")?;
    lan.space.ip(&format!("route add 127.0.0.0/8 via {} src {}", lan.host_ip(), lan.ip()))?;
    lab::ip(&format!("link set {} up", lan.interface()))?;
    let sysctl = format!("/proc/sys/net/ipv4/conf/{}/route_localnet", lan.interface());
    std::fs::write(&sysctl, "1").map_err(stop(&sysctl))?;
    check(lan.space.reach(at("127.0.0.1", port)).is_err(), "the neighbour reached it at 127.0.0.1")?;
    // Nor a container at the host's address on the bridge, nor at the LAN's.
    for ip in [other.gateway(), lan.host_ip()] {
        check(other.space.reach(at(ip, port)).is_err(), format!("another container reached it at {ip}"))?;
    }
    // Nor the neighbour straight at the container's address.
    check(lan.space.reach(at(guest.ip(), 80)).is_err(), "the neighbour reached the container's own address")?;
    check(reach(at(guest.ip(), 80)).is_ok(), "the host does not reach the container's address")?;
    guest.detach()?;
    check(reach(at("127.0.0.1", port)).is_err(), "it is reached when its container is gone")?;
    TcpListener::bind(("127.0.0.1", port)).map_err(stop("the port is still held"))?;
    other.detach()?;
    lab.nothing_left()
}

fn what_is_published_everywhere_is_reached_from_everywhere(_: &Env) -> Outcome {
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    lab.network("elsewhere", &["10.214.9.0/24"], |_| {})?;
    let guest = lab.guest(Ask::new("web", &["bridge"]).publish(Some("0.0.0.0"), None, 80))?;
    let other = lab.guest(Ask::new("other", &["bridge"]))?;
    let far = lab.guest(Ask::new("far", &["elsewhere"]))?;
    guest.space.serve("0.0.0.0:80")?;
    let port = guest.port();
    let seen = lan.space.reach(at(lan.host_ip(), port));
    check(seen == Ok(lan.ip().to_string()), format!("the neighbour's own address is to be seen: {seen:?}"))?;
    for ip in ["127.0.0.1".to_owned(), lan.host_ip().to_string()] {
        check(reach(at(&ip, port)).is_ok(), format!("the host does not reach it at {ip}"))?;
    }
    for (who, space) in [("itself", &guest.space), ("a neighbour", &other.space), ("another network", &far.space)] {
        let seen = space.reach(at(lan.host_ip(), port));
        check(seen.is_ok(), format!("{who} does not reach it at the host's address: {seen:?}"))?;
    }
    check(far.space.reach(at(guest.ip(), 80)).is_err(), "another network reaches its own address")?;
    // One address only.
    let one = lab.guest(Ask::new("one", &["bridge"]).publish(Some(&lan.host_ip().to_string()), None, 81))?;
    one.space.serve("0.0.0.0:81")?;
    check(lan.space.reach(at(lan.host_ip(), one.port())).is_ok(), "published on one address, not reached there")?;
    check(reach(at("127.0.0.1", one.port())).is_err(), "published on one address, reached on another")?;
    for guest in [guest, other, far, one] {
        guest.detach()?;
    }
    lab.nothing_left()
}

fn the_host_and_other_networks_are_out_of_reach(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    lab.network("elsewhere", &["10.214.10.0/24"], |_| {})?;
    let guest = lab.guest(Ask::new("web", &["bridge"]))?;
    let far = lab.guest(Ask::new("far", &["elsewhere"]))?;
    let port = serve(TcpListener::bind("0.0.0.0:0").map_err(stop("listen"))?)?;
    for ip in [guest.gateway(), far.gateway()] {
        let start = Instant::now();
        check(guest.space.reach(at(ip, port)).is_err(), format!("a service of the host was reached at {ip}"))?;
        check(start.elapsed() < Duration::from_millis(500), "it is not refused at once")?;
    }
    let there = far.space.serve("0.0.0.0:0")?;
    check(guest.space.reach(at(far.ip(), there)).is_err(), "a container of another network was reached")?;
    let here = guest.space.serve("0.0.0.0:0")?;
    check(far.space.reach(at(guest.ip(), here)).is_err(), "a container of another network was reached")?;
    check(reach(at(guest.ip(), here)).is_ok(), "the host does not reach a container")?;
    let gateway = guest.gateway().to_string();
    let ping = guest.space.inside(|| std::process::Command::new("ping").args(["-c1", "-W1", &gateway]).output());
    if let Ok(ping) = ping {
        check(ping.status.success(), "the gateway does not answer to ping")?;
    }
    // Another engine's bridge.
    let name = format!("brx{}", std::process::id() % 10_000);
    lab::ip(&format!("link add {name} type bridge"))?;
    let foreign = (|| {
        lab::ip(&format!("addr add 10.214.11.1/24 dev {name}"))?;
        lab::ip(&format!("link set {name} up"))?;
        let space = Space::new()?;
        use std::os::fd::AsRawFd;
        let netns = format!("/proc/{}/fd/{}", std::process::id(), space.0.as_raw_fd());
        lab::ip(&format!("link add v{name} master {name} type veth peer name eth0 netns {netns}"))?;
        lab::ip(&format!("link set v{name} up"))?;
        space.ip("addr add 10.214.11.2/24 dev eth0")?;
        space.ip("link set eth0 up")?;
        space.ip("route add default via 10.214.11.1")?;
        std::thread::sleep(Duration::from_millis(50));
        let port = space.serve("0.0.0.0:0")?;
        check(reach(at("10.214.11.2", port)).is_ok(), "the other engine's container does not work at all")?;
        check(guest.space.reach(at("10.214.11.2", port)).is_err(), "another engine's container was reached")?;
        check(space.reach(at(guest.ip(), here)).is_err(), "another engine's container reached ours")
    })();
    lab::ip(&format!("link del {name}"))?;
    foreign?;
    guest.detach()?;
    far.detach()?;
    lab.nothing_left()
}

fn host_access_opens_the_host(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    let guest = lab.guest(Ask::new("web", &["bridge"]).with(|p| p.host_access = true))?;
    let other = lab.guest(Ask::new("other", &["bridge"]))?;
    let port = serve(TcpListener::bind("0.0.0.0:0").map_err(stop("listen"))?)?;
    let seen = guest.space.reach(at(guest.gateway(), port));
    check(seen == Ok(guest.ip().to_string()), format!("with --allow-host-access: {seen:?}"))?;
    check(other.space.reach(at(other.gateway(), port)).is_err(), "it opened the host to others too")?;
    let hosts = guest.attached.hosts("127.0.0.1\tlocalhost\nhost-gateway\tup\n", Some("example"));
    let name = &hosts.lines().last().unwrap_or_default().split('\t').nth(1).unwrap_or_default().to_owned();
    check(hosts.contains(&format!("{}\tup\n", guest.gateway())), hosts.clone())?;
    check(name.contains(".example "), hosts)?;
    guest.detach()?;
    other.detach()?;
    lab.nothing_left()
}

fn metadata_addresses_are_out_of_reach(_: &Env) -> Outcome {
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    let guest = lab.guest(Ask::new("web", &["bridge"]))?;
    lan.space.ip("addr add 169.254.169.254/32 dev lan0")?;
    lab::ip(&format!("route add 169.254.169.254/32 via {}", lan.ip()))?;
    let port = lan.space.serve("0.0.0.0:0")?;
    let from_host = reach(at("169.254.169.254", port));
    let from_inside = guest.space.reach(at("169.254.169.254", port));
    lab::ip("route del 169.254.169.254/32")?;
    check(from_host.is_ok(), "the host does not reach it: nothing was tried")?;
    check(from_inside.is_err(), "a metadata address was reached")?;
    check(guest.space.reach(at(lan.ip(), port)).is_ok(), "the same server is not reached at its other address")?;
    guest.detach()?;
    lab.nothing_left()
}

fn nobody_sends_under_anothers_address(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    lab.network("pair", &["10.214.12.0/24", "fd00:214:12::/64"], |_| {})?;
    let guest = lab.guest(Ask::new("evil", &["pair"]))?;
    let other = lab.guest(Ask::new("db", &["pair"]))?;
    let port = other.space.serve("0.0.0.0:0")?;
    let six = other.space.serve("[::]:0")?;
    let to = at(other.ip(), port);
    check(guest.space.reach(to).is_ok(), "nothing was tried")?;
    let datagram = |from: &str, to: std::net::SocketAddr| {
        let receiver = other
            .space
            .inside(|| UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:9" } else { "[::]:9" }))
            .map_err(stop("bind"))?;
        receiver.set_read_timeout(Some(Duration::from_millis(300))).map_err(stop("time"))?;
        let from = from.to_owned();
        guest
            .space
            .inside(move || UdpSocket::bind((from.as_str(), 0)).and_then(|s| s.send_to(b"x", to)))
            .map_err(stop("send"))?;
        Outcome::Ok(receiver.recv(&mut [0; 8]).is_ok())
    };
    let (own, own6) = (guest.ip().to_string(), guest.ip6().to_string());
    check(datagram(&own, at(other.ip(), 9))?, "nothing was tried")?;
    check(datagram(&own6, at(other.ip6(), 9))?, "nothing was tried with IPv6")?;
    guest.space.ip("addr add 10.214.12.99/24 dev eth0")?;
    guest.space.ip("addr add fd00:214:12::99/64 dev eth0 nodad")?;
    check(!datagram("10.214.12.99", at(other.ip(), 9))?, "an address that it does not have")?;
    check(!datagram("fd00:214:12::99", at(other.ip6(), 9))?, "an IPv6 address that it does not have")?;
    // Another's link address: the bridge would send it the other's frames.
    let mac = other.attached.network().endpoints[0].mac.clone();
    guest.space.ip("link set eth0 down")?;
    guest.space.ip(&format!("link set eth0 address {mac}"))?;
    guest.space.ip("link set eth0 up")?;
    check(guest.space.reach(to).is_err(), "another's MAC address")?;
    check(guest.space.reach(at(other.ip6(), six)).is_err(), "another's MAC address, with IPv6")?;
    check(reach(to).is_ok(), "the other is no longer reached")?;
    guest.detach()?;
    other.detach()?;
    lab.nothing_left()
}

/// ARP and neighbour discovery: whoever asks for a neighbour's address hears from the neighbour alone.
fn nobody_answers_for_anothers_address(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    lab.network("trio", &["10.214.16.0/24", "fd00:214:16::/64"], |_| {})?;
    let evil = lab.guest(Ask::new("evil", &["trio"]))?;
    let db = lab.guest(Ask::new("db", &["trio"]))?;
    let client = lab.guest(Ask::new("client", &["trio"]))?;
    let (four, six) = (db.space.serve("0.0.0.0:0")?, db.space.serve("[::]:0")?);
    let evils = evil.attached.network().endpoints[0].mac.clone();
    let believed = || {
        let known = client.space.inside(|| std::process::Command::new("ip").args(["neigh", "show"]).output());
        let known = String::from_utf8_lossy(&known.map_err(stop("ip neigh"))?.stdout).into_owned();
        Outcome::Ok((known.contains(evils.as_str()), known))
    };
    let (own, own6) = (format!("{}/24", db.ip()), format!("{}/64", db.ip6()));
    evil.space.ip(&format!("addr add {own} dev eth0"))?;
    evil.space.ip(&format!("addr add {own6} dev eth0 nodad"))?;
    evil.space.ip(&format!("addr add {}/24 dev eth0", client.gateway()))?;
    // The neighbour is silent: without the rules evil alone would answer, and be believed.
    db.space.ip(&format!("addr del {own} dev eth0"))?;
    db.space.ip(&format!("addr del {own6} dev eth0"))?;
    for (to, what) in [(at(db.ip(), four), "ARP"), (at(db.ip6(), six), "neighbour discovery")] {
        client.space.ip("neigh flush dev eth0")?;
        check(client.space.reach(to).is_err(), format!("{what}: somebody answers for {to}"))?;
        let (wrong, known) = believed()?;
        check(!wrong, format!("{what}: evil was believed: {known}"))?;
    }
    db.space.ip(&format!("addr add {own} dev eth0"))?;
    db.space.ip(&format!("addr add {own6} dev eth0 nodad"))?;
    for to in [at(db.ip(), four), at(db.ip6(), six)] {
        client.space.ip("neigh flush dev eth0")?;
        check(client.space.reach(to).is_ok(), format!("{to} is not reached"))?;
    }
    // Nor for the host's address on the bridge, at which the way out begins.
    client.space.ip("neigh flush dev eth0")?;
    let _ = client.space.reach(at(client.gateway(), 9));
    let (wrong, known) = believed()?;
    check(!wrong, format!("evil was taken for the host: {known}"))?;
    for guest in [evil, db, client] {
        guest.detach()?;
    }
    lab.nothing_left()
}

fn the_hosts_loopback_is_not_to_be_had(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    let guest = lab.guest(Ask::new("web", &["bridge"]).publish(None, None, 80))?;
    let port = serve(TcpListener::bind("127.0.0.1:0").map_err(stop("listen"))?)?;
    check(reach(at("127.0.0.1", port)).is_ok(), "nothing was tried")?;
    guest.space.write("/proc/sys/net/ipv4/conf/all/route_localnet", "1")?;
    guest.space.ip("addr del 127.0.0.1/8 dev lo")?;
    guest.space.ip(&format!("route add 127.0.0.0/8 via {} src {}", guest.gateway(), guest.ip()))?;
    check(
        guest.space.reach(at("127.0.0.1", port)).is_err(),
        "a container reached the host's loopback (CVE-2020-8558)",
    )?;
    // Alone, without the address check at the port.
    guest.detach()?;
    lab.nothing_left()
}

fn an_internal_network_has_no_way_out(_: &Env) -> Outcome {
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    lab.network("inner", &["10.214.13.0/24"], |n| n.internal = true)?;
    let a = lab.guest(Ask::new("a", &["inner"]).publish(Some("0.0.0.0"), None, 80))?;
    let b = lab.guest(Ask::new("b", &["inner"]))?;
    check(a.attached.network().ports.is_empty() && !a.attached.notices.is_empty(), "ports of an internal network")?;
    let port = lan.space.serve("0.0.0.0:0")?;
    check(a.space.reach(at(lan.ip(), port)).is_err(), "no default route is to be had")?;
    a.space.ip("route add default via 10.214.13.1")?;
    check(a.space.reach(at(lan.ip(), port)).is_err(), "it has a way out with a route of its own")?;
    let inner = b.space.serve("0.0.0.0:0")?;
    check(a.space.reach(at(b.ip(), inner)).is_ok(), "containers of one internal network do not meet")?;
    check(lan.space.reach(at(b.ip(), inner)).is_err(), "the neighbour has a way in")?;
    a.detach()?;
    b.detach()?;
    lab.nothing_left()
}

fn ipv6_works_from_the_first_moment(_: &Env) -> Outcome {
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    lab.network("six", &["10.214.14.0/24", "fd00:214:14::/64"], |_| {})?;
    lab::ip(&format!("addr add fd00:213::1/64 dev {} nodad", lan.interface()))?;
    lan.space.ip("addr add fd00:213::2/64 dev lan0 nodad")?;
    lan.space.ip("route add default via fd00:213::1")?;
    let a = lab.guest(Ask::new("a", &["six"]).publish(Some("::"), None, 80))?;
    let start = Instant::now();
    let b = lab.guest(Ask::new("b", &["six"]))?;
    a.space.serve("[::]:80")?;
    let seen = b.space.reach(at(a.ip6(), 80));
    check(seen == Ok(b.ip6().to_string()), format!("{seen:?}"))?;
    check(start.elapsed() < Duration::from_millis(900), format!("it took {:?}", start.elapsed()))?;
    let out = lan.space.serve("[::]:0")?;
    let seen = b.space.reach(at("fd00:213::2", out));
    check(seen == Ok("fd00:213::1".to_owned()), format!("the neighbour saw {seen:?}"))?;
    let seen = lan.space.reach(at("fd00:213::1", a.port()));
    check(seen == Ok("fd00:213::2".to_owned()), format!("the published port: {seen:?}"))?;
    check(lan.space.reach(at(a.ip6(), 80)).is_err(), "the neighbour reached the container's own address")?;
    let host = serve(TcpListener::bind("[::]:0").map_err(stop("listen"))?)?;
    check(
        b.space.reach(at(b.attached.network().endpoints[0].gateway6.clone(), host)).is_err(),
        "a service of the host",
    )?;
    let shown = b.attached.network();
    check(shown.endpoints[0].prefix6 == 64, format!("{shown:?}"))?;
    // A network without IPv6 has none at all, not even on the link.
    let four = lab.guest(Ask::new("four", &["bridge"]))?;
    let addresses =
        four.space.inside(|| std::fs::read_to_string("/proc/thread-self/net/if_inet6")).map_err(stop("read"))?;
    check(!addresses.contains("eth0"), addresses)?;
    for guest in [a, b, four] {
        guest.detach()?;
    }
    lab.nothing_left()
}

fn without_icc_containers_do_not_meet(_: &Env) -> Outcome {
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    lab.network("apart", &["10.214.15.0/24"], |n| {
        n.options.insert("com.docker.network.bridge.enable_icc".into(), "false".into());
    })?;
    let a = lab.guest(Ask::new("a", &["apart"]))?;
    let b = lab.guest(Ask::new("b", &["apart"]))?;
    let port = b.space.serve("0.0.0.0:0")?;
    check(a.space.reach(at(b.ip(), port)).is_err(), "two containers met on a network without icc")?;
    // Nor with the host as the way.
    a.space.ip(&format!("route add {}/32 via {}", b.ip(), a.gateway()))?;
    check(a.space.reach(at(b.ip(), port)).is_err(), "they met by way of the host")?;
    let out = lan.space.serve("0.0.0.0:0")?;
    check(a.space.reach(at(lan.ip(), out)).is_ok(), "it has no way out")?;
    a.detach()?;
    b.detach()?;
    lab.nothing_left()
}

fn the_first_connection_is_not_late(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    let first = lab.guest(Ask::new("db", &["bridge"]))?;
    let port = first.space.serve("0.0.0.0:0")?;
    let mut late = 0;
    for n in 0..30 {
        let guest = lab.guest(Ask::new(&format!("c{n}"), &["bridge"]))?;
        let start = Instant::now();
        let seen = guest.space.reach(at(first.ip(), port));
        late += usize::from(seen.is_err() || start.elapsed() > Duration::from_millis(500));
        guest.detach()?;
    }
    check(late == 0, format!("{late} of 30 first connections were late"))?;
    first.detach()?;
    lab.nothing_left()
}

fn datagrams_are_led_to_the_container_that_is_there(_: &Env) -> Outcome {
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    let client = lan.space.inside(|| UdpSocket::bind("0.0.0.0:0")).map_err(stop("bind"))?;
    client.set_read_timeout(Some(Duration::from_millis(500))).map_err(stop("time"))?;
    let ask = |host_port| {
        Ask::new("udp", &["bridge"])
            .publish(Some("0.0.0.0"), host_port, 53)
            .with(|p| p.publish[0].protocol = "udp".into())
    };
    let (mut port, mut before, mut fillers) = (None, None, Vec::new());
    for _ in 0..2 {
        // From the same socket as before, so that its way would be remembered.
        if let Some(port) = port {
            client.send_to(b"too early", at(lan.host_ip(), port)).map_err(stop("send"))?;
        }
        // The second time, what comes before it takes the first one's address.
        fillers.extend(before.map(|_| lab.guest(Ask::new("filler", &["bridge"]))).transpose()?);
        let guest = lab.guest(ask(port))?;
        check(before != Some(guest.ip()), "the same address: nothing is tried")?;
        before = Some(guest.ip());
        port = Some(guest.port());
        let server = guest.space.inside(|| UdpSocket::bind("0.0.0.0:53")).map_err(stop("bind"))?;
        server.set_read_timeout(Some(Duration::from_millis(500))).map_err(stop("time"))?;
        client.send_to(b"x", at(lan.host_ip(), guest.port())).map_err(stop("send"))?;
        let (_, from) = server.recv_from(&mut [0; 8]).map_err(stop("the datagram did not arrive"))?;
        check(from.ip() == lan.ip(), format!("from {from}"))?;
        server.send_to(b"y", from).map_err(stop("send"))?;
        let (_, from) = client.recv_from(&mut [0; 8]).map_err(stop("the answer did not arrive"))?;
        check(from == at(lan.host_ip(), guest.port()), format!("the answer came from {from}"))?;
        drop(server);
        guest.detach()?;
    }
    fillers.into_iter().try_for_each(|filler| filler.detach())?;
    lab.nothing_left()
}

fn sctp_ports_are_published_too(_: &Env) -> Outcome {
    if lab::sctp_socket().is_err() {
        return skip("the kernel has no SCTP (a module of that name)");
    }
    let (lab, lan) = (Lab::new()?, Lan::new()?);
    let publish =
        |ip| Ask::new("phone", &["bridge"]).publish(Some(ip), None, 80).with(|p| p.publish[0].protocol = "sctp".into());
    let everywhere = lab.guest(publish("0.0.0.0"))?;
    everywhere.space.serve_sctp(80)?;
    let seen = lan.space.inside(|| lab::reach_sctp(at(lan.host_ip(), everywhere.port())));
    check(seen == Ok(lan.ip().to_string()), format!("from the LAN: {seen:?}"))?;
    everywhere.detach()?;
    let own = lab.guest(publish("127.0.0.1"))?;
    own.space.serve_sctp(80)?;
    let seen = lab::reach_sctp(at("127.0.0.1", own.port()));
    check(seen.is_ok(), format!("from the host: {seen:?}"))?;
    let seen = lan.space.inside(|| lab::reach_sctp(at(lan.host_ip(), own.port())));
    check(seen.is_err(), format!("from the LAN, what is on the loopback: {seen:?}"))?;
    own.detach()?;
    lab.nothing_left()
}

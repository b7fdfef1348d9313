//! What an ordinary user's container reaches, and who reaches it.

use super::user::{Opened, User};
use crate::cases::net::lab::{self, Lan};
use crate::harness::env::{s, slowness, wait_for};
use crate::harness::{Env, Outcome, Stop, skip};
use crate::{cases, check, check_eq};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

cases!("rootless":
    @alone ports_names_and_a_way_out, @alone the_way_out_is_there_under_pastas_own_profile, @alone datagrams_find_in_and_back, @alone the_hosts_addresses_are_out_of_reach,
);

/// A user on a host that leads somewhere: pasta takes after the interface that a default route leaves by, and a virtual machine
/// may have none.
struct Site {
    user: User,
    lan: Lan,
    _tun: Opened,
}

impl Site {
    fn new(env: &Env) -> Outcome<Site> {
        env.needs("pasta")?;
        let tun = Opened::to_all("/dev/net/tun")?;
        let (user, lan) = (User::new(env)?, Lan::new()?);
        let routes = crate::harness::Run::new("ip").args(["route", "show", "default"]).go()?.ok()?;
        if routes.out().trim().is_empty() {
            // Gone with the interface.
            lab::ip(&format!("route add default via {} dev {}", lan.ip(), lan.interface()))?;
        }
        Ok(Site { user, lan, _tun: tun })
    }
}

fn get(address: &str) -> Outcome<String> {
    let attempt = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        if text.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(text) }
    };
    let got = wait_for(Duration::from_secs(10), || attempt().ok());
    got.ok_or_else(|| Stop::Fail(format!("{address} does not answer: {:?}", attempt())))
}

fn ports_names_and_a_way_out(env: &Env) -> Outcome {
    let site = Site::new(env)?;
    let (user, lan) = (&site.user, &site.lan);
    let serve = "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www";
    user.hardrun(&["network", "create", "front"]).go()?.ok()?;
    user.start(&["--name", "web", "-p", "80", "--network", "front"], &["sh", "-c", serve])?;
    let port = user.hardrun(&["port", "web", "80"]).go()?.ok()?.out();
    check!(port.starts_with("127.0.0.1:"), "{port}");
    check!(get(port.trim())?.ends_with("hello\n"), "the published port says something else");
    // The neighbour does not reach what is published on loopback.
    let number: u16 = port.trim().rsplit(':').next().unwrap_or_default().parse()?;
    check!(lan.space.reach(lab::at(lan.host_ip(), number)).is_err(), "the neighbour reached it");
    // Another container by name; the answer of a web server is enough.
    let ask = |at: &str| format!("(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1) | nc -w 5 {at} | tail -n 1");
    user.sh(&["--network", "front"], &ask("web 80"))?.ok()?.says("hello")?;
    let out = lan.space.serve("0.0.0.0:0")?;
    let said = user.sh(&[], &format!("sleep 1 | nc -w 5 {} {out}", lan.ip()))?.ok()?.out();
    check_eq!(said.trim(), lan.host_ip().to_string());
    // Taken ports are docker's error.
    let taken = format!("127.0.0.1:{number}:80");
    user.sh(&["-p", &taken], "true")?.exits(125)?.complains(&["port is already allocated"])?;
    // The host's own network, where that was overridden.
    let flags = ["--network", "host", "--allow", "host-network"];
    let seen = user.sh(&flags, "cat /proc/net/dev")?.ok()?.out();
    check!(seen.contains(lan.interface()), "{seen}");
    user.hardrun(&["network", "create", "--internal", "apart"]).go()?.ok()?;
    let out = user.sh(&["--network", "apart"], &format!("nc -w 2 {} {out} < /dev/null", lan.ip()))?;
    check!(out.code != 0, "{}", out.told());
    user.hardrun(&["network", "rm", "apart"]).go()?.ok()?;
    user.hardrun(&["rm", "-f", "web"]).go()?.ok()?;
    user.hardrun(&["network", "rm", "front"]).go()?.ok()?;
    check!(TcpStream::connect(port.trim()).is_err(), "the port is there without its container");
    user.nothing_runs()
}

fn the_hosts_addresses_are_out_of_reach(env: &Env) -> Outcome {
    let site = Site::new(env)?;
    let (user, lan) = (&site.user, &site.lan);
    let port = lab::serve(TcpListener::bind("0.0.0.0:0")?)?;
    let reached = |ip: &str, port: u16| -> Outcome<String> {
        Ok(user.sh(&[], &format!("sleep 1 | nc -w 2 {ip} {port} 2>&1"))?.out())
    };
    // There is a way out, and it is not the way to the host.
    let beyond = lan.space.serve("0.0.0.0:0")?;
    check_eq!(reached(&lan.ip().to_string(), beyond)?.trim(), lan.host_ip().to_string());
    // What the host takes in without an address of it: by a route alone, and one that holds a metadata address as well.
    let routes =
        ["198.51.100.0/24", "100.100.100.192/26"].map(|to| format!("route add local {to} dev {}", lan.interface()));
    routes.iter().try_for_each(|words| lab::ip(words))?;
    check_eq!(lab::reach(lab::at("198.51.100.7", port)).as_deref(), Ok("198.51.100.7"));
    let taken_in = ["198.51.100.7", "100.100.100.199", "100.100.100.200", "100.100.100.201"].map(str::to_owned);
    for ip in taken_in.into_iter().chain([lan.host_ip().to_string(), "169.254.169.254".into()]) {
        let said = reached(&ip, port)?;
        check!(said.contains("can't connect") || said.contains("timed out"), "{ip}: {said}");
    }
    user.nothing_runs()
}

/// Debian's package has a profile for it, in force on most hosts of Debian's that have AppArmor.
fn the_way_out_is_there_under_pastas_own_profile(env: &Env) -> Outcome {
    let kernels = std::fs::read_to_string("/sys/kernel/security/apparmor/profiles");
    let Ok(before) = kernels else { return skip("no AppArmor in this kernel") };
    env.needs("apparmor_parser")?;
    let profile = ["usr.bin.pasta", "usr.bin.passt"].map(|name| format!("/etc/apparmor.d/{name}"));
    let Some(profile) = profile.iter().find(|file| std::path::Path::new(file).is_file()) else {
        return skip("pasta's package brings no profile here");
    };
    let loads = |how: &str| crate::harness::Run::new("apparmor_parser").args([how, profile]).go()?.ok().map(drop);
    let there =
        |profiles: &str| profiles.lines().any(|l| l.starts_with("passt (enforce)") || l.starts_with("pasta (enforce)"));
    let was = there(&before);
    if !was {
        loads("-r")?;
    }
    check!(there(&std::fs::read_to_string("/sys/kernel/security/apparmor/profiles")?), "{profile} enforces nothing");
    let tried = || -> Outcome {
        let site = Site::new(env)?;
        let port = site.lan.space.serve("0.0.0.0:0")?;
        let out = site.user.sh(&[], &format!("sleep 1 | nc -w 5 {} {port}", site.lan.ip()))?.ok()?;
        check_eq!(out.out().trim(), site.lan.host_ip().to_string());
        // With a run folder that the profile does not name.
        let session = site.user.home.join("session");
        site.user.run(&["mkdir", "-m", "700", s(&session)]).go()?.ok()?;
        let set = format!("XDG_RUNTIME_DIR={}", session.display());
        let script = format!("sleep 1 | nc -w 5 {} {port}", site.lan.ip());
        let words = ["env", &set, s(&site.user.hardrun), "run", "--rm", "busybox", "sh", "-c", &script];
        check_eq!(site.user.run(&words).go()?.ok()?.out().trim(), site.lan.host_ip().to_string());
        site.user.nothing_runs()
    };
    let came = tried();
    if !was {
        loads("-R")?;
    }
    came
}

/// A client of a published port.
struct Client(UdpSocket);

impl Client {
    fn to(port: u16) -> Outcome<Client> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_secs(2) * slowness()))?;
        Ok(Client(socket))
    }

    /// The port that the container sees, and what comes back.
    fn hear(&self) -> std::io::Result<(u16, Vec<u8>)> {
        let mut buffer = vec![0; 65_536];
        let length = self.0.recv(&mut buffer)?;
        let split = buffer[..length].iter().position(|b| *b == b':').ok_or(std::io::ErrorKind::InvalidData)?;
        let port = std::str::from_utf8(&buffer[..split]).ok().and_then(|text| text.parse().ok());
        Ok((port.ok_or(std::io::ErrorKind::InvalidData)?, buffer[split + 1..length].to_vec()))
    }

    fn ask(&self, bytes: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        self.0.send(bytes)?;
        self.hear()
    }
}

fn datagrams_find_in_and_back(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.import_as(&env.fixtures.probe()?, "probe")?;
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let publish = format!("127.0.0.1:{port}:53/udp");
    let words = ["run", "-d", "--name", "names", "-p", &publish, "probe", "/probe", "probe", "echo-datagrams", "53"];
    user.hardrun(&words).go()?.ok()?;
    user.hardrun(&["port", "names"]).go()?.ok()?.says(&format!("53/udp -> 127.0.0.1:{port}"))?;
    // A client of its own each time: an answer may come after it was given up.
    let up = || wait_for(Duration::from_secs(10), || Client::to(port).ok()?.ask(b"up?").ok());
    check!(up().is_some(), "nobody answers");
    let (ann, bob) = (Client::to(port)?, Client::to(port)?);
    let (anns, bobs) = (ann.ask(b"ann")?, bob.ask(b"bob")?);
    check!(anns.1 == b"ann" && bobs.1 == b"bob" && anns.0 != bobs.0, "{anns:?} {bobs:?}");
    // Both at once, and each hears what it said, in order, as whom it said it.
    for n in 0..100u8 {
        ann.0.send(&[b'a', n])?;
        bob.0.send(&[b'b', n])?;
    }
    for n in 0..100u8 {
        check_eq!((ann.hear()?, bob.hear()?), ((anns.0, vec![b'a', n]), (bobs.0, vec![b'b', n])));
    }
    // Nothing, and more than a frame holds.
    let long: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
    for bytes in [&[][..], &long] {
        check!(ann.ask(bytes)? == (anns.0, bytes.to_vec()), "{} bytes do not come back", bytes.len());
    }
    // Whoever was silent for a while is known still.
    std::thread::sleep(Duration::from_secs(3));
    check_eq!(ann.ask(b"again")?, (anns.0, b"again".to_vec()));
    // Another container behind the port, for the same client.
    user.hardrun(&["restart", "-t", "0", "names"]).go()?.ok()?;
    check!(up().is_some(), "nobody answers after the restart");
    check_eq!(ann.ask(b"new")?.1, b"new".to_vec());
    user.hardrun(&["rm", "-f", "names"]).go()?.ok()?;
    user.nothing_runs()?;
    UdpSocket::bind(("127.0.0.1", port))?;
    Ok(())
}

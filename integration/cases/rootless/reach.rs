//! What an ordinary user's container reaches, and who reaches it.

use super::user::{Opened, User};
use crate::cases::net::lab::{self, Lan};
use crate::harness::env::wait_for;
use crate::harness::{Env, Outcome, Stop};
use crate::{cases, check, check_eq};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

cases!("rootless":
    @alone ports_names_and_a_way_out, @alone the_hosts_addresses_are_out_of_reach,
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

//! What runs inside containers, hardrun's and other engines' alike: it tries doors and prints which are open. One
//! thread, no set-up, nothing needed but itself.

mod doors;
mod paths;
mod setid;
mod sockets;

pub use sockets::FAMILIES;

use std::process::ExitCode;

pub fn main(args: &[String]) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["doors"] => doors::print(),
        ["sockets"] => sockets::print(),
        ["paths"] => paths::print(&["/proc", "/sys"]),
        ["open-for-writing", files @ ..] => paths::try_all(files, true),
        ["open-for-reading", files @ ..] => paths::try_all(files, false),
        ["setid", dir] => setid::print(dir),
        ["echo-datagrams", port] => echo_datagrams(port),
        ["ask", socket, words] => ask(socket, words),
        ["fds"] => fds(),
        ["state"] => state(),
        _ => {
            eprintln!(
                "usage: probe doors|sockets|paths|open-for-writing|open-for-reading|setid|echo-datagrams|ask|fds|state"
            );
            return ExitCode::from(99);
        }
    }
    ExitCode::SUCCESS
}

/// Answer every datagram with the sender's port and the bytes, until killed.
fn echo_datagrams(port: &str) {
    let socket = std::net::UdpSocket::bind(format!("0.0.0.0:{port}")).expect("the port is free inside");
    let mut buffer = vec![0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let answer = [format!("{}:", from.port()).as_bytes(), &buffer[..length]].concat();
        let _ = socket.send_to(&answer, from);
    }
}

/// Say a message on a socket that keeps their bounds, and print the answer to it.
fn ask(socket: &str, words: &str) {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None)
        .expect("a socket");
    let address = SocketAddrUnix::new(socket).expect("a short path");
    if let Err(e) = rustix::net::connect(&fd, &address) {
        return println!("unreachable: {e}");
    }
    if let Err(e) = rustix::net::send(&fd, words.as_bytes(), SendFlags::NOSIGNAL) {
        return println!("unheard: {e}");
    }
    let mut answer = [0; 4096];
    match rustix::net::recv(&fd, &mut answer[..], RecvFlags::empty()) {
        Ok((0, _)) => println!("unheard"),
        Ok((n, _)) => println!("answered {}", String::from_utf8_lossy(&answer[..n])),
        Err(e) => println!("unheard: {e}"),
    }
}

/// Every open descriptor.
fn fds() {
    for fd in 0..4096 {
        if let Ok(target) = std::fs::read_link(format!("/proc/self/fd/{fd}")) {
            println!("{fd} {}", target.display());
        }
    }
}

/// What a process inherits.
fn state() {
    use nix::unistd::{getgroups, getpgrp, getpid, getsid};
    println!("pid {}", getpid());
    println!("session {}", getsid(None).map(|p| p.as_raw()).unwrap_or(-1));
    println!("group {}", getpgrp());
    println!("groups {:?}", getgroups().unwrap_or_default().iter().map(|g| g.as_raw()).collect::<Vec<_>>());
    println!("umask {:04o}", nix::sys::stat::umask(nix::sys::stat::Mode::empty()).bits());
    println!("cwd {}", std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_else(|e| e.to_string()));
    for (key, value) in std::env::vars() {
        println!("env.{key} {value}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (key, value) in status.lines().filter_map(|l| l.split_once(':')) {
        println!("status.{key} {}", value.trim());
    }
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    for line in limits.lines().skip(1) {
        let (name, rest) = line.split_at(line.len().min(26));
        println!(
            "limit.{} {}",
            name.trim().replace(' ', "-"),
            rest.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
        );
    }
}

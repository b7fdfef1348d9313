//! The name server inside a container's network.

use super::lab::{Ask, Lab, check, stop};
use crate::harness::{Env, Outcome};
use hardrun::net::dns::message::{self, A, AAAA, Code, PTR, Question};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

crate::cases!("net_names":
    @alone containers_find_each_other_by_name,
    @alone other_names_are_passed_on,
    @alone a_containers_own_name_server_has_its_port,
    @alone a_flood_of_questions_is_bounded,
);

/// A name server on a loopback address of the host, as systemd-resolved is.
pub struct Server {
    pub address: String,
    pub asked: Arc<AtomicUsize>,
}

impl Server {
    /// Answers every A with `ip`, by datagram and by connection.
    pub fn start(address: &str, ip: [u8; 4]) -> Outcome<Server> {
        let asked = Arc::new(AtomicUsize::new(0));
        let udp = UdpSocket::bind((address, 53)).map_err(stop("bind a name server"))?;
        let tcp = TcpListener::bind((address, 53)).map_err(stop("bind a name server"))?;
        let answer = move |message: &[u8]| {
            let question = Question::parse(message).ok()?;
            let records: Vec<(u16, Vec<u8>)> = if question.kind == A { vec![(A, ip.to_vec())] } else { Vec::new() };
            Some(question.answer(Code::Good, &records, 30))
        };
        let count = asked.clone();
        std::thread::spawn(move || {
            let mut buffer = [0u8; 1500];
            while let Ok((n, from)) = udp.recv_from(&mut buffer) {
                count.fetch_add(1, Ordering::Relaxed);
                // An answer under a wrong id first: whoever takes it is easily fooled.
                if let Some(mut reply) = answer(&buffer[..n]) {
                    let end = reply.len();
                    reply[1] ^= 1;
                    reply[end - 1] ^= 0xff;
                    let _ = udp.send_to(&reply, from);
                    reply[1] ^= 1;
                    reply[end - 1] ^= 0xff;
                    let _ = udp.send_to(&reply, from);
                }
            }
        });
        std::thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let mut length = [0u8; 2];
                let Ok(()) = stream.read_exact(&mut length) else { continue };
                let mut message = vec![0u8; usize::from(u16::from_be_bytes(length))];
                let Ok(()) = stream.read_exact(&mut message) else { continue };
                let reply = answer(&message).unwrap_or_default();
                let _ = stream.write_all(&(reply.len() as u16).to_be_bytes());
                let _ = stream.write_all(&reply);
            }
        });
        Ok(Server { address: address.to_owned(), asked })
    }
}

fn containers_find_each_other_by_name(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    lab.network("front", &["10.214.20.0/24", "fd00:214:20::/64"], |_| {})?;
    let server = Server::start("127.0.0.151", [192, 0, 2, 1])?;
    let ask = |name: &str, net: &str| Ask::new(name, &[net]).with(|p| p.dns = vec![server.address.clone()]);
    let mut a = lab.guest(ask("a", "front"))?;
    check(a.look_up("db", A)?.1 == ["192.0.2.1"], "a name that no container has is passed on")?;
    let db = lab.guest(ask("db", "front").with(|p| p.endpoints[0].aliases = vec!["Postgres".into()]))?;
    let (ip, ip6) = (db.ip().to_string(), db.ip6().to_string());
    let id = db.attached.network().endpoints[0].aliases.last().cloned().unwrap_or_default();
    for name in ["db", "DB", "postgres", "db.front", id.as_str()] {
        let found = a.look_up(name, A)?;
        check(found == (0, vec![ip.clone()]), format!("{name}: {found:?}"))?;
    }
    check(a.look_up("db", AAAA)?.1 == [ip6], "its IPv6 address")?;
    let reversed: Vec<&str> = ip.split('.').rev().collect();
    check(a.look_up(&format!("{}.in-addr.arpa", reversed.join(".")), PTR)?.0 == 0, "its name by its address")?;
    let mut db = db;
    db.attached.rename("store").map_err(stop("rename"))?;
    check(a.look_up("store", A)?.1 == [ip], "its new name")?;
    // The default bridge has no names, as with docker.
    let mut plain = lab.guest(ask("plain", "bridge"))?;
    let other = lab.guest(ask("other", "bridge"))?;
    check(plain.look_up("other", A)?.1 == ["192.0.2.1"], "names on the default bridge")?;
    db.detach()?;
    check(a.look_up("store", A)?.1 == ["192.0.2.1"], "a container that is gone is still named")?;
    for guest in [a, plain, other] {
        guest.detach()?;
    }
    lab.nothing_left()
}

fn other_names_are_passed_on(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    let server = Server::start("127.0.0.152", [192, 0, 2, 2])?;
    // The first does not answer: the second is asked.
    let silent = UdpSocket::bind("127.0.0.153:53").map_err(stop("bind"))?;
    let mut guest = lab.guest(Ask::new("a", &["bridge"]).with(|p| p.dns = vec![server.address.clone()]))?;
    let start = Instant::now();
    check(guest.look_up("example.org", A)? == (0, vec!["192.0.2.2".to_owned()]), "by datagram")?;
    check(start.elapsed() < Duration::from_millis(500), "it was slow")?;
    check(guest.attached.next_timeout().is_none() && guest.attached.fds().len() == 2, "idle, it would wake")?;
    let question = message::ask(5, "example.org", A).expect("a name");
    let answer = guest.with_names(move || {
        let mut stream = TcpStream::connect("127.0.0.11:53")?;
        stream.set_read_timeout(Some(Duration::from_secs(4)))?;
        stream.write_all(&(question.len() as u16).to_be_bytes())?;
        stream.write_all(&question)?;
        let mut length = [0u8; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0u8; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(answer)
    });
    let answer = answer.map_err(stop("by connection"))?;
    check(answer.ends_with(&[192, 0, 2, 2]), format!("by connection: {answer:?}"))?;
    // Three in one write, as a resolver does: one after another is answered.
    let questions = [7, 8, 9].map(|id| message::ask(id, "example.org", A).expect("a name"));
    let ids = guest.with_names(move || {
        let mut stream = TcpStream::connect("127.0.0.11:53")?;
        stream.set_read_timeout(Some(Duration::from_secs(4)))?;
        let framed = questions.iter().flat_map(|q| [&(q.len() as u16).to_be_bytes()[..], q].concat());
        stream.write_all(&framed.collect::<Vec<u8>>())?;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let mut length = [0u8; 2];
            stream.read_exact(&mut length)?;
            let mut answer = vec![0u8; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer)?;
            ids.push(answer[1]);
        }
        std::io::Result::Ok(ids)
    });
    let ids = ids.map_err(stop("three at once"))?;
    check(ids == [7, 8, 9], format!("three at once: {ids:?}"))?;
    guest.detach()?;
    let slow = vec!["127.0.0.153".to_owned(), server.address.clone()];
    let mut guest = lab.guest(Ask::new("a", &["bridge"]).with(|p| p.dns = slow))?;
    check(guest.look_up("example.org", A)?.1 == ["192.0.2.2"], "the second server was not asked")?;
    drop(silent);
    guest.detach()?;
    let mut guest = lab.guest(Ask::new("a", &["bridge"]).with(|p| p.dns = vec!["127.0.0.154".into()]))?;
    check(guest.look_up("example.org", A)?.0 == 2, "nobody answers: a failure is to be told")?;
    guest.detach()?;
    lab.nothing_left()
}

fn a_containers_own_name_server_has_its_port(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    let server = Server::start("127.0.0.155", [192, 0, 2, 3])?;
    let mut guest = lab.guest(Ask::new("dns", &["bridge"]).with(|p| p.dns = vec![server.address.clone()]))?;
    let own = guest
        .space
        .inside(|| Ok::<_, std::io::Error>((UdpSocket::bind("0.0.0.0:53")?, TcpListener::bind("0.0.0.0:53")?)));
    let own = own.map_err(stop("port 53 of the container is taken"))?;
    check(guest.look_up("example.org", A)?.1 == ["192.0.2.3"], "127.0.0.11 is answered by the wrong server")?;
    drop(own);
    guest.detach()?;
    lab.nothing_left()
}

fn a_flood_of_questions_is_bounded(_: &Env) -> Outcome {
    let lab = Lab::new()?;
    // A server that never answers.
    let silent = UdpSocket::bind("127.0.0.156:53").map_err(stop("bind"))?;
    let mut guest = lab.guest(Ask::new("flood", &["bridge"]).with(|p| p.dns = vec!["127.0.0.156".into()]))?;
    let most = guest.with_names(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
        for n in 0..2000u16 {
            let question = message::ask(n, &format!("n{n}.example"), A)?;
            socket.send_to(&question, "127.0.0.11:53").ok()?;
            socket.send_to(&question[..9], "127.0.0.11:53").ok()?;
        }
        Some(())
    });
    check(most.is_some(), "nothing was tried")?;
    for _ in 0..200 {
        guest.attached.step();
    }
    let waiting = guest.attached.fds().len();
    check(waiting <= 2 + 64, format!("{waiting} descriptors"))?;
    drop(silent);
    guest.detach()?;
    lab.nothing_left()
}

//! A host with networks around it: network namespaces for containers and for a neighbour on the LAN.

use crate::harness::{Outcome, Stop, fail};
use hardrun::net::store::{IpamConfig, Network};
use hardrun::net::{Attached, Store, Target, attach, netns, sweep};
use hardrun::plan::{EndpointPlan, NetworkPlan, Published, Sourced};
use hardrun::state::{Paths, Stamp};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub fn stop<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> Stop {
    let what = what.to_owned();
    move |e| Stop::Fail(format!("{what}: {e}"))
}

pub fn check(good: bool, what: impl Into<String>) -> Outcome {
    if good { Ok(()) } else { fail(what) }
}

/// A root of its own.
pub struct Lab {
    pub paths: Paths,
    _dir: tempfile::TempDir,
}

/// A network namespace. What serves in it ends with it: a socket would keep it.
pub struct Space(pub File, Arc<AtomicBool>);

impl Drop for Space {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Relaxed);
    }
}

impl Space {
    pub fn new() -> Outcome<Space> {
        let made = std::thread::spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net").map_err(|_| nix::errno::Errno::EIO)
        });
        let file = made.join().map_err(|_| Stop::Fail("a thread panicked".into()))?;
        Ok(Space(file.map_err(stop("make a network namespace"))?, Arc::default()))
    }

    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = &self.0;
        std::thread::scope(|s| {
            let work = move || netns::inside(file.as_fd(), || Ok(work())).expect("enter a namespace of our own");
            s.spawn(work).join().expect("work inside does not panic")
        })
    }

    /// `ip WORDS` inside.
    pub fn ip(&self, words: &str) -> Outcome {
        self.inside(|| ip(words))
    }

    pub fn serve(&self, address: &str) -> Outcome<u16> {
        let listener = self.inside(|| TcpListener::bind(address)).map_err(stop(&format!("listen on {address}")))?;
        serve_until(listener, self.1.clone())
    }

    /// As [`serve`](Self::serve), with SCTP.
    pub fn serve_sctp(&self, port: u16) -> Outcome {
        let made = self.inside(|| -> std::io::Result<TcpListener> {
            let socket = sctp_socket()?;
            rustix::net::bind(&socket, &at("0.0.0.0", port))?;
            rustix::net::listen(&socket, 8)?;
            // Accepting, reading and writing are the same calls as with TCP.
            Ok(socket.into())
        });
        serve_until(made.map_err(stop("listen with SCTP"))?, self.1.clone()).map(drop)
    }

    /// Who the server says we are; an error where it cannot be reached.
    pub fn reach(&self, to: SocketAddr) -> Result<String, String> {
        self.inside(|| reach(to))
    }

    pub fn write(&self, path: &str, value: &str) -> Outcome {
        self.inside(|| std::fs::write(path, value)).map_err(stop(path))
    }
}

pub fn ip(words: &str) -> Outcome {
    let out = Command::new("ip").args(words.split_whitespace()).output().map_err(stop("ip"))?;
    check(out.status.success(), format!("ip {words}: {}", String::from_utf8_lossy(&out.stderr)))
}

/// Answer every connection with the address of the other side; for as long as the process lives.
pub fn serve(listener: TcpListener) -> Outcome<u16> {
    serve_until(listener, Arc::default())
}

fn serve_until(listener: TcpListener, done: Arc<AtomicBool>) -> Outcome<u16> {
    let port = listener.local_addr().map_err(stop("listen"))?.port();
    listener.set_nonblocking(true).map_err(stop("listen"))?;
    std::thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((mut stream, peer)) => drop(stream.write_all(peer.ip().to_canonical().to_string().as_bytes())),
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    });
    Ok(port)
}

pub fn reach(to: SocketAddr) -> Result<String, String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(1500)).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).map_err(|e| e.to_string())?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(|e| e.to_string())?;
    Ok(text)
}

/// A socket of one association, to be used as one of TCP.
pub fn sctp_socket() -> rustix::io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
    socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::SCTP))
}

/// As [`reach`], with SCTP.
pub fn reach_sctp(to: SocketAddr) -> Result<String, String> {
    let socket = sctp_socket().map_err(|e| e.to_string())?;
    // The time to send is the time to connect, too.
    let limit = Some(Duration::from_millis(1500));
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Send, limit)
        .and_then(|()| rustix::net::connect(&socket, &to))
        .map_err(|e| e.to_string())?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(2))).map_err(|e| e.to_string())?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(|e| e.to_string())?;
    Ok(text)
}

pub fn at(ip: impl ToString, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_string().parse::<IpAddr>().expect("an address"), port)
}

pub fn alive(_: &str) -> bool {
    true
}

/// What a container asks for.
#[derive(Clone)]
pub struct Ask {
    pub name: String,
    pub plan: NetworkPlan,
}

impl Ask {
    pub fn new(name: &str, networks: &[&str]) -> Ask {
        let endpoint = |n: &&str| EndpointPlan { network: (*n).to_owned(), ..EndpointPlan::default() };
        Ask {
            name: name.into(),
            plan: NetworkPlan { endpoints: networks.iter().map(endpoint).collect(), ..NetworkPlan::default() },
        }
    }

    pub fn publish(mut self, ip: Option<&str>, host: Option<u16>, container: u16) -> Ask {
        self.plan.publish.push(Published {
            host_ip: ip.map(str::to_owned),
            host_port: host,
            host_port_last: None,
            container_port: container,
            protocol: "tcp".into(),
        });
        self
    }

    pub fn egress(mut self, list: &[&str]) -> Ask {
        let rules = list.iter().filter_map(|t| match t.parse() {
            Ok(hardrun::request::Egress::To(rule)) => Some(rule),
            _ => None,
        });
        self.plan.egress = Some(Sourced::flag(rules.collect(), "--egress"));
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut NetworkPlan)) -> Ask {
        change(&mut self.plan);
        self
    }
}

/// A container's network, with what holds it.
pub struct Guest {
    pub space: Space,
    pub attached: Attached,
}

impl Guest {
    pub fn ip(&self) -> IpAddr {
        self.attached.network().endpoints[0].ip.parse().expect("an address")
    }

    pub fn ip6(&self) -> IpAddr {
        self.attached.network().endpoints[0].ip6.parse().expect("an address")
    }

    pub fn gateway(&self) -> IpAddr {
        self.attached.network().endpoints[0].gateway.parse().expect("an address")
    }

    pub fn port(&self) -> u16 {
        self.attached.network().ports[0].host_port
    }

    /// Do something inside while the name server is driven as the supervisor does.
    pub fn with_names<T: Send>(&mut self, work: impl FnOnce() -> T + Send) -> T {
        let (space, attached) = (&self.space, &mut self.attached);
        std::thread::scope(|s| {
            let task = s.spawn(|| space.inside(work));
            while !task.is_finished() {
                let mut fds = attached.fds();
                let limit = rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
                let _ = rustix::event::poll(&mut fds, Some(&limit));
                drop(fds);
                attached.step();
            }
            task.join().expect("work inside does not panic")
        })
    }

    /// Ask the container's name server; the code and the addresses.
    pub fn look_up(&mut self, name: &str, kind: u16) -> Outcome<(u8, Vec<String>)> {
        let question = hardrun::net::dns::message::ask(77, name, kind).expect("a name");
        let answer = self.with_names(move || {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_read_timeout(Some(Duration::from_secs(4)))?;
            socket.send_to(&question, "127.0.0.11:53")?;
            let mut buffer = [0u8; 1500];
            let (length, from) = socket.recv_from(&mut buffer)?;
            std::io::Result::Ok((buffer[..length].to_vec(), from))
        });
        let (answer, from) = answer.map_err(stop(&format!("ask for {name}")))?;
        check(from.to_string() == "127.0.0.11:53", format!("the answer came from {from}"))?;
        let question = hardrun::net::dns::message::ask(77, name, kind).expect("a name");
        let question =
            hardrun::net::dns::message::Question::parse(&question).map_err(|_| Stop::Fail("parse".into()))?;
        let ips = question.addresses(&answer).iter().map(|(ip, _)| ip.to_string()).collect();
        Ok((answer[3] & 15, ips))
    }

    pub fn detach(self) -> Outcome {
        self.attached.detach().map_err(stop("detach"))
    }
}

impl Lab {
    pub fn new() -> Outcome<Lab> {
        let dir = tempfile::tempdir().map_err(stop("make a folder"))?;
        Ok(Lab { paths: Paths::new(Some(dir.path())), _dir: dir })
    }

    pub fn guest(&self, ask: Ask) -> Outcome<Guest> {
        let space = Space::new()?;
        let attached = self.try_attach(&space, &ask).map_err(|e| Stop::Fail(e.chain().join(": ")))?;
        Ok(Guest { space, attached })
    }

    pub fn try_attach(&self, space: &Space, ask: &Ask) -> hardrun::error::Result<Attached> {
        let container = hardrun::plan::draft::new_id()?;
        attach(&Target {
            paths: &self.paths,
            netns: space.0.as_fd(),
            container: &container,
            name: &ask.name,
            hostname: &container[..12],
            plan: &ask.plan,
            alive: &alive,
        })
    }

    /// A network with these addresses, changed as wanted.
    pub fn network(&self, name: &str, subnets: &[&str], change: impl FnOnce(&mut Network)) -> Outcome<Network> {
        let ipam = subnets.iter().map(|s| {
            let subnet: hardrun::net::prefix::Prefix = s.parse().expect("a network");
            IpamConfig { subnet, gateway: subnet.hosts().next().expect("a host"), ip_range: None }
        });
        let mut network = Network {
            version: Network::VERSION,
            name: name.into(),
            id: hardrun::plan::draft::new_id().map_err(stop("id"))?,
            created: Stamp::now(),
            driver: "bridge".into(),
            enable_ipv6: subnets.len() > 1,
            ipam: ipam.collect(),
            chosen: false,
            internal: false,
            attachable: false,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        change(&mut network);
        let store = Store::new(&self.paths);
        let lock = store.lock().map_err(stop("lock"))?;
        store.write(&lock, &network).map_err(stop("write"))?;
        Ok(network)
    }

    pub fn sweep(&self, alive: bool) -> Outcome {
        sweep(&self.paths, &|_| alive).map_err(stop("sweep"))
    }

    /// Interfaces, tables, rules of guests, leases: nothing of this root is there.
    pub fn nothing_left(&self) -> Outcome {
        let names = hardrun::net::names::Names::of(&self.paths);
        let text = |program: &str, words: &[&str]| {
            let out = Command::new(program).args(words).output();
            out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
        };
        let start = Instant::now();
        loop {
            let mut left: Vec<String> =
                text("ip", &["-o", "link"]).lines().filter(|l| l.contains(&names.ports)).map(str::to_owned).collect();
            left.extend(
                text("nft", &["list", "tables"]).lines().filter(|l| l.ends_with(&names.table)).map(str::to_owned),
            );
            for network in Store::new(&self.paths).list().map_err(stop("list"))? {
                let bridge = network.bridge();
                left.extend(text("ip", &["-o", "link"]).lines().filter(|l| l.contains(&bridge)).map(str::to_owned));
                left.extend(text("iptables", &["-S"]).lines().filter(|l| l.contains(&bridge)).map(str::to_owned));
            }
            for entry in std::fs::read_dir(self.paths.run.join("net")).into_iter().flatten().flatten() {
                if entry.file_name() != "lock" {
                    left.push(entry.path().display().to_string());
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            // The kernel takes network namespaces apart in its own time.
            if start.elapsed() > Duration::from_secs(5) {
                return fail(format!("left behind: {}", left.join("; ")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Also where a case failed half-way.
        let _ = sweep(&self.paths, &|_| false);
        let claims = std::path::Path::new(Paths::RUN).join("subnets");
        for network in Store::new(&self.paths).list().into_iter().flatten() {
            let _ = std::fs::remove_file(claims.join(&network.id));
        }
    }
}

/// A neighbour on the host's LAN: the host has .1, the neighbour .2.
pub struct Lan {
    pub space: Space,
    host: String,
    number: u8,
}

impl Lan {
    pub fn new() -> Outcome<Lan> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = (std::process::id() as u8 ^ NEXT.fetch_add(1, Ordering::Relaxed) as u8) % 200 + 20;
        let space = Space::new()?;
        let host = format!("lan{number}");
        let lan = Lan { space, host, number };
        let host = &lan.host;
        ip(&format!(
            "link add {host} type veth peer name lan0 netns /proc/{}/fd/{}",
            std::process::id(),
            lan.space.0.as_raw_fd()
        ))?;
        ip(&format!("addr add {}/24 dev {host}", lan.host_ip()))?;
        ip(&format!("link set {host} up"))?;
        lan.space.ip("link set lo up")?;
        lan.space.ip(&format!("addr add {}/24 dev lan0", lan.ip()))?;
        lan.space.ip("link set lan0 up")?;
        lan.space.ip(&format!("route add default via {}", lan.host_ip()))?;
        std::thread::sleep(Duration::from_millis(30));
        Ok(lan)
    }

    pub fn host_ip(&self) -> IpAddr {
        format!("10.213.{}.1", self.number).parse().expect("an address")
    }

    pub fn ip(&self) -> IpAddr {
        format!("10.213.{}.2", self.number).parse().expect("an address")
    }

    pub fn interface(&self) -> &str {
        &self.host
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.host));
    }
}

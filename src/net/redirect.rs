//! Port 53 of 127.0.0.11, inside a container's network, led to the port that the name server has. It cannot have port 53
//! itself: a container's own name server, which wants that port on every address, would be told that it is taken.

use super::wire::{Batch, NLM_F_ACK, NLM_F_CREATE, Socket};
use std::io;
use std::net::Ipv4Addr;

const SUBSYSTEM: u16 = 10 << 8;
const NEW_TABLE: u16 = SUBSYSTEM;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const IPV4: [u8; 4] = [2, 0, 0, 0];
const TABLE: &str = "hardrun";
const CHAIN: &str = "names";
/// The first of the registers that expressions pass values in.
const REGISTER: u32 = 1;

/// Install the rules in the network namespace that the calling thread is in: what goes to `address`, port 53, by UDP goes
/// to port `udp`, by TCP to port `tcp`. Answers are led back by the connection's own entry.
pub fn names(address: Ipv4Addr, udp: u16, tcp: u16) -> io::Result<()> {
    let socket = Socket::netfilter()?;
    let mut b = Batch::new();
    b.message(16, 0, &[0, 0, 0, 10]);
    b.message(NEW_TABLE, NLM_F_ACK | NLM_F_CREATE, &IPV4).text(1, TABLE);
    b.message(NEW_CHAIN, NLM_F_ACK | NLM_F_CREATE, &IPV4).text(1, TABLE).text(3, CHAIN).text(7, "nat");
    let (output, before_filters) = (3u32, -100i32);
    let hook = b.open(4);
    b.attribute(1, &output.to_be_bytes()).attribute(2, &before_filters.to_be_bytes());
    b.close(hook);
    for (protocol, port) in [(libc::IPPROTO_UDP as u8, udp), (libc::IPPROTO_TCP as u8, tcp)] {
        rule(&mut b, address, protocol, port);
    }
    b.message(17, 0, &[0, 0, 0, 10]);
    socket.transact(&b).map_err(|(_, e)| e)
}

/// `meta l4proto PROTOCOL ip daddr ADDRESS th dport 53 dnat to :PORT`
fn rule(b: &mut Batch, address: Ipv4Addr, protocol: u8, port: u16) {
    const L4_PROTOCOL: u32 = 16;
    const NETWORK_HEADER: u32 = 1;
    const TRANSPORT_HEADER: u32 = 2;
    const DNAT: u32 = 1;
    const NFPROTO_IPV4: u32 = 2;
    b.message(NEW_RULE, NLM_F_ACK | NLM_F_CREATE | 0x800, &IPV4).text(1, TABLE).text(2, CHAIN);
    let list = b.open(4);
    expression(b, "meta", &[(1, REGISTER), (2, L4_PROTOCOL)]);
    compare(b, &[protocol]);
    expression(b, "payload", &[(1, REGISTER), (2, NETWORK_HEADER), (3, 16), (4, 4)]);
    compare(b, &address.octets());
    expression(b, "payload", &[(1, REGISTER), (2, TRANSPORT_HEADER), (3, 2), (4, 2)]);
    compare(b, &53u16.to_be_bytes());
    with_value(b, "immediate", &[(1, REGISTER)], 2, &port.to_be_bytes());
    expression(b, "nat", &[(1, DNAT), (2, NFPROTO_IPV4), (5, REGISTER)]);
    b.close(list);
}

fn compare(b: &mut Batch, value: &[u8]) {
    const EQUAL: u32 = 0;
    with_value(b, "cmp", &[(1, REGISTER), (2, EQUAL)], 3, value);
}

fn expression(b: &mut Batch, name: &str, numbers: &[(u16, u32)]) {
    with_value(b, name, numbers, 0, &[]);
}

fn with_value(b: &mut Batch, name: &str, numbers: &[(u16, u32)], kind: u16, value: &[u8]) {
    let item = b.open(1);
    b.text(1, name);
    let data = b.open(2);
    for (kind, number) in numbers {
        b.attribute(*kind, &number.to_be_bytes());
    }
    if kind != 0 {
        let open = b.open(kind);
        b.attribute(1, value);
        b.close(open);
    }
    b.close(data).close(item);
}

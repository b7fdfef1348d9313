//! Connections that the kernel remembers. A datagram's way is decided once and kept while datagrams come: a client that
//! sent before a port was published would never be led to the container, and one that does not stop would be led to the
//! address of a container that is gone.

use super::wire::{self, Batch, NLM_F_ACK, NLM_F_DUMP, Socket};
use std::io;

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const TUPLE_ORIG: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const PROTOCOL_TO: u16 = 3;

/// Forget what UDP clients of these ports of the host have been told.
pub fn forget_udp(ports: &[u16]) -> io::Result<()> {
    if ports.is_empty() {
        return Ok(());
    }
    let socket = Socket::netfilter()?;
    for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
        let mut b = Batch::new();
        b.message(GET, NLM_F_DUMP, &[family, 0, 0, 0]);
        for answer in socket.ask(&b)? {
            let attributes = answer.body.get(4..).unwrap_or_default();
            let Some(tuple) = wire::find(attributes, TUPLE_ORIG).filter(|t| is_to(t, ports)) else { continue };
            let mut b = Batch::new();
            b.message(DELETE, NLM_F_ACK, &[family, 0, 0, 0]);
            let open = b.open(TUPLE_ORIG);
            b.raw(tuple);
            b.close(open);
            match socket.transact(&b) {
                // Gone by itself meanwhile.
                Err((_, e)) if e.raw_os_error() == Some(libc::ENOENT) => {}
                other => other.map_err(|(_, e)| e)?,
            }
        }
    }
    Ok(())
}

fn is_to(tuple: &[u8], ports: &[u16]) -> bool {
    let Some(protocol) = wire::find(tuple, TUPLE_PROTOCOL) else { return false };
    let to = wire::find(protocol, PROTOCOL_TO).and_then(|p| p.try_into().ok()).map(u16::from_be_bytes);
    wire::find(protocol, PROTOCOL_NUMBER) == Some(&[libc::IPPROTO_UDP as u8][..])
        && to.is_some_and(|p| ports.contains(&p))
}

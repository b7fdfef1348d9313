//! How commands speak with a container's supervisor: one SEQPACKET socket in the container's folder, a message of JSON each
//! way, descriptors beside it. Only root reaches the folder.

mod client;
mod message;
mod wire;

pub use client::{Client, Streams};
pub use message::{Answer, Ask, WireError, shorten};
pub use wire::{Received, accept, connect, connect_within, hear_those_above, is_gone, listen, pair, receive, send};

#[cfg(test)]
mod tests;

//! A scope of systemd's for a container and its supervisor.
//!
//! On a host that systemd runs, the control groups are systemd's to write (one writer a group): others get a group of their own from
//! it, as a unit that is delegated. One method call over the system bus, by hand: a client library would bring threads or an
//! async runtime into a process that forks.

use crate::error::{Context, Error, Result};
use crate::facts::BUS;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the bus, and systemd behind it, may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// `hardrun-<id>.scope`
pub fn scope_name(id: &str) -> String {
    format!("hardrun-{id}.scope")
}

/// The group of a slice's units, below the mount: `/a.slice/a-b.slice` for `a-b.slice`.
pub fn slice_path(slice: &str) -> String {
    let name = slice.trim_end_matches(".slice");
    let ends = name.match_indices('-').map(|(n, _)| n).chain([name.len()]);
    ends.map(|end| format!("/{}.slice", &name[..end])).collect()
}

/// Have systemd make a scope for the calling process, with everything below it delegated, and wait until it is in there. The path
/// of its group, below the mount.
pub fn enter_scope(id: &str, slice: &str) -> Result<String> {
    let name = scope_name(id);
    let attempt = || format!("have systemd make {name}");
    let body = start_unit(&name, slice, std::process::id());
    call("StartTransientUnit", "ssa(sv)a(sa(sv))", &body, &attempt)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let own = std::fs::read_to_string("/proc/self/cgroup").context(attempt)?;
        let path = own.lines().find_map(|l| l.strip_prefix("0::"));
        match path.filter(|path| path.ends_with(&format!("/{name}"))) {
            Some(path) => return Ok(path.to_owned()),
            None if Instant::now() > until => {
                let why = format!("the process is in {} still", path.unwrap_or("no group"));
                return Err(Error::runner(attempt()).because(why));
            }
            None => std::thread::sleep(Duration::from_micros(500)),
        }
    }
}

/// Have systemd end a scope that has nobody any more. It does so by itself, but for one whose supervisor was killed while the scope was made.
///
/// # Errors
/// There is none, among others.
pub fn stop_scope(id: &str) -> Result<()> {
    let name = scope_name(id);
    let mut body = Writer(Vec::new());
    body.text(&name);
    body.text("replace");
    call("StopUnit", "ss", &body.0, &|| format!("have systemd stop {name}"))
}

/// Call a method of the manager, and wait for the answer.
fn call(method: &str, signature: &str, body: &[u8], attempt: &dyn Fn() -> String) -> Result<()> {
    let ordinary = crate::rootless::current();
    // The user's own systemd, on the user's bus.
    let place = ordinary.and_then(|r| r.bus.as_deref()).unwrap_or(Path::new(BUS));
    let mut bus = UnixStream::connect(place).context(attempt)?;
    bus.set_read_timeout(Some(PATIENCE)).context(attempt)?;
    bus.set_write_timeout(Some(PATIENCE)).context(attempt)?;
    let uid = hex::encode(crate::rootless::host_uid(nix::unistd::geteuid().as_raw()).to_string());
    bus.write_all(format!("\0AUTH EXTERNAL {uid}\r\n").as_bytes()).context(attempt)?;
    let line = read_line(&mut bus).context(attempt)?;
    if !line.starts_with("OK ") {
        return Err(Error::runner(attempt()).because(format!("the bus does not let us in: {}", line.trim())));
    }
    bus.write_all(b"BEGIN\r\n").context(attempt)?;
    let hello = message(1, ["/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", "org.freedesktop.DBus"], "", &[]);
    let target = ["/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", method, "org.freedesktop.systemd1"];
    for call in [hello, message(2, target, signature, body)] {
        bus.write_all(&call).context(attempt)?;
        answer(&mut bus, attempt)?;
    }
    Ok(())
}

/// Byte by byte: what follows the line is not ours to read yet.
fn read_line(bus: &mut UnixStream) -> std::io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.last() != Some(&b'\n') && line.len() < 4096 {
        bus.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Read messages up to the answer of the call that was just sent; signals in between are not for us.
fn answer(bus: &mut UnixStream, attempt: &dyn Fn() -> String) -> Result<()> {
    loop {
        let mut head = [0; 16];
        bus.read_exact(&mut head).context(attempt)?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (length, fields) = (number(4), number(12));
        // The bus writes as we do; 128 MiB is what the protocol allows, and no answer to us is that long.
        if head[0] != b'l' || length > 1 << 20 || fields > 1 << 20 {
            return Err(Error::runner(attempt()).because("the bus answers with what is no message"));
        }
        let mut rest = vec![0; fields.next_multiple_of(8) + length];
        bus.read_exact(&mut rest).context(attempt)?;
        match head[1] {
            2 => return Ok(()),
            3 => {
                // An error's first value is what happened, in words: its length and a zero around it.
                let body = &rest[fields.next_multiple_of(8)..];
                let text = String::from_utf8_lossy(body.get(4..).unwrap_or_default()).replace('\0', "");
                return Err(Error::runner(attempt()).because(text));
            }
            _ => {}
        }
    }
}

/// A method call in D-Bus's little-endian form. `target`: object, interface, method, destination.
fn message(serial: u32, target: [&str; 4], signature: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Writer(vec![b'l', 1, 0, 1]);
    out.number(body.len() as u32);
    out.number(serial);
    let start = out.array();
    for (code, kind, value) in [(1, "o", target[0]), (2, "s", target[1]), (3, "s", target[2]), (6, "s", target[3])] {
        out.align(8);
        out.0.push(code);
        out.signature(kind);
        out.text(value);
    }
    if !signature.is_empty() {
        out.align(8);
        out.0.push(8);
        out.signature("g");
        out.signature(signature);
    }
    out.end_array(start, 8);
    out.align(8);
    out.0.extend(body);
    out.0
}

/// The arguments of StartTransientUnit: name, mode, properties, no further units.
fn start_unit(name: &str, slice: &str, pid: u32) -> Vec<u8> {
    let mut out = Writer(Vec::new());
    out.text(name);
    out.text("fail");
    let start = out.array();
    let mut property = |key: &str, kind: &str, value: &dyn Fn(&mut Writer)| {
        out.align(8);
        out.text(key);
        out.signature(kind);
        value(&mut out);
    };
    property("Description", "s", &|out| out.text("hardrun container"));
    property("Slice", "s", &|out| out.text(slice));
    property("Delegate", "b", &|out| out.number(1));
    // A scope that failed goes too: its name may be needed again.
    property("CollectMode", "s", &|out| out.text("inactive-or-failed"));
    property("PIDs", "au", &|out| {
        out.number(4);
        out.number(pid);
    });
    out.end_array(start, 8);
    // No further units; what aligns the first of them is there all the same.
    out.number(0);
    out.align(8);
    out.0
}

/// Values one after the other, each aligned to its size.
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }
    fn number(&mut self, n: u32) {
        self.align(4);
        self.0.extend(n.to_le_bytes());
    }
    fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }
    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }
    /// Where the array's length goes, written by [`Writer::end_array`].
    fn array(&mut self) -> usize {
        self.number(0);
        self.0.len() - 4
    }
    /// The length counts neither itself nor what aligns the first element.
    fn end_array(&mut self, at: usize, element: usize) {
        let length = self.0.len() - (at + 4).next_multiple_of(element).min(self.0.len());
        self.0[at..at + 4].copy_from_slice(&(length as u32).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_in_those_that_its_name_begins_with() {
        assert_eq!(slice_path("hardrun.slice"), "/hardrun.slice");
        assert_eq!(slice_path("a-b-c.slice"), "/a.slice/a-b.slice/a-b-c.slice");
    }

    /// The first call on any bus, as `dbus-send` writes it.
    #[test]
    fn a_call_is_laid_out_as_the_specification_says() {
        let target = ["/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", "org.freedesktop.DBus"];
        let got = message(1, target, "", &[]);
        let mut want = b"l\x01\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x6d\x00\x00\x00".to_vec();
        want.extend(b"\x01\x01o\x00\x15\x00\x00\x00/org/freedesktop/DBus\x00\x00\x00");
        want.extend(b"\x02\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00");
        want.extend(b"\x03\x01s\x00\x05\x00\x00\x00Hello\x00\x00\x00");
        want.extend(b"\x06\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00");
        assert_eq!(got, want);
    }
}

//! Blobs: several at once, each taken up where a cut connection left it, checked before it counts.

use super::client::{Ask, Client, header};
use super::fault::{Fault, Refused};
use super::manifest::Descriptor;
use super::progress::{Progress, Stage};
use super::sink::{Incoming, Sink};
use crate::error::{Error, Result};
use std::collections::{HashSet, VecDeque};
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use ureq::Body;
use ureq::http::Response;

/// Blobs fetched at a time, docker's default.
pub const AT_ONCE: usize = 3;
/// New bytes that make a broken try a good one: the count of tries begins again.
const PROGRESS: u64 = 64 << 10;
/// Connections for one blob in all, however well each of them goes.
const CONNECTIONS_MAX: u32 = 200;

/// Fetch what is not here yet; says what that was. The first failure stops the rest.
pub fn fetch_all(
    client: &Client,
    sink: &dyn Sink,
    blobs: &[Descriptor],
    progress: &Progress,
    at_once: usize,
) -> Result<HashSet<String>> {
    let mut fetched = HashSet::new();
    let mut queue = VecDeque::new();
    for blob in blobs {
        if sink.has(&blob.digest)? {
            progress.stage(blob.short(), blob.size, Stage::AlreadyExists);
        } else if fetched.insert(blob.digest.clone()) {
            progress.stage(blob.short(), blob.size, Stage::Pulling);
            queue.push_back(blob);
        }
    }
    for blob in queue.iter().skip(at_once) {
        progress.stage(blob.short(), blob.size, Stage::Waiting);
    }
    let workers = at_once.clamp(1, queue.len().max(1));
    let queue = Mutex::new(queue);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !client.stop.load(Ordering::Relaxed) {
                    let Some(blob) = queue.lock().expect("no panics while held").pop_front() else { break };
                    if let Err(e) = fetch(client, sink, blob, progress) {
                        // The first failure is the cause; what it stops fails only because of it.
                        failure.lock().expect("no panics while held").get_or_insert(e);
                        client.stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    match failure.into_inner().expect("no panics while held") {
        Some(e) => Err(e),
        None => Ok(fetched),
    }
}

/// Fetch one blob.
fn fetch(client: &Client, sink: &dyn Sink, blob: &Descriptor, progress: &Progress) -> Result<()> {
    let mut doubted = false;
    loop {
        let Some(mut incoming) = sink.begin(&blob.digest, blob.size)? else {
            // Another process brought it meanwhile.
            progress.stage(blob.short(), blob.size, Stage::Downloaded);
            return Ok(());
        };
        let taken_up = incoming.offset();
        let restarted = receive_all(client, blob, incoming.as_mut(), progress)?;
        progress.stage(blob.short(), blob.size, Stage::Verifying);
        match incoming.commit() {
            Ok(()) => {
                progress.stage(blob.short(), blob.size, Stage::Downloaded);
                return Ok(());
            }
            // What an earlier run left may have been damaged since (a power cut): once more, from the beginning.
            Err(e) if taken_up > 0 && !restarted && !doubted => {
                doubted = true;
                progress.warn(&format!("{}: {}; fetching it again from its beginning", blob.short(), e.message));
            }
            Err(e) => {
                return Err(
                    Error::verb(format!("filesystem layer verification failed for digest {}", blob.digest)).because(e)
                );
            }
        }
    }
}

/// Receive until all bytes are here. Returns whether anything taken up was thrown away on the way.
fn receive_all(client: &Client, blob: &Descriptor, incoming: &mut dyn Incoming, progress: &Progress) -> Result<bool> {
    let mut have = incoming.offset();
    let (mut tries, mut connections, mut restarted) = (0, 0, false);
    while have < blob.size {
        let before = have;
        let outcome = receive(client, blob, incoming, &mut have, &mut restarted, progress);
        let Err(fault) = outcome else { continue };
        let (error, after) = match fault {
            Fault::Passing { error, after } => (error, after),
            Fault::Final(error) => return Err(error),
            Fault::Status(refused) if refused.is_passing() => (refused_blob(blob, &refused), refused.after),
            Fault::Status(refused) => return Err(refused_blob(blob, &refused)),
        };
        connections += 1;
        tries = if have >= before.saturating_add(PROGRESS) { 1 } else { tries + 1 };
        match client.settings.retry.wait(tries, after) {
            Some(wait) if connections < CONNECTIONS_MAX && !client.stop.load(Ordering::Relaxed) => {
                client.pause(wait, &error.chain().join(": "));
            }
            _ => return Err(error),
        }
        if client.stop.load(Ordering::Relaxed) {
            return Err(error);
        }
    }
    Ok(restarted)
}

fn refused_blob(blob: &Descriptor, refused: &Refused) -> Error {
    Error::verb(format!("the registry does not give out {}", blob.digest)).because(refused.text.clone())
}

/// One connection's worth.
fn receive(
    client: &Client,
    blob: &Descriptor,
    incoming: &mut dyn Incoming,
    have: &mut u64,
    restarted: &mut bool,
    progress: &Progress,
) -> std::result::Result<(), Fault> {
    let ask = Ask { from: *have, ..Ask::default() };
    let response = match client.ask_once(client.url(&format!("blobs/{}", blob.digest)), &ask) {
        // The range does not suit the server: everything, then.
        Err(Fault::Status(refused)) if refused.status == 416 && *have > 0 => {
            incoming.restart()?;
            (*have, *restarted) = (0, true);
            return Ok(());
        }
        other => other?,
    };
    if *have > 0 && !continues_at(&response, *have) {
        incoming.restart()?;
        (*have, *restarted) = (0, true);
        if response.status().as_u16() == 206 {
            let error =
                Error::verb(format!("the registry answered for another part of {} than was asked for", blob.digest));
            return Err(Fault::Passing { error, after: None });
        }
    }
    copy(client, blob, response, incoming, have, progress)
}

/// Whether the answer begins at this byte.
fn continues_at(response: &Response<Body>, offset: u64) -> bool {
    response.status().as_u16() == 206
        && header(response, "content-range")
            .and_then(|v| v.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok())
            .is_some_and(|start: u64| start == offset)
}

fn copy(
    client: &Client,
    blob: &Descriptor,
    response: Response<Body>,
    incoming: &mut dyn Incoming,
    have: &mut u64,
    progress: &Progress,
) -> std::result::Result<(), Fault> {
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0u8; 64 << 10];
    let mut pace = Pace::new(client.settings.timeouts.stall, client.settings.timeouts.min_bytes);
    let cut = |why: String| Fault::Passing {
        error: Error::verb(format!("fetching {} from {} was cut off", blob.digest, client.domain)).because(why),
        after: None,
    };
    loop {
        if client.stop.load(Ordering::Relaxed) {
            return Err(cut("another download failed".into()));
        }
        let n =
            body.read(&mut buffer).map_err(|e| cut(format!("after {have} of {} bytes: {}", blob.size, plain(&e))))?;
        if n == 0 {
            break;
        }
        if *have + n as u64 > blob.size {
            return Err(Fault::Final(Error::verb(format!(
                "the registry sends more for {} than the {} bytes that the manifest says",
                blob.digest, blob.size
            ))));
        }
        if let Err(e) = incoming.write_all(&buffer[..n]) {
            if e.kind() == std::io::ErrorKind::StorageFull {
                // What was fetched would keep the disk full until somebody tries again.
                incoming.restart()?;
            }
            return Err(Error::verb(format!("cannot write {} to the store", blob.digest)).because(e).into());
        }
        *have += n as u64;
        progress.bytes(blob.short(), *have);
        if *have < blob.size && !pace.keeps_up(n as u64, Instant::now()) {
            return Err(cut(format!("after {have} of {} bytes: it became too slow", blob.size)));
        }
    }
    if *have < blob.size {
        return Err(cut(format!("after {have} of {} bytes", blob.size)));
    }
    Ok(())
}

fn plain(e: &std::io::Error) -> String {
    match e.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        Some(inner) => super::fault::describe(inner),
        None => e.to_string(),
    }
}

/// Notices a server that drips: at least so many bytes in each window.
struct Pace {
    window: Duration,
    least: u64,
    since: Option<Instant>,
    bytes: u64,
}

impl Pace {
    fn new(window: Duration, least: u64) -> Pace {
        Pace { window, least, since: None, bytes: 0 }
    }
    fn keeps_up(&mut self, bytes: u64, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.bytes += bytes;
        if now.duration_since(since) < self.window {
            return true;
        }
        let enough = self.bytes >= self.least;
        (self.since, self.bytes) = (Some(now), 0);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dripping_server_is_noticed() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut pace = Pace::new(Duration::from_secs(30), 1000);
        assert!(pace.keeps_up(1, at(0)));
        assert!(pace.keeps_up(1, at(29)));
        assert!(pace.keeps_up(998, at(31)));
        assert!(pace.keeps_up(999, at(40)));
        assert!(!pace.keeps_up(0, at(62)));
    }
}

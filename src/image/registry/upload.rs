//! Blobs on their way to a registry: looked for first, taken from another of its repositories where it has them there,
//! sent otherwise.

use super::client::{Ask, Client, Method, Payload, header};
use super::fault::{Fault, Refused};
use super::progress::{Progress, Stage};
use super::url::{Url, query_escape};
use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::store::Store;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

/// Blobs sent at a time, docker's default.
const AT_ONCE: usize = 5;

/// One blob to send.
#[derive(Debug, Clone)]
pub struct Blob {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// As docker names it in its lines: 12 digits of the uncompressed layer. `None`: nothing is said of it.
    pub shown: Option<String>,
    /// Repositories of the same registry that are known to have it.
    pub elsewhere: Vec<String>,
}

/// Send what the registry does not have. The first failure stops the rest.
pub fn upload_all(client: &Client, store: &Store, blobs: &[Blob], progress: &Progress) -> Result<()> {
    for blob in blobs {
        blob.say(progress, Stage::Preparing);
    }
    for blob in blobs.iter().skip(AT_ONCE) {
        blob.say(progress, Stage::Waiting);
    }
    let queue: Mutex<VecDeque<&Blob>> = Mutex::new(blobs.iter().collect());
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(blobs.len()) {
            scope.spawn(|| {
                while !client.stop.load(Ordering::Relaxed) {
                    let Some(blob) = queue.lock().expect("no panics while held").pop_front() else { break };
                    if let Err(e) = upload(client, store, blob, progress) {
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
        None => Ok(()),
    }
}

impl Blob {
    fn say(&self, progress: &Progress, stage: Stage) {
        if let Some(shown) = &self.shown {
            progress.stage(shown, self.size, stage);
        }
    }
}

fn upload(client: &Client, store: &Store, blob: &Blob, progress: &Progress) -> Result<()> {
    if is_there(client, blob)? {
        blob.say(progress, Stage::LayerExists);
        return Ok(());
    }
    let mut session = None;
    for repository in &blob.elsewhere {
        match begin(client, blob, Some(repository))? {
            Begun::Mounted => {
                if let Some(shown) = &blob.shown {
                    progress.mounted(shown, blob.size, repository);
                }
                return Ok(());
            }
            // The registry did not find it there, or may not say; it has opened an upload instead.
            Begun::At(url) => session = Some(url),
        }
    }
    blob.say(progress, Stage::Pushing);
    let mut tries = 0;
    loop {
        let at = match session.take() {
            Some(at) => at,
            None => match begin(client, blob, None)? {
                Begun::At(at) => at,
                Begun::Mounted => break,
            },
        };
        let (error, after) = match send(client, store, blob, at) {
            Ok(()) => break,
            Err(Fault::Passing { error, after }) => (error, after),
            Err(Fault::Status(refused)) if refused.is_passing() => (refused_blob(blob, &refused), refused.after),
            Err(fault) => return Err(plain(blob, fault)),
        };
        tries += 1;
        match client.settings.retry.wait(tries, after) {
            Some(wait) if !client.stop.load(Ordering::Relaxed) => client.pause(wait, &error.chain().join(": ")),
            _ => return Err(error),
        }
    }
    blob.say(progress, Stage::Pushed);
    Ok(())
}

fn is_there(client: &Client, blob: &Blob) -> Result<bool> {
    let ask = Ask { method: Method::Head, within: Some(client.settings.timeouts.small), ..Ask::default() };
    match client.ask(&format!("blobs/{}", blob.digest), &ask) {
        Ok(_) => Ok(true),
        Err(Fault::Status(refused)) if refused.status == 404 => Ok(false),
        Err(fault) => Err(plain(blob, fault)),
    }
}

enum Begun {
    Mounted,
    /// Where to send it.
    At(Url),
}

fn begin(client: &Client, blob: &Blob, from: Option<&str>) -> Result<Begun> {
    let ask = Ask { method: Method::Post, within: Some(client.settings.timeouts.small), ..Ask::default() };
    let query = match from {
        Some(from) => {
            format!("?mount={}&from={}", query_escape(blob.digest.as_str()), query_escape(from))
        }
        None => String::new(),
    };
    let response = client.ask(&format!("blobs/uploads/{query}"), &ask).map_err(|fault| plain(blob, fault))?;
    match response.status().as_u16() {
        201 => Ok(Begun::Mounted),
        _ => Ok(Begun::At(location(client, &client.url("blobs/uploads/"), &response)?)),
    }
}

/// Where the registry wants the next part. Credentials do not go to another party (see `Client::follow`), and nothing
/// goes from https to http.
fn location<T>(client: &Client, at: &Url, response: &ureq::http::Response<T>) -> Result<Url> {
    let text = header(response, "location").unwrap_or_default();
    let next = at
        .join(&text)
        .filter(|_| !text.is_empty())
        .ok_or_else(|| Error::verb(format!("{at} does not say where to upload to")))?;
    client.may_follow(at, &next)?;
    Ok(next)
}

/// As docker does: all of it in one PATCH, then a PUT that names the digest.
fn send(client: &Client, store: &Store, blob: &Blob, at: Url) -> std::result::Result<(), Fault> {
    let file = store.open_blob(&blob.digest)?;
    let octets = Some("application/octet-stream");
    let ask = Ask { method: Method::Patch, payload: Payload::File(&file), content_type: octets, ..Ask::default() };
    let response = client.ask_once(at.clone(), &ask)?;
    let mut end = location(client, &at, &response)?;
    let separator = if end.path.contains('?') { '&' } else { '?' };
    end.path = format!("{}{separator}digest={}", end.path, query_escape(blob.digest.as_str()));
    // The registry hashes what it was sent before it answers.
    let ask = Ask { method: Method::Put, content_type: octets, ..Ask::default() };
    let response = client.ask_once(end, &ask)?;
    match header(&response, "docker-content-digest") {
        Some(said) if said != blob.digest.as_str() => {
            Err(Error::verb(format!("the registry stored {} as {said}", blob.digest)).into())
        }
        _ => Ok(()),
    }
}

fn refused_blob(blob: &Blob, refused: &Refused) -> Error {
    match refused.status {
        401 | 403 => denied(refused),
        _ => Error::verb(format!("the registry does not take {}", blob.digest)).because(refused.text.clone()),
    }
}

/// Docker's words for who may not push.
pub fn denied(refused: &Refused) -> Error {
    let text = match refused.status {
        _ if refused.wants_password => "no basic auth credentials",
        // The answer to a HEAD has no text.
        401 if refused.codes.is_empty() => "unauthorized: authentication required",
        403 if refused.codes.is_empty() => "denied: requested access to the resource is denied",
        _ => refused.text.as_str(),
    };
    Error::verb(text).hint("log in first (hardrun login SERVER), or use --authfile FILE or --creds USER:PASSWORD")
}

fn plain(blob: &Blob, fault: Fault) -> Error {
    match fault {
        Fault::Status(refused) => refused_blob(blob, &refused),
        Fault::Final(error) | Fault::Passing { error, .. } => error,
    }
}

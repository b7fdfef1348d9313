//! A registry in the test process that misbehaves on demand, and a store that is a folder.

use super::manifest::digest_of;
use super::platform::Platform;
use super::sink::{Incoming, Pulled, Sink};
use crate::error::{Error, Result};
use crate::image::reference::Reference;
use crate::site::signature::Signature;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
    /// Start of the wanted range.
    pub fn from(&self) -> usize {
        self.header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Hang up after so many bytes of the body.
    pub cut: Option<usize>,
    /// After the cut stay silent so long instead of hanging up.
    pub silence: Duration,
    /// Wait so long before each byte.
    pub drip: Option<Duration>,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
        Reply { status: 200, body: body.into(), ..Reply::default() }
    }
    pub fn status(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }
    /// A blob as registries give it out, ranges included.
    pub fn blob(seen: &Seen, content: &[u8]) -> Reply {
        match seen.from() {
            0 => Reply::ok(content),
            from if from >= content.len() => Reply::status(416),
            from => Reply { status: 206, body: content[from..].to_vec(), ..Reply::default() }
                .header("Content-Range", format!("bytes {from}-{}/{}", content.len() - 1, content.len())),
        }
    }
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

pub struct Server {
    pub host: String,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Serve until the test process ends.
    pub fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let log: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (shared, handler): (_, Arc<Handler>) = (log.clone(), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, handler) = (shared.clone(), handler.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &log, handler.as_ref()));
            }
        });
        Server { host, log }
    }

    /// What was asked so far, the probe of `/v2/` left out.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().iter().filter(|s| s.target != "/v2/").cloned().collect()
    }
    pub fn targets(&self) -> Vec<String> {
        self.seen().into_iter().map(|s| s.target).collect()
    }
}

/// One request a connection. What is not HTTP (a TLS hello) is answered by hanging up.
fn serve(stream: TcpStream, log: &Mutex<Vec<Seen>>, handler: &Handler) {
    let Some(seen) = read_request(&stream) else { return };
    log.lock().unwrap().push(seen.clone());
    let reply = handler(&seen);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !reply.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("transfer-encoding")) {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    let mut out = &stream;
    // The client may hang up first; that is part of the tests.
    let _ = out.write_all(format!("{head}\r\n").as_bytes());
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())];
    match reply.drip {
        None => {
            let _ = out.write_all(body);
        }
        Some(pause) => {
            for byte in body {
                std::thread::sleep(pause);
                if out.write_all(&[*byte]).is_err() {
                    return;
                }
            }
        }
    }
    std::thread::sleep(reply.silence);
}

fn read_request(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut first = [0u8; 1];
    stream.peek(&mut first).ok()?;
    if !first[0].is_ascii_uppercase() {
        return None;
    }
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let mut seen = Seen { method: words.next()?.into(), target: words.next()?.into(), ..Seen::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim().split_once(':') {
            Some((name, value)) => {
                seen.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            None => break,
        }
    }
    let length = seen.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_string(&mut seen.body).ok()?;
    Some(seen)
}

/// An image with these layers, and all its documents by path below `/v2/app/`.
#[derive(Clone)]
pub struct Image {
    pub manifest: Vec<u8>,
    pub digest: String,
    pub layers: Vec<Vec<u8>>,
    paths: HashMap<String, Vec<u8>>,
}

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Image {
    pub fn new(layers: &[&[u8]]) -> Image {
        Image::for_platform(layers, &super::platform::Platform::host().to_string())
    }

    pub fn for_platform(layers: &[&[u8]], platform: &str) -> Image {
        let mut paths = HashMap::new();
        let mut add = |bytes: &[u8], media_type: &str| -> Value {
            let digest = digest_of(bytes, None);
            paths.insert(format!("/v2/app/blobs/{digest}"), bytes.to_vec());
            json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
        };
        let list: Vec<Value> = layers.iter().map(|l| add(l, "application/vnd.oci.image.layer.v1.tar")).collect();
        let diff_ids: Vec<String> = layers.iter().map(|l| digest_of(l, None)).collect();
        let mut words = platform.split('/');
        let config = json!({"os": words.next(), "architecture": words.next(), "variant": words.next().unwrap_or(""),
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = add(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": list});
        let manifest = manifest.to_string().into_bytes();
        let digest = digest_of(&manifest, None);
        Image { manifest, digest, layers: layers.iter().map(|l| l.to_vec()).collect(), paths }
    }

    /// What a well-behaved registry answers, with the tag `1`.
    pub fn answer(&self, seen: &Seen) -> Reply {
        if seen.target == "/v2/" {
            return Reply::ok("{}");
        }
        if seen.target == "/v2/app/manifests/1" || seen.target == format!("/v2/app/manifests/{}", self.digest) {
            return Reply::ok(self.manifest.clone()).header("Content-Type", OCI_MANIFEST);
        }
        match self.paths.get(&seen.target) {
            Some(content) => Reply::blob(seen, content),
            None => Reply {
                body: br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_vec(),
                ..Reply::status(404)
            },
        }
    }
    pub fn blob_path(&self, layer: usize) -> String {
        format!("/v2/app/blobs/{}", digest_of(&self.layers[layer], None))
    }
}

/// Blobs in a folder, names in memory.
pub struct Folder {
    dir: tempfile::TempDir,
    pub names: Mutex<HashMap<String, String>>,
    pub signatures: Mutex<HashMap<String, Vec<Signature>>>,
}

impl Folder {
    pub fn new() -> Folder {
        Folder { dir: tempfile::tempdir().unwrap(), names: Mutex::default(), signatures: Mutex::default() }
    }
    pub fn partial(&self, digest: &str) -> PathBuf {
        self.dir.path().join(format!("partial-{digest}"))
    }
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.dir.path().join(digest)
    }
    pub fn has_bytes(&self, bytes: &[u8]) -> bool {
        std::fs::read(self.blob(&digest_of(bytes, None))).is_ok_and(|b| b == bytes)
    }
}

struct Part {
    file: File,
    offset: u64,
    from: PathBuf,
    to: PathBuf,
    digest: String,
}

impl Write for Part {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.file.write(buf)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Incoming for Part {
    fn offset(&self) -> u64 {
        self.offset
    }
    fn restart(&mut self) -> Result<()> {
        self.offset = 0;
        self.file.set_len(0).unwrap();
        Ok(())
    }
    fn commit(self: Box<Self>) -> Result<()> {
        let bytes = std::fs::read(&self.from).unwrap();
        if digest_of(&bytes, None) != self.digest {
            std::fs::remove_file(&self.from).unwrap();
            return Err(Error::verb(format!("blob {} has another digest", self.digest)));
        }
        std::fs::rename(&self.from, &self.to).unwrap();
        Ok(())
    }
}

impl Sink for Folder {
    fn has(&self, digest: &str) -> Result<bool> {
        Ok(self.blob(digest).exists())
    }
    fn begin(&self, digest: &str, _size: u64) -> Result<Option<Box<dyn Incoming + '_>>> {
        if self.blob(digest).exists() {
            return Ok(None);
        }
        let from = self.partial(digest);
        let file = OpenOptions::new().append(true).create(true).open(&from).unwrap();
        let offset = file.metadata().unwrap().len();
        Ok(Some(Box::new(Part { file, offset, from, to: self.blob(digest), digest: digest.into() })))
    }
    fn is_current(&self, reference: &Reference, digest: &str, platform: Option<&Platform>) -> Result<bool> {
        Ok(platform.is_none() && self.names.lock().unwrap().get(&reference.to_string()).is_some_and(|d| d == digest))
    }
    fn publish(&self, pulled: &Pulled, unpacked: &mut dyn FnMut(usize)) -> Result<()> {
        for (i, layer) in pulled.layers.iter().enumerate() {
            assert!(self.blob(&layer.digest).exists(), "published before it is here: {}", layer.digest);
            unpacked(i);
        }
        assert_eq!(digest_of(pulled.manifest, None), pulled.manifest_digest);
        self.names.lock().unwrap().insert(pulled.reference.to_string(), pulled.repo_digest.to_owned());
        Ok(())
    }
    fn sign(&self, digest: &str, signatures: &[Signature]) -> Result<()> {
        self.signatures.lock().unwrap().insert(digest.to_owned(), signatures.to_vec());
        Ok(())
    }
    fn read(&self, digest: &str, limit: u64) -> Result<Vec<u8>> {
        let bytes = std::fs::read(self.blob(digest)).unwrap();
        assert!(bytes.len() as u64 <= limit);
        Ok(bytes)
    }
}

//! Debian's docker-registry on loopback, a certificate authority of our own, a token service, and a wire between them and
//! hardrun that can be slow or cut.

use super::env::{s, wait_for};
use super::{Env, Outcome, Output, Run, Stop, fail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub fn skopeo(args: &[&str]) -> Outcome<Output> {
    Run::new("skopeo").args(args).limit(120).go()?.ok()
}

fn openssl(args: &[&str]) -> Outcome<Output> {
    Run::new("openssl").args(args).go()?.ok()
}

/// Whoever signs the servers' certificates.
pub struct Authority {
    dir: PathBuf,
    pub certificate: PathBuf,
    server_cert: PathBuf,
    server_key: PathBuf,
}

impl Authority {
    pub fn new(env: &Env) -> Outcome<Authority> {
        env.needs("openssl")?;
        let dir = env.dir("authority")?;
        let at = |name: &str| dir.join(name);
        let (key, crt) = (at("ca.key"), at("ca.crt"));
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test authority",
            "-keyout",
            s(&key),
            "-out",
            s(&crt),
        ])?;
        let authority = Authority {
            certificate: crt,
            server_cert: at("server.crt"),
            server_key: at("server.key"),
            dir: dir.clone(),
        };
        authority.sign("server", "subjectAltName=DNS:localhost,IP:127.0.0.1", &at("server.crt"), &at("server.key"))?;
        Ok(authority)
    }

    /// The server's certificate is its own authority, as docker's documentation shows it.
    pub fn self_signed(env: &Env) -> Outcome<Authority> {
        env.needs("openssl")?;
        let dir = env.dir("self-signed")?;
        let (key, crt) = (dir.join("server.key"), dir.join("server.crt"));
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
            s(&key),
            "-out",
            s(&crt),
        ])?;
        Ok(Authority { dir, certificate: crt.clone(), server_cert: crt, server_key: key })
    }

    fn sign(&self, name: &str, extension: &str, crt: &Path, key: &Path) -> Outcome {
        let (request, ext) = (self.dir.join(format!("{name}.csr")), self.dir.join(format!("{name}.ext")));
        std::fs::write(&ext, format!("basicConstraints=CA:FALSE\n{extension}\n"))?;
        openssl(&[
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            s(key),
            "-out",
            s(&request),
        ])?;
        openssl(&[
            "x509",
            "-req",
            "-in",
            s(&request),
            "-CA",
            s(&self.certificate),
            "-CAkey",
            s(&self.dir.join("ca.key")),
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            s(&ext),
            "-out",
            s(crt),
        ])?;
        Ok(())
    }

    /// A folder as under /etc/docker/certs.d, with `ca.crt` in it.
    pub fn folder(&self, env: &Env) -> Outcome<PathBuf> {
        let folder = env.dir("certs")?;
        std::fs::copy(&self.certificate, folder.join("ca.crt"))?;
        Ok(folder)
    }

    /// Put a client's certificate into such a folder.
    pub fn client(&self, folder: &Path) -> Outcome {
        self.sign("client", "extendedKeyUsage=clientAuth", &folder.join("client.cert"), &folder.join("client.key"))
    }
}

/// A running docker-registry; ended when this is dropped.
pub struct Server {
    /// `127.0.0.1:PORT`
    pub host: String,
    data: PathBuf,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to be done about a process that is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    pub fn plain(env: &Env) -> Outcome<Server> {
        Server::start(env, env.dir("registry")?, "", "")
    }

    /// `more` is added to the registry's `tls` section.
    pub fn tls(env: &Env, authority: &Authority, more: &str) -> Outcome<Server> {
        let (crt, key) = (s(&authority.server_cert), s(&authority.server_key));
        Server::start(
            env,
            env.dir("registry")?,
            &format!("  tls:\n    certificate: {crt}\n    key: {key}\n    {more}\n"),
            "",
        )
    }

    pub fn with_password(env: &Env, user: &str, password: &str) -> Outcome<Server> {
        env.needs("htpasswd")?;
        let data = env.dir("registry")?;
        let line = Run::new("htpasswd").args(["-Bbn", user, password]).go()?.ok()?;
        let file = data.join("htpasswd");
        std::fs::write(&file, line.stdout)?;
        Server::start(env, data, "", &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", s(&file)))
    }

    pub fn with_tokens(env: &Env, authority: &Authority, service: &TokenService) -> Outcome<Server> {
        let auth = format!(
            "auth:\n  token:\n    realm: http://{}/token\n    service: test\n    issuer: test\n    rootcertbundle: {}\n",
            service.host,
            s(&authority.certificate)
        );
        Server::start(env, env.dir("registry")?, "", &auth)
    }

    fn start(env: &Env, data: PathBuf, http: &str, auth: &str) -> Outcome<Server> {
        env.needs("docker-registry")?;
        env.needs("skopeo")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let host = format!("127.0.0.1:{port}");
        let config = env.dir("registry-config")?.join("config.yml");
        let storage = s(&data);
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
                 rootdirectory: {storage}\nhttp:\n  addr: {host}\n{http}{auth}"
            ),
        )?;
        let mut process = Command::new("docker-registry")
            .args(["serve", s(&config)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        if wait_for(Duration::from_secs(20), || TcpStream::connect(&host).ok()).is_none() {
            process.kill()?;
            process.wait()?;
            return fail(format!("docker-registry does not listen on {host}"));
        }
        Ok(Server { host, data, process })
    }

    pub fn port(&self) -> &str {
        self.host.rsplit(':').next().unwrap_or_default()
    }

    /// Push what skopeo can read; by a second registry over the same folder, which asks for nothing.
    fn push_from(&self, env: &Env, source: &str, name: &str, flags: &[&str]) -> Outcome<String> {
        let side = Server::start(env, self.data.clone(), "", "")?;
        let to = format!("docker://{}/{name}", side.host);
        skopeo(&[&["copy", "-q", "--dest-tls-verify=false"], flags, &[source, &to]].concat())?;
        Ok(format!("{}/{name}", self.host))
    }

    /// Push busybox; the name to pull it by.
    pub fn push(&self, env: &Env, name: &str) -> Outcome<String> {
        let archive = format!("oci-archive:{}", s(&env.fixtures.busybox_oci()?));
        self.push_from(env, &archive, name, &[])
    }

    /// Push an image made of a root's tar.
    pub fn push_root(&self, env: &Env, name: &str, tar: &Path) -> Outcome<String> {
        let root = env.dir("root")?;
        env.at(&root, &["import", s(tar), name]).go()?.ok()?;
        self.push_from(env, &format!("oci:{}:docker.io/library/{name}", s(&root.join("images"))), name, &[])
    }
}

/// Push an index of busybox for these architectures.
pub fn index(env: &Env, server: &Server, name: &str, architectures: &[&str]) -> Outcome<String> {
    let layout = env.dir("layout")?;
    let blobs = layout.join("blobs/sha256");
    skopeo(&[
        "copy",
        "-q",
        &format!("oci-archive:{}", s(&env.fixtures.busybox_oci()?)),
        &format!("oci:{}:x", s(&layout)),
    ])?;
    let read = |path: &Path| -> Outcome<Value> { Ok(serde_json::from_slice(&std::fs::read(path)?)?) };
    let blob = |value: &Value, kind: &str| -> Outcome<Value> {
        let bytes = value.to_string();
        let hex = hex::encode(Sha256::digest(bytes.as_bytes()));
        std::fs::write(blobs.join(&hex), &bytes)?;
        Ok(json!({"mediaType": kind, "digest": format!("sha256:{hex}"), "size": bytes.len()}))
    };
    let named = |descriptor: &Value| -> PathBuf {
        blobs.join(descriptor["digest"].as_str().unwrap_or_default().trim_start_matches("sha256:"))
    };
    let mut top = read(&layout.join("index.json"))?;
    let manifest = read(&named(&top["manifests"][0]))?;
    let mut entries = Vec::new();
    for architecture in architectures {
        let (mut manifest, mut config) = (manifest.clone(), read(&named(&manifest["config"]))?);
        config["architecture"] = json!(architecture);
        manifest["config"] = blob(&config, "application/vnd.oci.image.config.v1+json")?;
        let mut entry = blob(&manifest, "application/vnd.oci.image.manifest.v1+json")?;
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entries.push(entry);
    }
    let kind = "application/vnd.oci.image.index.v1+json";
    let mut entry = blob(&json!({"schemaVersion": 2, "mediaType": kind, "manifests": entries}), kind)?;
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "all"});
    top["manifests"] = json!([entry]);
    std::fs::write(layout.join("index.json"), top.to_string())?;
    server.push_from(env, &format!("oci:{}:all", s(&layout)), name, &["--all"])
}

/// Gives out tokens to one user; to everybody else tokens that are good for nothing.
pub struct TokenService {
    pub host: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TokenService {
    /// The request lines so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().map(|a| a.clone()).unwrap_or_default()
    }
}

pub fn token_service(env: &Env, authority: &Authority, user: &str, password: &str) -> Outcome<TokenService> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let host = listener.local_addr()?.to_string();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let pem = std::fs::read_to_string(&authority.server_cert)?;
    let certificate: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
    let (key, work, log) = (authority.server_key.clone(), env.dir("tokens")?, asked.clone());
    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|l| !l.is_empty());
            let Some(request) = lines.next() else { continue };
            let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
            let known = lines.any(|l| {
                l.split_once(": ").is_some_and(|(n, v)| n.eq_ignore_ascii_case("authorization") && v == basic)
            });
            if let Ok(mut log) = log.lock() {
                log.push(target.clone());
            }
            let scopes =
                target.split(['?', '&']).filter_map(|p| p.strip_prefix("scope=repository%3A")?.split_once("%3A"));
            let grant = |(name, actions): (&str, &str)| {
                let actions: Vec<&str> = actions.split("%2C").collect();
                json!({"type": "repository", "name": name.replace("%2F", "/"), "actions": actions})
            };
            let access: Vec<Value> = scopes.filter(|_| known).map(grant).collect();
            let access = Value::Array(access);
            let body = match sign(&certificate, &key, &work, access) {
                Ok(token) => json!({"token": token}).to_string(),
                Err(Stop::Fail(e) | Stop::Skip(e)) => e,
            };
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            // A client that hung up finds out by itself.
            let _ = (&stream).write_all((head + &body).as_bytes());
        }
    });
    Ok(TokenService { host, asked })
}

/// A JSON web token as docker-registry wants it, signed with the server's key.
fn sign(certificate: &str, key: &Path, work: &Path, access: Value) -> Outcome<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!(
        "{}.{}",
        part(json!({"typ": "JWT", "alg": "RS256", "x5c": [certificate]})),
        part(
            json!({"iss": "test", "sub": "x", "aud": "test", "exp": now + 300, "nbf": now - 10, "iat": now, "jti": "1", "access": access})
        )
    );
    let file = work.join("signed");
    std::fs::write(&file, &signed)?;
    let signature = openssl(&["dgst", "-sha256", "-sign", s(key), s(&file)])?.stdout;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A wire to a server: counts what comes back, and can be slow or be cut.
pub struct Relay {
    /// `127.0.0.1:PORT`
    pub host: String,
    state: Arc<Wire>,
}

#[derive(Default)]
struct Wire {
    bytes: AtomicUsize,
    /// Bytes a second, all connections together being as fast as each; 0: no limit.
    speed: AtomicUsize,
    /// Bytes after which a connection is cut, and how many more are to be.
    cut_after: AtomicUsize,
    cuts_left: AtomicUsize,
    cuts: AtomicUsize,
}

impl Relay {
    pub fn to(target: &str) -> Outcome<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let host = listener.local_addr()?.to_string();
        let (state, target) = (Arc::<Wire>::default(), target.to_owned());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let (Ok(c), Ok(v)) = (client.try_clone(), server.try_clone()) else { continue };
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut &c, &mut &v);
                    let _ = v.shutdown(std::net::Shutdown::Write);
                });
                let wire = shared.clone();
                std::thread::spawn(move || wire.carry(server, client));
            }
        });
        Ok(Relay { host, state })
    }

    pub fn slow(&self, bytes_a_second: usize) {
        self.state.speed.store(bytes_a_second, Ordering::SeqCst);
    }
    /// Cut the next `times` connections that bring so many bytes.
    pub fn cut_after(&self, bytes: usize, times: usize) {
        self.state.cut_after.store(bytes, Ordering::SeqCst);
        self.state.cuts_left.store(times, Ordering::SeqCst);
    }
    /// What the server sent so far.
    pub fn bytes(&self) -> usize {
        self.state.bytes.load(Ordering::SeqCst)
    }
    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl Wire {
    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let (mut buffer, mut here) = ([0; 16 << 10], 0);
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
            here += n;
            self.bytes.fetch_add(n, Ordering::SeqCst);
            let left = self.cuts_left.load(Ordering::SeqCst);
            if left > 0 && here >= self.cut_after.load(Ordering::SeqCst) {
                self.cuts_left.store(left - 1, Ordering::SeqCst);
                self.cuts.fetch_add(1, Ordering::SeqCst);
                break;
            }
            let speed = self.speed.load(Ordering::SeqCst);
            if speed > 0 {
                std::thread::sleep(Duration::from_secs_f64(n as f64 / speed as f64));
            }
        }
        // Both ends learn of it at once.
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    }
}

//! Whose certificates are believed, and the TLS end of a connection.
//!
//! The system's bundle, and for one registry the folder that docker reads (`/etc/docker/certs.d/HOST:PORT`) or the one
//! given with `--cert-dir`: `*.crt` are authorities, `NAME.cert` with `NAME.key` is our own certificate.

use crate::error::{Context, Error, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Docker's folder of folders, one per registry.
pub const CERTS_D: &str = "/etc/docker/certs.d";
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What one registry's folder holds.
#[derive(Default)]
pub struct Folder {
    authorities: Vec<CertificateDer<'static>>,
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Folder {
    /// Read a folder; one that does not exist is empty. The texts are docker's.
    pub fn read(folder: &Path) -> Result<Folder> {
        let mut names: Vec<PathBuf> = match std::fs::read_dir(folder) {
            Ok(entries) => entries
                .map(|e| e.map(|e| e.path()))
                .collect::<std::io::Result<_>>()
                .verb_context(|| format!("cannot read {}", folder.display()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Folder::default()),
            Err(e) => return Err(Error::verb(format!("cannot read {}", folder.display())).because(e)),
        };
        names.sort();
        let mut found = Folder::default();
        for name in &names {
            match name.extension().and_then(|e| e.to_str()) {
                Some("crt") => found.authorities.extend(certificates(name)?),
                Some("cert") => {
                    let key = name.with_extension("key");
                    if !names.contains(&key) {
                        return Err(Error::verb(format!(
                            "missing key {} for client certificate {}",
                            key.display(),
                            name.display()
                        ))
                        .hint("CA certificates must use the extension .crt"));
                    }
                    let own = (certificates(name)?, private_key(&key)?);
                    found.own.get_or_insert(own);
                }
                Some("key") if !names.contains(&name.with_extension("cert")) => {
                    return Err(Error::verb(format!(
                        "missing client certificate {} for key {}",
                        name.with_extension("cert").display(),
                        name.display()
                    )));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The authorities only: for hosts that a registry sends us on to, which have no business with our certificate.
    pub fn without_own(&self) -> Folder {
        Folder { authorities: self.authorities.clone(), own: None }
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let what = || format!("cannot read certificates from {}", file.display());
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<std::result::Result<_, _>>)
        .map_err(|e| Error::verb(what()).because(e.to_string()))?;
    if found.is_empty() {
        return Err(Error::verb(format!("{} holds no certificate", file.display())));
    }
    Ok(found)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file)
        .map_err(|e| Error::verb(format!("cannot read the private key {}", file.display())).because(e.to_string()))
}

/// The system's authorities: `SSL_CERT_FILE` and `SSL_CERT_DIR` where they are set, else the first bundle there is.
pub fn system_roots(env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<CertificateDer<'static>>> {
    let mut roots = Vec::new();
    let file = env("SSL_CERT_FILE").filter(|v| !v.is_empty());
    let dirs = env("SSL_CERT_DIR").filter(|v| !v.is_empty());
    match &file {
        Some(file) => roots.extend(certificates(Path::new(file))?),
        None if dirs.is_none() => {
            if let Some(bundle) = BUNDLES.iter().map(Path::new).find(|p| p.exists()) {
                roots.extend(certificates(bundle)?);
            }
        }
        None => {}
    }
    for dir in dirs.iter().flat_map(|d| d.split(':')).filter(|d| !d.is_empty()) {
        let what = || format!("cannot read SSL_CERT_DIR {dir}");
        for entry in std::fs::read_dir(dir).verb_context(what)? {
            let path = entry.verb_context(what)?.path();
            // Such folders hold links, READMEs and revocation lists too; what is no certificate is nobody's authority.
            if path.is_file() {
                roots.extend(CertificateDer::pem_file_iter(&path).into_iter().flatten().flatten());
            }
        }
    }
    Ok(roots)
}

/// The client side of TLS 1.2 and 1.3 for one host. `verify` off accepts any certificate: only ever under the override
/// of the rule insecure-registry.
pub fn client_config(roots: &[CertificateDer<'static>], folder: &Folder, verify: bool) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let (_, ignored) = store.add_parsable_certificates(folder.authorities.iter().cloned());
    if ignored > 0 {
        return Err(Error::verb(format!("{ignored} of the registry's *.crt authorities cannot be parsed")));
    }
    let verifier: Arc<dyn ServerCertVerifier> = if !verify {
        Arc::new(Anyone(provider.clone()))
    } else if store.is_empty() {
        return Err(Error::verb("this host has no certificate authorities to check a registry with")
            .hint("apt-get install ca-certificates, or put the registry's authority into /etc/docker/certs.d/HOST:PORT/ca.crt"));
    } else {
        Arc::new(Pinning::new(store, folder)?)
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .verb_context(|| "cannot set up TLS".into())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match &folder.own {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .verb_context(|| "cannot use the client certificate of the registry".into())?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The ordinary check, and one addition that docker's users rely on: a registry's own self-signed certificate, put into
/// its folder as `ca.crt` as docker's documentation shows. Such a certificate says that it is an authority, for which
/// webpki refuses it as a server's.
#[derive(Debug)]
struct Pinning {
    inner: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl Pinning {
    fn new(roots: RootCertStore, folder: &Folder) -> Result<Pinning> {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
            .build()
            .verb_context(|| "cannot use the certificate authorities".into())?;
        Ok(Pinning { inner, pinned: folder.authorities.clone() })
    }
}

impl ServerCertVerifier for Pinning {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let refused = match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Ok(verified) => return Ok(verified),
            Err(e) => e,
        };
        // webpki looks at the dates before it looks at this flag (a test holds it to that), so an expired certificate
        // does not get here.
        let rustls::Error::InvalidCertificate(reason) = &refused else { return Err(refused) };
        if is_authority_as_server(reason) && self.pinned.iter().any(|p| p.as_ref() == end_entity.as_ref()) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        Err(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether the only objection is that the certificate is an authority's.
pub fn is_authority_as_server(reason: &CertificateError) -> bool {
    let CertificateError::Other(other) = reason else { return false };
    matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Accepts any certificate; the handshake's signatures are still checked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    /// A self-signed authority for localhost, as docker's documentation makes it for a registry.
    fn self_signed(dir: &Path) {
        let (key, crt) = (dir.join("ca.key.pem"), dir.join("ca.crt"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-days", "2"])
            .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref(), crt.as_os_str()])
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// What the client says of a server that shows this certificate.
    fn meet(dir: &Path, folder: &Folder, host: &str) -> std::result::Result<(), String> {
        let chain = certificates(&dir.join("ca.crt")).unwrap();
        let key = private_key(&dir.join("ca.key.pem")).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut tcp, _) = listener.accept().unwrap();
            let mut tls = rustls::ServerConnection::new(Arc::new(server)).unwrap();
            // The client may break off; that is what some of the cases are about.
            let _ = rustls::Stream::new(&mut tls, &mut tcp).write_all(b"ok");
        });
        let config = client_config(&[], folder, true).unwrap();
        let mut tls = rustls::ClientConnection::new(config, host.to_owned().try_into().unwrap()).unwrap();
        let mut tcp = TcpStream::connect(at).unwrap();
        let mut two = [0; 2];
        let outcome = rustls::Stream::new(&mut tls, &mut tcp).read_exact(&mut two).map_err(|e| e.to_string());
        drop(tcp);
        serving.join().unwrap();
        outcome
    }

    #[test]
    fn a_registrys_own_certificate_counts_when_it_is_the_very_one_and_valid() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, other) = (dir.path().join("mine"), dir.path().join("other"));
        for folder in [&mine, &other] {
            std::fs::create_dir(folder).unwrap();
            self_signed(folder);
        }
        let trusted = Folder::read(&mine).unwrap();
        assert_eq!(meet(&mine, &trusted, "localhost"), Ok(()));
        assert!(meet(&other, &trusted, "localhost").unwrap_err().contains("invalid peer certificate"));
        assert!(meet(&mine, &trusted, "elsewhere.example").unwrap_err().contains("not valid for name"));
    }

    #[test]
    fn an_expired_one_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        self_signed(dir.path());
        let folder = Folder::read(dir.path()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(folder.authorities.iter().cloned());
        let (pinning, host) = (Pinning::new(roots, &folder).unwrap(), ServerName::try_from("localhost").unwrap());
        let at = |days: u64| {
            let now = UnixTime::now().as_secs() + days * 86_400;
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
            pinning
                .verify_server_cert(&folder.authorities[0], &[], &host, &[], now)
                .map(|_| ())
                .map_err(|e| e.to_string())
        };
        assert_eq!(at(1), Ok(()));
        assert!(at(3).unwrap_err().contains("expired"));
    }

    #[test]
    fn folders() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Folder::read(&dir.path().join("none")).unwrap().authorities.is_empty());
        self_signed(dir.path());
        std::fs::rename(dir.path().join("ca.key.pem"), dir.path().join("me.key")).unwrap();
        let message = |d: &Path| Folder::read(d).err().unwrap().message;
        assert!(message(dir.path()).starts_with("missing client certificate"));
        std::fs::copy(dir.path().join("ca.crt"), dir.path().join("me.cert")).unwrap();
        let folder = Folder::read(dir.path()).unwrap();
        assert!(folder.own.is_some() && folder.authorities.len() == 1 && folder.without_own().own.is_none());
        std::fs::remove_file(dir.path().join("me.key")).unwrap();
        assert!(message(dir.path()).starts_with("missing key"));
        std::fs::remove_file(dir.path().join("me.cert")).unwrap();
        std::fs::write(dir.path().join("bad.crt"), "no certificate").unwrap();
        assert!(message(dir.path()).contains("bad.crt"));
    }
}

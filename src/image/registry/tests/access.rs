//! Credentials, tokens, redirects, proxies.

use super::*;

#[test]
fn basic_credentials_go_out_only_when_asked_for() {
    let image = Image::new(&[b"x"]);
    let served = image.clone();
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some("Basic bWU6cHc=") => served.answer(seen),
        _ => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let mut o = options();
    o.sources = Sources { creds: Some(Credential::from_flag("me:pw").unwrap()), authfile: None };
    pull_as(&server, &Folder::new(), "app:1", &o, false).unwrap();
    assert_eq!(server.seen()[0].header("authorization"), None);

    let text = error(&server);
    assert!(text.contains("pull access denied for") && text.contains("docker login"), "{text}");
    o.sources.creds = Some(Credential::from_flag("me:wrong").unwrap());
    let e = pull_as(&server, &Folder::new(), "app:1", &o, false).unwrap_err();
    assert!(e.message.contains("pull access denied") && !e.chain().join(" ").contains("wrong"));
}

/// A registry with a token server on the same port; tokens are good for `uses` requests.
fn token_server(image: Image, uses: u32) -> Server {
    let (left, serial) = (Mutex::new(HashMap::<String, u32>::new()), AtomicU32::new(0));
    Server::start(move |seen| {
        let host = seen.header("host").unwrap().to_owned();
        if seen.target.starts_with("/token") {
            let good = seen.header("authorization") == Some("Basic bWU6cHc=") || seen.body.contains("refresh_token=it");
            if !good {
                return Reply::status(401);
            }
            let token = format!("t{}", serial.fetch_add(1, Ordering::Relaxed));
            left.lock().unwrap().insert(format!("Bearer {token}"), uses);
            return Reply::ok(json!({"token": token}).to_string());
        }
        let mut left = left.lock().unwrap();
        match seen.header("authorization").and_then(|a| left.get_mut(a)).filter(|n| **n > 0) {
            Some(n) => {
                *n -= 1;
                image.answer(seen)
            }
            None => Reply::status(401).header(
                "WWW-Authenticate",
                format!("Bearer realm=\"http://{host}/token\",service=\"reg\",scope=\"repository:app:pull\""),
            ),
        }
    })
}

#[test]
fn tokens_are_fetched_reused_and_renewed() {
    let image = Image::new(&[b"a", b"b", b"c", b"d"]);
    let server = token_server(image.clone(), 1000);
    let mut o = options();
    o.sources.creds = Some(Credential::from_flag("me:pw").unwrap());
    pull_as(&server, &Folder::new(), "app:1", &o, false).unwrap();
    let asked: Vec<String> = server.targets().into_iter().filter(|t| t.starts_with("/token")).collect();
    assert_eq!(asked, ["/token?account=me&service=reg&scope=repository%3Aapp%3Apull"]);

    let server = token_server(image, 3);
    pull_as(&server, &Folder::new(), "app:1", &o, false).unwrap();
    assert!(server.targets().iter().filter(|t| t.starts_with("/token")).count() >= 2);
}

#[test]
fn identity_tokens_are_exchanged_by_post() {
    let server = token_server(Image::new(&[b"a"]), 1000);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("auth.json");
    std::fs::write(&file, json!({"auths": {server.host.as_str(): {"identitytoken": "it"}}}).to_string()).unwrap();
    let mut o = options();
    o.sources.authfile = Some(file);
    pull_as(&server, &Folder::new(), "app:1", &o, false).unwrap();
    let post = server.seen().into_iter().find(|s| s.method == "POST").unwrap();
    assert!(post.target == "/token" && post.body.contains("refresh_token=it"), "{post:?}");
}

#[test]
fn a_token_is_not_fetched_from_plain_http_elsewhere() {
    let server = Server::start(|seen| {
        if seen.target == "/v2/" {
            return Reply::ok("");
        }
        Reply::status(401).header("WWW-Authenticate", "Bearer realm=\"http://auth.invalid/token\"")
    });
    assert!(error(&server).contains("over plain HTTP"));
}

#[test]
fn redirected_blobs_come_without_our_authorization() {
    let image = Image::new(&[b"x"]);
    let served = image.clone();
    let store = Server::start(move |seen| {
        let target = seen.target.split('?').next().unwrap().replace("/store", "/v2/app/blobs");
        served.answer(&Seen { target, ..seen.clone() })
    });
    let elsewhere = store.host.clone();
    let server = Server::start(move |seen| {
        if seen.header("authorization") != Some("Basic bWU6cHc=") {
            return Reply::status(401).header("WWW-Authenticate", "Basic realm=r");
        }
        match seen.target.strip_prefix("/v2/app/blobs") {
            Some(rest) => Reply::status(307).header("Location", format!("http://u:p@{elsewhere}/store{rest}?sig=1")),
            None => image.answer(seen),
        }
    });
    let mut o = options();
    o.sources.creds = Some(Credential::from_flag("me:pw").unwrap());
    pull_as(&server, &Folder::new(), "app:1", &o, false).unwrap();
    let seen = store.seen();
    assert_eq!(seen.len(), 2, "config and layer");
    assert!(seen.iter().all(|s| s.header("authorization").is_none() && s.target.ends_with("?sig=1")), "{seen:?}");
}

#[test]
fn bad_redirects() {
    for (location, text) in [
        ("http://storage.invalid/x", "refused by rule insecure-registry"),
        ("ftp://127.0.0.1/x", "neither an http nor an https address"),
        ("/v2/app/manifests/1", "more than 10 times"),
    ] {
        let server = Server::start(move |seen| match seen.target.as_str() {
            "/v2/" => Reply::ok(""),
            _ => Reply::status(302).header("Location", location),
        });
        let shown = error(&server);
        assert!(shown.contains(text), "{location}: {shown}");
    }
}

#[test]
fn tls_verify_off_is_refused_elsewhere_and_needless_here() {
    let image = Image::new(&[b"x"]);
    let server = Server::start(move |seen| image.answer(seen));
    let o = Options { no_tls_verify: true, ..options() };
    pull_as(&server, &Folder::new(), "app:1", &o, false).unwrap();
    let reference = "registry.invalid/app:1".parse().unwrap();
    let progress = Progress::new(true, Channel::Stderr);
    let world = World {
        timeouts: PATIENT,
        env: &|_| None,
        record: &|_, _| Ok(()),
        demands: Demands::NONE,
        site: &crate::site::Site::default(),
    };
    let e = pull_with(&Folder::new(), &reference, &o, false, &progress, &world).unwrap_err();
    assert!(
        e.message.contains("refused by rule insecure-registry")
            && e.hint.unwrap().contains("--allow insecure-registry")
    );
}

#[test]
fn a_proxy_is_asked_to_connect_and_the_name_is_not_looked_up_here() {
    let proxy = Server::start(|_| Reply::status(403));
    let address = format!("http://user:s3cret@{}", proxy.host);
    let env = move |name: &str| (name == "HTTPS_PROXY").then(|| address.clone());
    let world = World {
        timeouts: PATIENT,
        env: &env,
        record: &|_, _| Ok(()),
        demands: Demands::NONE,
        site: &crate::site::Site::default(),
    };
    let reference = "registry.invalid/app:1".parse().unwrap();
    let progress = Progress::new(true, Channel::Stderr);
    let e = pull_with(&Folder::new(), &reference, &options(), false, &progress, &world).unwrap_err();
    let seen = proxy.seen();
    assert!(!seen.is_empty(), "{e:?}");
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("CONNECT", "registry.invalid:443"));
    assert_eq!(seen[0].header("proxy-authorization"), Some("Basic dXNlcjpzM2NyZXQ="));
    let text = e.chain().join(": ");
    assert!(text.contains("roxy") && !text.contains("s3cret"), "{text}");
}

#[test]
fn under_a_policy_over_origins_the_caller_does_not_say_whom_to_believe() {
    use crate::site::Site;
    let law = |text: &str| crate::site::parse(text, &|_| Err(String::new())).unwrap();
    let variables = |name: &str| matches!(name, "SSL_CERT_FILE" | "SSL_CERT_DIR").then(|| "/nonexistent".to_owned());
    let log = Mutex::new(Vec::new());
    let record = |event: crate::audit::Event, asked: &str| {
        log.lock().unwrap().push(format!("{} {asked}", event.name()));
        Ok(())
    };
    let progress = Progress::new(true, Channel::Stderr);
    let pull = |site: &Site, name: &str, options: &Options| {
        let world = World { timeouts: PATIENT, env: &variables, record: &record, demands: Demands::NONE, site };
        pull_with(&Folder::new(), &name.parse().unwrap(), options, false, &progress, &world)
    };
    let folder = Options { cert_dir: Some("/nonexistent".into()), ..options() };
    let site = |text: &str| Site { digest: Some("sha256:0".into()), law: law(text), ..Site::default() };
    let (open, listed) = (site("preset = \"strict\"\n"), site("[images]\nregistries = [\"registry.invalid/\"]\n"));
    let denied = site("deny = [\"insecure-registry\"]\n[images]\nregistries = [\"registry.invalid/\"]\n");
    let name = "registry.invalid/app:1";

    // Without a word about origins the variables count: a file that is not there is an error.
    let text = pull(&open, name, &options()).unwrap_err().chain().join(": ");
    assert!(text.contains("cannot read certificates from /nonexistent"), "{text}");
    let text = pull(&listed, name, &options()).unwrap_err().chain().join(": ");
    assert!(!text.contains("/nonexistent"), "{text}");

    let e = pull(&listed, name, &folder).unwrap_err();
    assert!(
        e.message.contains("refused by rule insecure-registry: --cert-dir /nonexistent for registry.invalid"),
        "{e}"
    );
    assert_eq!(log.lock().unwrap().pop().unwrap(), "refusal --cert-dir /nonexistent for registry.invalid");
    let allowed = Options { allow_insecure: true, ..folder.clone() };
    let text = pull(&listed, name, &allowed).unwrap_err().chain().join(": ");
    assert!(!text.contains("refused by rule"), "{text}");
    assert_eq!(log.lock().unwrap().pop().unwrap(), "override --cert-dir /nonexistent for registry.invalid");
    let e = pull(&denied, name, &allowed).unwrap_err();
    assert!(e.hint.unwrap().contains("not here, by the site's policy"));
    // Nobody says anything about a folder where the policy does not.
    let text = pull(&open, name, &folder).unwrap_err().chain().join(": ");
    assert!(!text.contains("refused by rule"), "{text}");
    // On this host plain HTTP would do.
    let image = Image::new(&[b"x"]);
    let server = Server::start(move |seen| image.answer(seen));
    pull(
        &site(&format!("[images]\nregistries = [\"{}/\"]\n", server.host)),
        &format!("{}/app:1", server.host),
        &folder,
    )
    .unwrap();
}

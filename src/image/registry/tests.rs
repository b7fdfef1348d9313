//! The protocol against a registry that misbehaves.

use super::client::{Retry, Timeouts};
use super::fake::{Folder, Image, OCI_MANIFEST, Reply, Seen, Server};
use super::manifest::digest_of;
use super::progress::{Channel, Progress};
use super::{Credential, Options, Platform, Sources, World, pull_with};
use crate::error::Result;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Patient enough for a busy machine; what is about time-outs has its own.
const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(20),
    stall: Duration::from_secs(20),
    min_bytes: 1,
    small: Duration::from_secs(20),
};

fn options() -> Options {
    Options {
        quiet: true,
        retry: Retry { times: 3, delay: Duration::from_millis(5), longest: Duration::from_millis(100) },
        ..Options::default()
    }
}

fn pull_as(server: &Server, sink: &Folder, name: &str, options: &Options, all: bool) -> Result<()> {
    pull_within(PATIENT, server, sink, name, options, all)
}
fn pull_within(
    timeouts: Timeouts,
    server: &Server,
    sink: &Folder,
    name: &str,
    options: &Options,
    all: bool,
) -> Result<()> {
    let reference = format!("{}/{name}", server.host).parse()?;
    let world = World { timeouts, env: &|_| None, record: &|_, _| Ok(()) };
    pull_with(sink, &reference, options, all, &Progress::new(true, Channel::Stderr), &world)
}
fn pull(server: &Server, sink: &Folder) -> Result<()> {
    pull_as(server, sink, "app:1", &options(), false)
}
fn error(server: &Server) -> String {
    pull(server, &Folder::new()).expect_err("a failure").chain().join(": ")
}

#[test]
fn pulls_over_plain_http_on_loopback_and_knows_when_nothing_changed() {
    let image = Image::new(&[b"layer one", b"layer two", b"layer one"]);
    let served = image.clone();
    let server = Server::start(move |seen| served.answer(seen));
    let sink = Folder::new();
    pull(&server, &sink).unwrap();
    assert!(sink.has_bytes(b"layer one") && sink.has_bytes(b"layer two"));
    // Manifest, config, and each blob once.
    assert_eq!(server.seen().len(), 4, "{:?}", server.targets());
    pull(&server, &sink).unwrap();
    assert_eq!(server.seen().len(), 5, "only the manifest again: {:?}", server.targets());
}

#[test]
fn a_cut_connection_is_taken_up_with_a_range() {
    let content: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
    let image = Image::new(&[&content]);
    let (served, path) = (image.clone(), image.blob_path(0));
    let server = Server::start(move |seen| {
        let mut reply = served.answer(seen);
        if seen.target == path && seen.from() < 150_000 {
            reply.cut = Some(60_000);
        }
        reply
    });
    let sink = Folder::new();
    pull(&server, &sink).unwrap();
    assert!(sink.has_bytes(&content));
    let ranges: Vec<usize> = server.seen().iter().filter(|s| s.target == image.blob_path(0)).map(Seen::from).collect();
    assert_eq!(ranges, [0, 60_000, 120_000, 180_000]);
}

#[test]
fn what_a_killed_pull_left_is_taken_up() {
    let image = Image::new(&[b"0123456789"]);
    let digest = digest_of(b"0123456789", None);
    let served = image.clone();
    let server = Server::start(move |seen| served.answer(seen));
    let sink = Folder::new();
    std::fs::write(sink.partial(&digest), "0123").unwrap();
    pull(&server, &sink).unwrap();
    assert!(sink.has_bytes(b"0123456789"));
    assert_eq!(server.seen().last().unwrap().from(), 4);
}

#[test]
fn a_damaged_rest_is_fetched_again_once() {
    let image = Image::new(&[b"0123456789"]);
    let digest = digest_of(b"0123456789", None);
    let served = image.clone();
    let server = Server::start(move |seen| served.answer(seen));
    let sink = Folder::new();
    std::fs::write(sink.partial(&digest), "XXXX").unwrap();
    pull(&server, &sink).unwrap();
    assert!(sink.has_bytes(b"0123456789"));
}

#[test]
fn a_server_without_ranges_or_with_a_wrong_one_is_no_trap() {
    for wrong in [false, true] {
        let content = vec![7u8; 100_000];
        let image = Image::new(&[&content]);
        let (served, path, first) = (image.clone(), image.blob_path(0), AtomicU32::new(0));
        let server = Server::start(move |seen| {
            if seen.target != path {
                return served.answer(seen);
            }
            match first.fetch_add(1, Ordering::Relaxed) {
                0 => Reply { cut: Some(70_000), ..Reply::ok(content.clone()) },
                1 if wrong => {
                    Reply { status: 206, ..Reply::ok(content.clone()) }.header("Content-Range", "bytes 5-99999/100000")
                }
                _ => Reply::ok(content.clone()),
            }
        });
        let sink = Folder::new();
        pull(&server, &sink).unwrap();
        assert!(sink.has_bytes(&[7u8; 100_000]));
    }
}

#[test]
fn wrong_bytes_never_reach_the_store() {
    let image = Image::new(&[b"the layer!"]);
    let (served, path) = (image.clone(), image.blob_path(0));
    let server =
        Server::start(move |seen| if seen.target == path { Reply::ok("the l4yer!") } else { served.answer(seen) });
    let sink = Folder::new();
    let text = pull(&server, &sink).unwrap_err().to_string();
    assert_eq!(text, format!("filesystem layer verification failed for digest {}", digest_of(b"the layer!", None)));
    assert!(!sink.blob(&digest_of(b"the layer!", None)).exists());
    assert!(sink.names.lock().unwrap().is_empty());
}

#[test]
fn a_blob_longer_than_the_manifest_says_is_cut_short() {
    let image = Image::new(&[b"the layer!"]);
    let (served, path) = (image.clone(), image.blob_path(0));
    let server =
        Server::start(move |seen| if seen.target == path { Reply::ok([b'x'; 5000]) } else { served.answer(seen) });
    assert!(error(&server).contains("sends more for"));
}

#[test]
fn manifests_are_checked_against_every_digest() {
    let image = Image::new(&[b"x"]);
    let served = image.clone();
    let server = Server::start(move |seen| {
        served.answer(seen).header("Docker-Content-Digest", digest_of(b"something else", None))
    });
    assert!(error(&server).contains("manifest verification failed"));

    let (served, other) = (image.clone(), Image::new(&[b"y"]));
    let server = Server::start(move |seen| {
        if seen.target.contains("/manifests/") { Reply::ok(other.manifest.clone()) } else { served.answer(seen) }
    });
    let by_digest = format!("app@{}", image.digest);
    let text = pull_as(&server, &Folder::new(), &by_digest, &options(), false).unwrap_err().to_string();
    assert!(text.contains(&format!("manifest verification failed for digest {}", image.digest)), "{text}");
}

#[test]
fn oversized_manifests_are_refused_with_and_without_a_length() {
    for chunked in [false, true] {
        let server = Server::start(move |seen| {
            if seen.target == "/v2/" {
                return Reply::ok("");
            }
            let big = vec![b' '; (4 << 20) + 1];
            if !chunked {
                return Reply::ok(big);
            }
            let mut body = format!("{:x}\r\n", big.len()).into_bytes();
            body.extend(big);
            body.extend(b"\r\n0\r\n\r\n");
            Reply::ok(body).header("Transfer-Encoding", "chunked")
        });
        assert!(error(&server).contains("longer than 4194304 bytes"));
    }
}

#[test]
fn silence_and_dripping_end_in_an_error() {
    for drip in [false, true] {
        let content = vec![1u8; 5000];
        let image = Image::new(&[&content]);
        let (served, path) = (image.clone(), image.blob_path(0));
        let server = Server::start(move |seen| {
            let mut reply = served.answer(seen);
            if seen.target == path {
                match drip {
                    true => reply.drip = Some(Duration::from_millis(30)),
                    false => (reply.cut, reply.silence) = (Some(10), Duration::from_secs(20)),
                }
            }
            reply
        });
        let hasty = Timeouts { stall: Duration::from_millis(300), min_bytes: 50, ..PATIENT };
        let start = Instant::now();
        let e = pull_within(hasty, &server, &Folder::new(), "app:1", &options(), false).unwrap_err();
        let text = e.chain().join(": ");
        // On a busy machine the head of an answer may already be late.
        assert!(text.contains("was cut off") || text.contains("timed out"), "{text}");
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    }
}

#[test]
fn server_trouble_is_waited_for_within_bounds() {
    let image = Image::new(&[b"x"]);
    let (served, count) = (image.clone(), AtomicU32::new(0));
    let server = Server::start(move |seen| match count.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => Reply::status(503),
        1 => Reply::status(429).header("Retry-After", "0"),
        _ => served.answer(seen),
    });
    pull(&server, &Folder::new()).unwrap();

    let server = Server::start(|seen| if seen.target == "/v2/" { Reply::ok("") } else { Reply::status(500) });
    assert!(error(&server).contains("500"));
    assert_eq!(server.seen().len(), 4);

    let server = Server::start(|seen| {
        if seen.target == "/v2/" { Reply::ok("") } else { Reply::status(429).header("Retry-After", "86400") }
    });
    assert!(error(&server).contains("toomanyrequests"));
    assert_eq!(server.seen().len(), 1, "a day is not waited for");
}

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
fn an_index_leads_to_the_right_platform() {
    let host = Image::new(&[b"mine"]);
    let other = Image::for_platform(&[b"theirs"], "linux/s390x");
    let entry = |i: &Image, os: &str, arch: &str| json!({"mediaType": OCI_MANIFEST, "digest": i.digest, "size": i.manifest.len(), "platform": {"os": os, "architecture": arch}});
    let mine = Platform::host();
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry(&other, "linux", "s390x"), entry(&host, &mine.os, &mine.architecture)]})
    .to_string();
    let index_digest = digest_of(index.as_bytes(), None);
    let server = Server::start(move |seen| {
        if seen.target == "/v2/app/manifests/1" {
            return Reply::ok(index.clone());
        }
        let first = host.answer(seen);
        if first.status == 404 { other.answer(seen) } else { first }
    });
    let sink = Folder::new();
    pull(&server, &sink).unwrap();
    assert!(sink.has_bytes(b"mine") && !sink.has_bytes(b"theirs"));
    assert_eq!(sink.names.lock().unwrap().values().collect::<Vec<_>>(), [&index_digest]);

    let sink = Folder::new();
    let mut o = options();
    o.platform = Some("linux/s390x".parse().unwrap());
    pull_as(&server, &sink, "app:1", &o, false).unwrap();
    assert!(sink.has_bytes(b"theirs"));
    o.platform = Some("linux/riscv64".parse().unwrap());
    let text = pull_as(&server, &Folder::new(), "app:1", &o, false).unwrap_err().to_string();
    assert!(text.contains("no matching manifest for linux/riscv64") && text.contains("linux/s390x"), "{text}");
}

#[test]
fn a_single_image_of_another_platform_is_refused_when_one_was_asked_for() {
    let image = Image::for_platform(&[b"x"], "linux/s390x");
    let server = Server::start(move |seen| image.answer(seen));
    let mut o = options();
    o.platform = Some("linux/amd64".parse().unwrap());
    let sink = Folder::new();
    let text = pull_as(&server, &sink, "app:1", &o, false).unwrap_err().to_string();
    assert!(text.contains("linux/s390x") && text.contains("linux/amd64"), "{text}");
    assert!(!sink.has_bytes(b"x"), "the layer is not fetched first");
}

#[test]
fn windows_images_and_lying_configs_are_refused() {
    let image = Image::for_platform(&[b"x"], "windows/amd64");
    let server = Server::start(move |seen| image.answer(seen));
    assert!(error(&server).contains("image operating system \"windows\" cannot be used"));
}

#[test]
fn unknown_names_in_dockers_words() {
    let image = Image::new(&[b"x"]);
    let server = Server::start(move |seen| image.answer(seen));
    let text = pull_as(&server, &Folder::new(), "app:nope", &options(), false).unwrap_err().to_string();
    assert_eq!(text, format!("manifest for {}/app:nope not found: manifest unknown: manifest unknown", server.host));
}

#[test]
fn all_tags_over_several_pages() {
    let image = Image::new(&[b"x"]);
    let server = Server::start(move |seen| match seen.target.as_str() {
        "/v2/app/tags/list" => {
            Reply::ok(r#"{"tags":["1","two"]}"#).header("Link", "</v2/app/tags/list?last=two>; rel=\"next\"")
        }
        "/v2/app/tags/list?last=two" => Reply::ok(r#"{"tags":["three"]}"#),
        t if t.starts_with("/v2/app/manifests/") => {
            image.answer(&Seen { target: "/v2/app/manifests/1".into(), ..seen.clone() })
        }
        _ => image.answer(seen),
    });
    let sink = Folder::new();
    pull_as(&server, &sink, "app", &options(), true).unwrap();
    let mut names: Vec<String> = sink.names.lock().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["1", "three", "two"].map(|t| format!("{}/app:{t}", server.host)));
}

#[test]
fn several_layers_come_at_once_and_one_failure_stops_the_rest() {
    let layers: Vec<Vec<u8>> = (0..12u8).map(|i| vec![i; 10]).collect();
    let image = Image::new(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let (served, now, most) = (image.clone(), AtomicU32::new(0), std::sync::Arc::new(AtomicU32::new(0)));
    let peak = most.clone();
    let server = Server::start(move |seen| {
        if !seen.target.contains("/blobs/") {
            return served.answer(seen);
        }
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(40));
        now.fetch_sub(1, Ordering::SeqCst);
        served.answer(seen)
    });
    pull(&server, &Folder::new()).unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 3);

    let (served, bad) = (image.clone(), image.blob_path(0));
    let server = Server::start(move |seen| {
        if seen.target == bad {
            return Reply::status(404);
        }
        if seen.target.contains("/blobs/") {
            std::thread::sleep(Duration::from_millis(40));
        }
        served.answer(seen)
    });
    assert!(error(&server).contains("does not give out"));
    assert!(server.seen().len() < 10, "{}", server.seen().len());
}

#[test]
fn tls_verify_off_is_refused_elsewhere_and_needless_here() {
    let image = Image::new(&[b"x"]);
    let server = Server::start(move |seen| image.answer(seen));
    let o = Options { no_tls_verify: true, ..options() };
    pull_as(&server, &Folder::new(), "app:1", &o, false).unwrap();
    let reference = "registry.invalid/app:1".parse().unwrap();
    let progress = Progress::new(true, Channel::Stderr);
    let world = World { timeouts: PATIENT, env: &|_| None, record: &|_, _| Ok(()) };
    let e = pull_with(&Folder::new(), &reference, &o, false, &progress, &world).unwrap_err();
    assert!(
        e.message.contains("refused by rule insecure-registry")
            && e.hint.unwrap().contains("--allow insecure-registry")
    );
}

//! The protocol against a registry that misbehaves.

mod access;
mod push;
mod transfer;

use crate::error::Result;
use crate::image::registry::fake::{Folder, Image, OCI_MANIFEST, Reply, Seen, Server};
use crate::image::registry::manifest::digest_of;
use crate::image::registry::progress::{Channel, Progress};
use crate::image::registry::signed::Demands;
use crate::image::registry::timing::{Retry, Timeouts};
use crate::image::registry::{Credential, Options, Platform, Sources, World, pull_with};
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
    let world = World {
        timeouts,
        env: &|_| None,
        record: &|_, _| Ok(()),
        demands: Demands::NONE,
        site: &crate::site::Site::default(),
    };
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

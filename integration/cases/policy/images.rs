//! What the site's policy says of images: where they come from, by which digest, with whose signature.

use super::Site;
use crate::harness::env::s;
use crate::harness::registry::{Authority, Server};
use crate::harness::{Env, Outcome, Run, fail};
use crate::{cases, check};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

cases!("policy":
    registries_and_digests, what_is_pushed_is_judged_too, the_callers_authorities_do_not_count, signatures, a_lock_file_pins,
);

fn registries_and_digests(env: &Env) -> Outcome {
    let server = Server::plain(env)?;
    let (good, other) = (server.push(env, "team/app:1")?, server.push(env, "other/app:1")?);
    let root = env.dir("root")?;
    let site = Site::new(env, &root, &format!("[images]\nregistries = [\"{}/team/\"]\n", server.host))?;
    site.run(&["run", "--rm", &good, "echo", "ran"]).go()?.ok()?.says("ran")?;
    for verb in ["run", "pull", "create"] {
        let out = site.run(&[verb, &other]).go()?.exits(125)?;
        out.complains(&["site-registry", "the policy does not list its registry"])?;
    }
    // Pulled before there was a policy, tagged with a listed name, loaded: what counts is where it came from.
    env.at(&root, &["pull", "-q", &other]).go()?.ok()?;
    let listed = format!("{}/team/mine:1", server.host);
    let archive = env.dir("archive")?.join("a.tar");
    env.at(&root, &["import", s(&env.fixtures.busybox()?), &listed]).limit(120).go()?.ok()?;
    site.run(&["run", "--rm", &listed, "true"]).go()?.exits(125)?.complains(&["site-registry", "no registry gave"])?;
    env.at(&root, &["save", "-o", s(&archive), &listed]).go()?.ok()?;
    env.at(&root, &["load", "-i", s(&archive)]).go()?.ok()?;
    site.run(&["run", "--rm", &listed, "true"]).go()?.exits(125)?.complains(&["site-registry"])?;
    site.write(&format!("[images]\nregistries = [\"{}/team/\"]\nlocal = true\n", server.host))?;
    site.run(&["run", "--rm", &listed, "echo", "ran"]).go()?.ok()?.says("ran")?;

    site.write("[images]\nrequire-digest = true\n")?;
    let out = site.run(&["run", "--rm", &good, "true"]).go()?.exits(125)?.complains(&["site-digest", "@sha256:"])?;
    let err = out.err();
    let Some(pinned) = err.split_whitespace().find(|w| w.contains("@sha256:")) else { return fail(out.told()) };
    site.run(&["run", "--rm", pinned.trim_end_matches(','), "echo", "ran"]).go()?.ok()?.says("ran")?;
    Ok(())
}

/// A registry that something was pushed to is one that gave the image.
fn what_is_pushed_is_judged_too(env: &Env) -> Outcome {
    let (server, root) = (Server::plain(env)?, env.own_root()?);
    let site = Site::new(env, &root, &format!("[images]\nregistries = [\"{}/team/\"]\nlocal = true\n", server.host))?;
    let [inside, outside] = ["team/app:1", "elsewhere/app:1"].map(|name| format!("{}/{name}", server.host));
    for name in [&inside, &outside] {
        site.run(&["tag", "busybox", name]).go()?.ok()?;
    }
    let out = site.run(&["push", &outside]).go()?.exits(125)?;
    out.complains(&["refused by rule site-registry", "the policy does not list its registry", "no override"])?;
    let known = |name: &str| -> Outcome<String> {
        Ok(env.at(&root, &["image", "inspect", "-f", "{{json .RepoDigests}}", name]).go()?.ok()?.out())
    };
    check!(!known(&outside)?.contains("elsewhere"), "it counts as pushed: {}", known(&outside)?);
    let log = env.at(&root, &["audit-log", "show"]).go()?.ok()?.out();
    check!(log.lines().any(|l| l.contains("refusal") && l.contains("site-registry") && l.contains("push")), "{log}");
    site.run(&["push", "-q", &inside]).go()?.ok()?;
    check!(known(&inside)?.contains("team/app@sha256:"), "{}", known(&inside)?);
    Ok(())
}

/// Whom to believe is the host's to say, where the policy says where images come from.
fn the_callers_authorities_do_not_count(env: &Env) -> Outcome {
    let authority = Authority::new(env)?;
    let (server, root) = (Server::tls(env, &authority, "")?, env.own_root()?);
    let image = format!("{}/app:1", server.host);
    let site = Site::new(env, &root, "preset = \"default\"\n")?;
    let bundle = authority.certificate.clone();
    let pull = || site.run(&["pull", "-q", &image]).env("SSL_CERT_FILE", &bundle);
    // There is no such image: whoever says so is believed.
    pull().go()?.exits(1)?.complains(&["manifest unknown"])?;
    for law in [
        format!("[images]\nregistries = [\"{}/\"]\n", server.host),
        format!("[[signature]]\nimages = [\"{}/\"]\nkeys = [\"ours.pub\"]\n", server.host),
    ] {
        key_pair(&site.folder.join("hardrun"), "ours")?;
        site.mode("ours.pub", "644")?;
        site.write(&law)?;
        let out = pull().go()?.exits(1)?;
        check!(!out.err().contains("manifest unknown") && out.err().contains("certificate"), "{law}{}", out.told());
        let folder = env.dir("certs")?;
        std::fs::copy(&bundle, folder.join("ca.crt"))?;
        let out = site.run(&["pull", "-q", &image]).env("SSL_CERT_DIR", &folder).go()?.exits(1)?;
        check!(!out.err().contains("manifest unknown"), "{law}{}", out.told());
        // On loopback plain HTTP is spoken without a flag, so another authority takes nothing away.
        let out = site.run(&["pull", "-q", "--cert-dir", s(&folder), &image]).go()?;
        check!(out.code != 0 && out.err().contains("manifest unknown"), "{}", out.told());
    }
    Ok(())
}

/// As little of a registry's interface as it takes to put something into it.
fn http(host: &str, method: &str, target: &str, kind: &str, body: &[u8]) -> Outcome<String> {
    let mut stream = TcpStream::connect(host)?;
    let length = body.len();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.starts_with("HTTP/1.1 2") { Ok(answer) } else { fail(format!("{method} {target}: {answer}")) }
}

fn put_blob(host: &str, repository: &str, body: &[u8]) -> Outcome<Value> {
    let answer = http(host, "POST", &format!("/v2/{repository}/blobs/uploads/"), "text/plain", b"")?;
    let location = answer.lines().find_map(|l| l.strip_prefix("Location: ")).unwrap_or_default().trim();
    let target = location.split_once(host).map_or(location, |(_, path)| path);
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(body)));
    http(host, "PUT", &format!("{target}&digest={digest}"), "application/octet-stream", body)?;
    Ok(json!({"digest": digest, "size": body.len()}))
}

/// Sign an image as `cosign sign --key` does, with openssl.
fn sign(server: &Server, key: &Path, repository: &str, identity: &str, digest: &str) -> Outcome {
    let payload = json!({"critical": {
        "identity": {"docker-reference": identity},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature"}, "optional": null})
    .to_string();
    let (text, out) = (key.with_extension("payload"), key.with_extension("sig"));
    std::fs::write(&text, &payload)?;
    Run::new("openssl").args(["dgst", "-sha256", "-sign", s(key), "-out", s(&out), s(&text)]).go()?.ok()?;
    let mut layer = put_blob(&server.host, repository, payload.as_bytes())?;
    layer["mediaType"] = json!("application/vnd.dev.cosign.simplesigning.v1+json");
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": STANDARD.encode(std::fs::read(&out)?)});
    let mut config = put_blob(&server.host, repository, b"{}")?;
    config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}).to_string();
    let tag = format!("{}.sig", digest.replace(':', "-"));
    http(&server.host, "PUT", &format!("/v2/{repository}/manifests/{tag}"), kind, manifest.as_bytes())?;
    Ok(())
}

pub fn key_pair(folder: &Path, name: &str) -> Outcome<PathBuf> {
    let key = folder.join(name);
    Run::new("openssl").args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", s(&key)]).go()?.ok()?;
    let public = key.with_extension("pub");
    Run::new("openssl").args(["ec", "-in", s(&key), "-pubout", "-out", s(&public)]).go()?.ok()?;
    Ok(key)
}

fn signatures(env: &Env) -> Outcome {
    env.needs("openssl")?;
    let (server, keys, root) = (Server::plain(env)?, env.dir("keys")?, env.dir("root")?);
    let image = server.push(env, "team/app:1")?;
    let repository = format!("{}/team/app", server.host);
    let (ours, theirs) = (key_pair(&keys, "ours")?, key_pair(&keys, "theirs")?);
    let site =
        Site::new(env, &root, &format!("[[signature]]\nimages = [\"{}/\"]\nkeys = [\"ours.pub\"]\n", server.host))?;
    let out = site.run(&["run", "--rm", &image, "true"]).go()?.exits(125)?;
    out.complains(&["the site's policy cannot be used", "signature[0].keys[0]", "there is no file"])?;
    std::fs::copy(ours.with_extension("pub"), site.folder.join("hardrun/ours.pub"))?;
    site.mode("ours.pub", "666")?;
    site.run(&["run", "--rm", &image, "true"]).go()?.exits(125)?.complains(&["ours.pub can be written by others"])?;
    site.mode("ours.pub", "644")?;

    // Without a signature nothing is fetched.
    for verb in ["pull", "run"] {
        let out = site.run(&[verb, &image]).go()?.exits(125)?;
        out.complains(&["site-signature", "the registry has no signature"])?;
    }
    check!(env.at(&root, &["images", "-q"]).go()?.ok()?.out().is_empty(), "an unsigned image was stored");
    let log = env.at(&root, &["audit-log", "show"]).go()?.ok()?.out();
    check!(log.contains("refusal") && log.contains("site-signature"), "{log}");

    // Somebody else's, then one for another repository, then ours.
    env.at(&root, &["pull", "-q", &image]).go()?.ok()?;
    let known: Value = serde_json::from_slice(&env.at(&root, &["inspect", &image]).go()?.ok()?.stdout)?;
    let known = known[0]["RepoDigests"][0].as_str().unwrap_or_default().to_owned();
    let Some((_, digest)) = known.split_once('@') else { return fail(format!("no digest in {known}")) };
    site.run(&["run", "--rm", &image, "true"])
        .go()?
        .exits(125)?
        .complains(&["site-signature", "no signature of it is here"])?;
    sign(&server, &theirs, "team/app", &repository, digest)?;
    site.run(&["pull", &image]).go()?.exits(125)?.complains(&["none of the policy's keys made it"])?;
    sign(&server, &ours, "team/app", "registry.example.org/other", digest)?;
    site.run(&["pull", &image]).go()?.exits(125)?.complains(&["registry.example.org/other"])?;
    sign(&server, &ours, "team/app", &repository, digest)?;
    site.run(&["pull", "-q", &image]).go()?.ok()?;
    let host = server.host.clone();
    drop(server);
    // From now on without the network; also by another name, which shakes nothing off.
    site.run(&["run", "--rm", &image, "echo", "ran"]).go()?.ok()?.says("ran")?;
    site.run(&["create", "--name", "kept", &image, "echo", "kept"]).go()?.ok()?;
    env.at(&root, &["import", s(&env.fixtures.busybox()?), &format!("{host}/team/app:2")]).limit(120).go()?.ok()?;
    site.run(&["run", "--rm", &format!("{host}/team/app:2"), "true"])
        .go()?
        .exits(125)?
        .complains(&["site-signature"])?;

    // A key that is taken out counts no longer, for what exists too.
    std::fs::copy(theirs.with_extension("pub"), site.folder.join("hardrun/ours.pub"))?;
    site.run(&["run", "--rm", &image, "true"]).go()?.exits(125)?.complains(&["none of the policy's keys made it"])?;
    site.run(&["start", "-a", "kept"]).go()?.exits(1)?.complains(&["site-signature"])?;
    std::fs::copy(ours.with_extension("pub"), site.folder.join("hardrun/ours.pub"))?;
    site.run(&["start", "-a", "kept"]).go()?.ok()?.says("kept")?;
    env.at(&root, &["rm", "kept"]).go()?.ok()?;
    Ok(())
}

fn a_lock_file_pins(env: &Env) -> Outcome {
    let server = Server::plain(env)?;
    let (image, root, work) = (server.push(env, "app:1")?, env.dir("root")?, env.dir("work")?);
    let at = |args: &[&str]| env.at(&root, args).dir(&work).env("DOCKER_CONFIG", "/nonexistent").limit(120);
    std::fs::write(work.join("job.sh"), format!("#!/bin/sh\nset -e\ndocker run --rm \\\n   {image} true\n"))?;
    at(&["lock", "--from", "job.sh"]).go()?.ok()?;
    let text = std::fs::read_to_string(work.join("hardrun.lock"))?;
    check!(text.contains(&format!("\"{image}\" = \"sha256:")), "{text}");
    at(&["run", "--rm", "--locked", &image, "echo", "ran"]).go()?.ok()?.says("ran")?;
    at(&["pull", "-q", "--locked=hardrun.lock", &image]).go()?.ok()?;
    at(&["run", "--rm", "--locked", "busybox", "true"])
        .go()?
        .exits(125)?
        .complains(&["is not in hardrun.lock", "hardrun lock"])?;
    let other = format!("{image}@sha256:{}", "0".repeat(64));
    at(&["run", "--rm", "--locked", &other, "true"])
        .go()?
        .exits(125)?
        .complains(&["in hardrun.lock, not sha256:000"])?;
    at(&["run", "--rm", "--locked=none.lock", &image, "true"]).go()?.exits(125)?.complains(&["none.lock"])?;
    // The tag moves on; what is locked does not.
    let tar = env.fixtures.busybox()?;
    let moved = ["import", "--change", "ENV MARK=moved", s(&tar), &image];
    env.at(&root, &moved).limit(120).go()?.ok()?;
    let mark = ["sh", "-c", "echo is ${MARK:-not}"];
    at(&["run", "--rm", &image]).args(mark).go()?.ok()?.says("is moved")?;
    at(&["run", "--rm", "--locked", &image]).args(mark).go()?.ok()?.says("is not")?;
    // A digest is what a policy wants, and a lock file gives one.
    let site = Site::new(env, &root, "[images]\nrequire-digest = true\n")?;
    site.run(&["run", "--rm", "--locked", &image, "echo", "ran"]).dir(&work).go()?.ok()?.says("ran")?;
    Ok(())
}

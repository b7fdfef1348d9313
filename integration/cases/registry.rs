//! Pulling from Debian's docker-registry on loopback: TLS with an authority of our own, passwords, tokens, indexes, zstd,
//! cut connections, kill -9, two pulls at once.

use crate::harness::env::{s, wait_for};
use crate::harness::registry::{Authority, Relay, Server, index, skopeo, token_service};
use crate::harness::{Env, Outcome, Output, Run};
use crate::{cases, check, check_eq};
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;

cases!("registry":
    over_tls_with_an_authority_of_our_own, a_self_signed_registry_counts_from_its_folder, with_a_client_certificate,
    passwords_from_dockers_config, a_credential_helper, tokens, the_platform_of_an_index, zstd_layers,
    a_cut_connection_is_taken_up, a_killed_pull_leaves_only_what_can_be_taken_up, two_pulls_at_once,
    plain_http_elsewhere_is_refused, tls_verify_off_elsewhere_is_refused, bars_on_a_terminal_and_ctrl_c,
    run_pulls_what_is_missing, all_tags_and_unknown_names,
);

fn pull(env: &Env, root: &Path, args: &[&str]) -> Run {
    env.at(root, &["pull"])
        .args(args)
        .unset("REGISTRY_AUTH_FILE")
        .unset("DOCKER_DEFAULT_PLATFORM")
        .env("DOCKER_CONFIG", "/nonexistent")
        .limit(120)
}

fn last_line(out: &Output) -> String {
    out.out().lines().last().unwrap_or_default().to_owned()
}

/// Names in the store's index.
fn names(root: &Path) -> Outcome<Vec<String>> {
    let bytes = std::fs::read(root.join("images/index.json"))?;
    let index: serde_json::Value = serde_json::from_slice(&bytes)?;
    let of = |m: &serde_json::Value| m["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned);
    Ok(index["manifests"].as_array().into_iter().flatten().filter_map(of).collect())
}

fn over_tls_with_an_authority_of_our_own(env: &Env) -> Outcome {
    let authority = Authority::new(env)?;
    let server = Server::tls(env, &authority, "")?;
    let image = server.push(env, "app:1.2")?;
    let (root, folder) = (env.dir("root")?, authority.folder(env)?);

    let refused = pull(env, &root, &[&image]).go()?.exits(1)?;
    refused.complains(&["unknown authority", "/etc/docker/certs.d/", "--cert-dir", "--allow insecure-registry"])?;
    check!(!root.join("images/index.json").exists() || names(&root)?.is_empty(), "something was stored");

    let first = pull(env, &root, &["--cert-dir", s(&folder), &image]).go()?.ok()?;
    let lines: Vec<String> = first.out().lines().map(str::to_owned).collect();
    check_eq!(lines[0], "1.2: Pulling from app");
    for what in ["Pulling fs layer", "Download complete", "Pull complete"] {
        check!(
            lines.iter().any(|l| l.ends_with(&format!(": {what}")) && l.len() == 14 + what.len()),
            "{}",
            first.told()
        );
    }
    check!(lines.iter().any(|l| l.starts_with("Digest: sha256:")), "{}", first.told());
    check!(lines.contains(&format!("Status: Downloaded newer image for {image}")), "{}", first.told());
    check_eq!(last_line(&first), image);
    check_eq!(first.err(), "", "a good pull says nothing on stderr");

    // The system's bundle, and docker's words where nothing changed.
    let again = pull(env, &root, &[&image]).env("SSL_CERT_FILE", folder.join("ca.crt")).go()?.ok()?;
    check!(again.out().contains(&format!("Status: Image is up to date for {image}")), "{}", again.told());
    pull(env, &root, &["-q", "--cert-dir", s(&folder), &image]).go()?.ok()?.says(&image)?;

    skopeo(&["inspect", &format!("oci:{}:{image}", s(&root.join("images")))])?;
    env.at(&root, &["run", "--rm", "--network", "none", &image, "echo", "pulled"]).go()?.ok()?.says("pulled")?;
    Ok(())
}

fn a_self_signed_registry_counts_from_its_folder(env: &Env) -> Outcome {
    let own = Authority::self_signed(env)?;
    let server = Server::tls(env, &own, "")?;
    let image = server.push(env, "app:1")?;
    let root = env.dir("root")?;
    pull(env, &root, &["-q", "--cert-dir", s(&own.folder(env)?), &image]).go()?.ok()?;
    let other = Authority::self_signed(env)?;
    pull(env, &root, &["-q", "--cert-dir", s(&other.folder(env)?), &image])
        .go()?
        .exits(1)?
        .complains(&["certificate"])?;
    Ok(())
}

fn with_a_client_certificate(env: &Env) -> Outcome {
    let authority = Authority::new(env)?;
    let server = Server::tls(env, &authority, &format!("clientcas: [{}]", s(&authority.certificate)))?;
    let (root, folder) = (env.dir("root")?, authority.folder(env)?);
    let image = format!("{}/app:1", server.host);
    let without = pull(env, &root, &["-q", "--cert-dir", s(&folder), &image]).go()?.exits(1)?;
    without.complains(&["client certificate"])?;
    authority.client(&folder)?;
    // It gets as far as to hear that there is no such image.
    pull(env, &root, &["-q", "--cert-dir", s(&folder), &image]).go()?.exits(1)?.complains(&["manifest unknown"])?;
    Ok(())
}

fn passwords_from_dockers_config(env: &Env) -> Outcome {
    let server = Server::with_password(env, "me", "hunter2")?;
    let image = server.push(env, "app:1")?;
    let (root, config) = (env.dir("root")?, env.dir("config")?);
    let entry = |word: &str| {
        use base64::Engine;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("me:{word}"));
        format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, server.host)
    };
    let file = config.join("config.json");
    let denied = pull(env, &root, &[&image]).go()?.exits(1)?;
    denied.complains(&["pull access denied for", "docker login"])?;

    std::fs::write(&file, entry("wr0ng"))?;
    let denied = pull(env, &root, &[&image]).env("DOCKER_CONFIG", &config).go()?.exits(1)?;
    check!(!denied.told().contains("wr0ng"), "the password is shown\n{}", denied.told());

    std::fs::write(&file, entry("hunter2"))?;
    pull(env, &root, &["-q", &image]).env("DOCKER_CONFIG", &config).go()?.ok()?.says(&image)?;
    pull(env, &root, &["-q", "--authfile", s(&file), &image]).go()?.ok()?;
    pull(env, &root, &["-q", "--creds", "me:hunter2", &image]).go()?.ok()?;
    let home = env.dir("home")?;
    std::fs::create_dir(home.join(".docker"))?;
    std::fs::copy(&file, home.join(".docker/config.json"))?;
    env.at(&root, &["pull", "-q", &image]).env("HOME", &home).unset("DOCKER_CONFIG").go()?.ok()?;
    Ok(())
}

fn a_credential_helper(env: &Env) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::with_password(env, "me", "hunter2")?;
    let image = server.push(env, "app:1")?;
    let (root, folder) = (env.dir("root")?, env.dir("helper")?);
    let helper = folder.join("docker-credential-test");
    std::fs::write(
        &helper,
        format!(
            "#!/bin/sh\nread host\n[ \"$1 $host\" = 'get {}' ] && echo '{{\"Username\":\"me\",\"Secret\":\"hunter2\"}}'\n",
            server.host
        ),
    )?;
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(folder.join("config.json"), r#"{"credsStore": "test"}"#)?;
    let path = format!("{}:{}", s(&folder), std::env::var("PATH")?);
    let with = |path: &str| pull(env, &root, &["-q", &image]).env("DOCKER_CONFIG", &folder).env("PATH", path).go();
    with(&path)?.ok()?;
    std::fs::remove_file(&helper)?;
    with(&path)?.exits(1)?.complains(&["docker-credential-test", "pull access denied"])?;
    Ok(())
}

fn tokens(env: &Env) -> Outcome {
    let authority = Authority::new(env)?;
    let service = token_service(env, &authority, "me", "hunter2")?;
    let server = Server::with_tokens(env, &authority, &service)?;
    let image = server.push(env, "team/app:1")?;
    let root = env.dir("root")?;
    pull(env, &root, &[&image]).go()?.exits(1)?.complains(&["pull access denied for"])?;
    pull(env, &root, &["-q", "--creds", "me:hunter2", &image]).go()?.ok()?;
    let asked = service.asked();
    check!(asked.iter().all(|a| a.contains("scope=repository%3Ateam%2Fapp%3Apull")), "more was asked for: {asked:?}");
    Ok(())
}

fn the_platform_of_an_index(env: &Env) -> Outcome {
    let server = Server::plain(env)?;
    let image = index(env, &server, "multi:1", &["amd64", "arm64"])?;
    let root = env.dir("root")?;
    let architecture = |platform: &str| -> Outcome<String> {
        pull(env, &root, &["-q", "--platform", platform, &image]).go()?.ok()?;
        let at = format!("oci:{}:{image}", s(&root.join("images")));
        let arch = platform.rsplit('/').next().unwrap_or_default();
        let out = skopeo(&["--override-arch", arch, "inspect", "--config", &at])?.out();
        let config: serde_json::Value = serde_json::from_str(&out)?;
        Ok(config["architecture"].as_str().unwrap_or_default().to_owned())
    };
    check_eq!(architecture("linux/arm64")?, "arm64");
    check_eq!(architecture("linux/amd64")?, "amd64");
    let missing = pull(env, &root, &["--platform", "linux/s390x", &image]).go()?.exits(1)?;
    missing.complains(&["no matching manifest for linux/s390x", "linux/amd64, linux/arm64"])?;
    // By the digest of the index, and by what `pull` printed.
    let told = pull(env, &root, &[&image]).go()?.ok()?.out();
    let digest = told.lines().find_map(|l| l.strip_prefix("Digest: ")).unwrap_or_default().to_owned();
    let by_digest = format!("{}@{digest}", image.rsplit_once(':').map_or("", |(name, _)| name));
    check_eq!(last_line(&pull(env, &env.dir("root")?, &[&by_digest]).go()?.ok()?), by_digest);
    Ok(())
}

fn zstd_layers(env: &Env) -> Outcome {
    let server = Server::plain(env)?;
    let folder = env.dir("zstd")?;
    let (plain, from) = (format!("dir:{}", s(&folder)), format!("oci-archive:{}", s(&env.fixtures.busybox_oci()?)));
    skopeo(&["copy", "-q", "--dest-decompress", &from, &plain])?;
    let image = format!("{}/zstd:1", server.host);
    let to = format!("docker://{image}");
    // Its memory of what was compressed how would make skopeo take the gzip layer again.
    Run::new("skopeo")
        .args(["copy", "-q", "--dest-tls-verify=false", "--dest-compress", "--dest-compress-format", "zstd"])
        .args(["--format", "oci", &plain, &to])
        .env("XDG_DATA_HOME", &folder)
        .env("HOME", &folder)
        .go()?
        .ok()?;
    check!(
        skopeo(&["inspect", "--raw", "--tls-verify=false", &to])?.out().contains("tar+zstd"),
        "no zstd layer was pushed"
    );
    let root = env.dir("root")?;
    pull(env, &root, &["-q", &image]).go()?.ok()?;
    env.at(&root, &["run", "--rm", "--network", "none", &image, "echo", "ok"]).go()?.ok()?.says("ok")?;
    Ok(())
}

/// An image with one large layer, its name through a relay, and the relay.
fn large(env: &Env) -> Outcome<(Server, Relay, String)> {
    let server = Server::plain(env)?;
    let tar = env.fixtures.busybox_with(&format!("large-{}", server.port()), |dir| {
        // Not compressible, so that as many bytes travel.
        let mut random = std::io::Read::take(std::fs::File::open("/dev/urandom")?, LARGE as u64);
        std::io::copy(&mut random, &mut std::fs::File::create(dir.join("large"))?)?;
        Ok(())
    })?;
    server.push_root(env, "large:1", &tar)?;
    let relay = Relay::to(&server.host)?;
    let image = format!("{}/large:1", relay.host);
    Ok((server, relay, image))
}

const LARGE: usize = 12 << 20;

fn partials(root: &Path) -> u64 {
    let sizes = |d: std::fs::ReadDir| d.flatten().filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum();
    std::fs::read_dir(root.join("partial")).map(sizes).unwrap_or(0)
}

fn a_cut_connection_is_taken_up(env: &Env) -> Outcome {
    let (_server, relay, image) = large(env)?;
    let root = env.dir("root")?;
    relay.cut_after(4 << 20, 2);
    let out = pull(env, &root, &["--retry-delay", "0.1", &image]).go()?.ok()?;
    check_eq!(last_line(&out), image);
    let (bytes, cuts) = (relay.bytes(), relay.cuts());
    check_eq!(cuts, 2, "connections that were cut");
    check!(bytes < LARGE + (6 << 20), "{bytes} bytes travelled for {LARGE}: it began again from the start");
    check_eq!(partials(&root), 0);
    Ok(())
}

fn a_killed_pull_leaves_only_what_can_be_taken_up(env: &Env) -> Outcome {
    let (_server, relay, image) = large(env)?;
    let root = env.dir("root")?;
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let before = partials(&root);
        relay.slow(4 << 20);
        let running = pull(env, &root, &[&image]).start()?;
        let grown = wait_for(Duration::from_secs(20), || (partials(&root) > before + (2 << 20)).then_some(()));
        running.signal(signal)?;
        let out = running.finish()?;
        check!(grown.is_some(), "nothing was downloaded\n{}", out.told());
        check_eq!(out.code, 128 + signal as i32);
        check_eq!(names(&root)?, Vec::<String>::new());
    }
    let (left, before) = (partials(&root), relay.bytes());
    relay.slow(0);
    pull(env, &root, &["-q", &image]).go()?.ok()?;
    let travelled = relay.bytes() - before;
    check!(travelled + left as usize / 2 < LARGE + (2 << 20), "{travelled} bytes travelled though {left} were there");
    check_eq!(partials(&root), 0);
    check!(std::fs::read_dir(root.join("tmp"))?.next().is_none(), "the killed pull's work folder is still there");
    Ok(())
}

fn two_pulls_at_once(env: &Env) -> Outcome {
    let (_server, relay, image) = large(env)?;
    let root = env.dir("root")?;
    relay.slow(8 << 20);
    let pulls: Vec<_> = (0..3).map(|_| pull(env, &root, &["-q", &image]).start()).collect::<Outcome<_>>()?;
    for one in pulls {
        one.finish()?.ok()?.says(&image)?;
    }
    let bytes = relay.bytes();
    check!(bytes < 2 * LARGE, "{bytes} bytes travelled: the layer was downloaded more than once");
    check_eq!(names(&root)?, vec![image.clone()]);
    env.at(&root, &["run", "--rm", "--network", "none", &image, "wc", "-c", "/large"])
        .go()?
        .ok()?
        .says(&format!("{LARGE} /large"))?;
    Ok(())
}

/// Run with `reg.test` in /etc/hosts for 127.0.0.1: a host that is loopback, but not by its name.
fn elsewhere(env: &Env, root: &Path, args: &[&str]) -> Outcome<Output> {
    env.needs("unshare")?;
    let hosts = env.dir("hosts")?.join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost reg.test\n")?;
    Run::new("unshare")
        .args(["-m", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\"", s(&hosts), s(&env.hardrun)])
        .args(["--root", s(root), "pull"])
        .args(args)
        .env("DOCKER_CONFIG", "/nonexistent")
        .go()
}

fn plain_http_elsewhere_is_refused(env: &Env) -> Outcome {
    let server = Server::plain(env)?;
    server.push(env, "app:1")?;
    let (root, image) = (env.dir("root")?, format!("reg.test:{}/app:1", server.port()));
    let refused = elsewhere(env, &root, &[&image])?.exits(125)?;
    let refused =
        refused.complains(&["insecure-registry", "risk:", "safer:", "override: --allow insecure-registry"])?;
    check_eq!(refused.out(), "");
    let log = env.at(&root, &["audit-log", "show"]).go()?.ok()?.out();
    check!(log.contains("insecure-registry"), "the refusal is not in the audit log: {log}");

    let out = elsewhere(env, &root, &["--allow", "insecure-registry=lab", &image])?.ok()?;
    let out = out.complains(&["rule insecure-registry overridden", "plain HTTP"])?;
    check_eq!(last_line(&out), image);
    let log = env.at(&root, &["audit-log", "show"]).go()?.ok()?.out();
    check!(log.contains("lab"), "the override's reason is not in the audit log: {log}");
    Ok(())
}

fn tls_verify_off_elsewhere_is_refused(env: &Env) -> Outcome {
    let root = env.dir("root")?;
    let out = pull(env, &root, &["--tls-verify=false", "registry.invalid/app:1"]).go()?.exits(125)?;
    out.complains(&["insecure-registry", "--tls-verify=false"])?;
    let server = Server::plain(env)?;
    let image = server.push(env, "app:1")?;
    pull(env, &root, &["-q", "--tls-verify=false", &image]).go()?.ok()?.complains(&["changes nothing"])?;
    Ok(())
}

fn bars_on_a_terminal_and_ctrl_c(env: &Env) -> Outcome {
    use crate::harness::pty::Terminal;
    let (_server, relay, image) = large(env)?;
    let root = env.dir("root")?;
    relay.slow(4 << 20);
    let mut terminal = Terminal::start(&[s(&env.hardrun), "--root", s(&root), "pull", &image], 24, 100)?;
    terminal.expect("Pulling from large", 20)?;
    terminal.expect("Downloading", 20)?;
    terminal.expect("MiB", 20)?;
    terminal.send(b"\x03")?;
    let (code, _) = terminal.finish(20)?;
    check_eq!(code, 130);
    relay.slow(0);
    pull(env, &root, &["-q", &image]).go()?.ok()?;
    Ok(())
}

fn run_pulls_what_is_missing(env: &Env) -> Outcome {
    let server = Server::plain(env)?;
    let image = server.push(env, "app:1")?;
    let root = env.dir("root")?;
    let run = |policy: &str| {
        env.at(&root, &["run", "--rm", "--network", "none", policy, &image, "echo", "hi"])
            .env("DOCKER_CONFIG", "/nonexistent")
            .go()
    };
    run("--pull=never")?.exits(125)?.complains(&[&format!("No such image: {image}")])?;
    let first = run("--pull=missing")?.ok()?.says("hi")?;
    let first = first.complains(&[
        &format!("Unable to find image '{image}' locally\n"),
        "1: Pulling from app\n",
        "Status: Downloaded newer image for",
    ])?;
    check!(!first.err().contains(&format!("\n{image}\n")), "docker's run does not print the name\n{}", first.told());
    let second = run("--pull=missing")?.ok()?.says("hi")?;
    check!(!second.err().contains("Pulling"), "{}", second.told());
    run("--pull=never")?.ok()?.says("hi")?;
    run("--pull=always")?.ok()?.says("hi")?.complains(&["Status: Image is up to date for"])?;
    run("--pull=sometimes")?.exits(125)?;
    Ok(())
}

fn all_tags_and_unknown_names(env: &Env) -> Outcome {
    let server = Server::plain(env)?;
    let one = server.push(env, "app:1")?;
    let two = server.push(env, "app:two")?;
    let (root, name) = (env.dir("root")?, format!("{}/app", server.host));
    check_eq!(last_line(&pull(env, &root, &["-a", &name]).go()?.ok()?), name);
    let mut have = names(&root)?;
    have.sort();
    check_eq!(have, vec![one, two]);
    pull(env, &root, &["-a", &format!("{name}:1")])
        .go()?
        .exits(1)?
        .complains(&["tag can't be used with --all-tags/-a"])?;
    let unknown = pull(env, &root, &[&name]).go()?.exits(1)?;
    check!(unknown.out().starts_with("Using default tag: latest\n"), "{}", unknown.told());
    unknown.complains(&[&format!("manifest for {name}:latest not found: manifest unknown: manifest unknown")])?;
    let upper = pull(env, &root, &["App"]).go()?.exits(1)?;
    upper.complains(&["invalid reference format: repository name (library/App) must be lowercase"])?;
    Ok(())
}

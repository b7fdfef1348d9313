//! Pushing to Debian's docker-registry on loopback, logging in and out, history, pruning.

use crate::harness::env::s;
use crate::harness::registry::{Authority, Server, skopeo, token_service};
use crate::harness::{Env, Outcome, Run};
use crate::{cases, check, check_eq};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

cases!("push":
    what_is_pushed_is_pulled_and_read_by_others, layers_are_mounted_from_another_repository, with_a_password,
    with_tokens, a_login_is_kept_and_forgotten, a_helper_keeps_the_login, history_in_dockers_words, images_are_pruned,
);

fn at(env: &Env, root: &Path, args: &[&str]) -> Run {
    env.at(root, args).unset("REGISTRY_AUTH_FILE").env("DOCKER_CONFIG", "/nonexistent").limit(120)
}

fn tagged(env: &Env, name: &str) -> Outcome<std::path::PathBuf> {
    let root = env.own_root()?;
    at(env, &root, &["tag", "busybox", name]).go()?.ok()?;
    Ok(root)
}

fn what_is_pushed_is_pulled_and_read_by_others(env: &Env) -> Outcome {
    let server = Server::plain(env)?;
    let name = format!("{}/team/app:1.2", server.host);
    let root = tagged(env, &name)?;
    let first = at(env, &root, &["push", &name]).go()?.ok()?;
    let lines: Vec<String> = first.out().lines().map(str::to_owned).collect();
    check_eq!(lines[0], format!("The push refers to repository [{}/team/app]", server.host));
    check!(lines.iter().any(|l| l.ends_with(": Preparing")), "{}", first.told());
    check!(lines.iter().any(|l| l.ends_with(": Pushed")), "{}", first.told());
    let last = lines.last().cloned().unwrap_or_default();
    check!(last.starts_with("1.2: digest: sha256:") && last.contains(" size: "), "{}", first.told());
    check_eq!(first.err(), "");

    let again = at(env, &root, &["push", &name]).go()?.ok()?;
    check!(again.out().contains(": Layer already exists"), "{}", again.told());
    at(env, &root, &["push", "-q", &name]).go()?.ok()?.says(&name)?;

    let other = env.dir("root")?;
    at(env, &other, &["pull", "-q", &name]).go()?.ok()?;
    at(env, &other, &["run", "--rm", "--network", "none", &name, "echo", "there"]).go()?.ok()?.says("there")?;
    let read = skopeo(&["inspect", "--tls-verify=false", &format!("docker://{name}")])?;
    let digest = last.split(' ').nth(2).unwrap_or_default().to_owned();
    check!(read.out().contains(&digest), "{}", read.told());
    // Known by its digest here, as after a pull.
    let listed = at(env, &root, &["images", "--digests", "--format", "{{.Digest}}", &name]).go()?.ok()?;
    check_eq!(listed.out().trim(), digest);
    if let Ok(docker) = env.peers.docker(env) {
        docker.run(&["pull", "-q", &name]).limit(120).go()?.ok()?;
    }

    at(env, &root, &["tag", "busybox", &format!("{}/team/app", server.host)]).go()?.ok()?;
    let all = at(env, &root, &["push", "-a", &format!("{}/team/app", server.host)]).go()?.ok()?;
    check!(all.out().contains("\n1.2: digest: ") && all.out().contains("\nlatest: digest: "), "{}", all.told());
    let missing = at(env, &root, &["push", &format!("{}/nope", server.host)]).go()?.exits(1)?;
    check!(missing.out().starts_with("Using default tag: latest\nThe push refers to"), "{}", missing.told());
    missing.complains(&["An image does not exist locally with the tag:"])?;
    at(env, &root, &["push", "-a", &name]).go()?.exits(1)?.complains(&["tag can't be used with --all-tags/-a"])?;
    at(env, &root, &["push", &format!("{name}@{digest}")]).go()?.exits(1)?.complains(&["cannot push a digest"])?;
    Ok(())
}

fn layers_are_mounted_from_another_repository(env: &Env) -> Outcome {
    let server = Server::plain(env)?;
    let (one, two) = (format!("{}/one:1", server.host), format!("{}/two:1", server.host));
    let root = tagged(env, &one)?;
    at(env, &root, &["push", "-q", &one]).go()?.ok()?;
    at(env, &root, &["tag", "busybox", &two]).go()?.ok()?;
    let pushed = at(env, &root, &["push", &two]).go()?.ok()?;
    check!(pushed.out().contains(": Mounted from one"), "{}", pushed.told());
    Ok(())
}

fn with_a_password(env: &Env) -> Outcome {
    let server = Server::with_password(env, "me", "hunter2")?;
    let name = format!("{}/app:1", server.host);
    let root = tagged(env, &name)?;
    at(env, &root, &["push", &name]).go()?.exits(1)?.complains(&["no basic auth credentials", "hardrun login"])?;
    let wrong = at(env, &root, &["push", "--creds", "me:wr0ng", &name]).go()?.exits(1)?;
    check!(!wrong.err().contains("wr0ng"), "the password is shown\n{}", wrong.told());
    at(env, &root, &["push", "-q", "--creds", "me:hunter2", &name]).go()?.ok()?.says(&name)?;
    Ok(())
}

fn with_tokens(env: &Env) -> Outcome {
    let authority = Authority::new(env)?;
    let service = token_service(env, &authority, "me", "hunter2")?;
    let server = Server::with_tokens(env, &authority, &service)?;
    let name = format!("{}/team/app:1", server.host);
    let root = tagged(env, &name)?;
    at(env, &root, &["push", &name]).go()?.exits(1)?;
    at(env, &root, &["push", "-q", "--creds", "me:hunter2", &name]).go()?.ok()?;
    check!(
        service.asked().iter().any(|t| t.contains("scope=repository%3Ateam%2Fapp%3Apull%2Cpush")),
        "{:?}",
        service.asked()
    );
    at(env, &env.dir("root")?, &["pull", "-q", "--creds", "me:hunter2", &name]).go()?.ok()?;
    Ok(())
}

fn a_login_is_kept_and_forgotten(env: &Env) -> Outcome {
    let server = Server::with_password(env, "me", "hunter2")?;
    let name = format!("{}/app:1", server.host);
    let (root, config) = (tagged(env, &name)?, env.dir("config")?);
    let file = config.join("config.json");
    let run = |args: &[&str]| at(env, &root, args).env("DOCKER_CONFIG", &config);
    run(&["login", &server.host]).go()?.exits(1)?.complains(&["non TTY device"])?;
    let wrong = run(&["login", "-u", "me", "--password-stdin", &server.host]).stdin("wr0ng").go()?.exits(1)?;
    wrong.complains(&["login attempt to http://", "failed with status: 401 Unauthorized"])?;
    check!(!file.exists(), "what the registry refused was kept");
    let good = run(&["login", "-u", "me", "--password-stdin", &server.host]).stdin("hunter2\n").go()?.ok()?;
    let good = good.says("Login Succeeded")?;
    good.complains(&["credentials are stored unencrypted in"])?;
    check_eq!(file.metadata()?.permissions().mode() & 0o777, 0o600);
    run(&["push", "-q", &name]).go()?.ok()?;
    // Docker's client reads the same file.
    if let Ok(docker) = env.peers.docker(env) {
        docker.run(&["pull", "-q", &name]).env("DOCKER_CONFIG", &config).limit(120).go()?.ok()?;
    }
    run(&["login", &server.host]).go()?.ok()?.complains(&["existing credentials... [Username: me]"])?;
    run(&["logout", &server.host]).go()?.ok()?.says(&format!("Removing login credentials for {}", server.host))?;
    check!(!std::fs::read_to_string(&file)?.contains(&server.host), "it was not forgotten");
    let loud = run(&["login", "-u", "me", "-p", "hunter2", &format!("http://{}/v1", server.host)]).go()?.ok()?;
    loud.complains(&["WARNING! Using --password via the CLI is insecure. Use --password-stdin."])?;
    check!(std::fs::read_to_string(&file)?.contains(&format!("\"{}\"", server.host)), "under another name");
    run(&["login", "-u", "me", "-p", "x", "--password-stdin"]).go()?.exits(1)?.complains(&["conflicting options"])?;
    Ok(())
}

fn a_helper_keeps_the_login(env: &Env) -> Outcome {
    let server = Server::with_password(env, "me", "hunter2")?;
    let (root, config, folder) = (env.own_root()?, env.dir("config")?, env.dir("helper")?);
    let helper = folder.join("docker-credential-test");
    let store = s(&folder).to_owned() + "/kept";
    std::fs::write(
        &helper,
        format!("#!/bin/sh\ncase $1 in store) cat >{store} ;; erase) rm {store} ;; get) cat {store} ;; esac\n"),
    )?;
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(config.join("config.json"), r#"{"credsStore": "test"}"#)?;
    let path = format!("{}:{}", s(&folder), std::env::var("PATH").unwrap_or_default());
    let run = |args: &[&str]| at(env, &root, args).env("DOCKER_CONFIG", &config).env("PATH", &path);
    let quiet = run(&["login", "-u", "me", "--password-stdin", &server.host]).stdin("hunter2").go()?.ok()?;
    check_eq!(quiet.err(), "", "nothing is stored in plain text");
    check!(std::fs::read_to_string(&store)?.contains("hunter2"), "the helper has it");
    check!(!std::fs::read_to_string(config.join("config.json"))?.contains("aHVudGVyMg"), "so has the file");
    run(&["login", &server.host]).go()?.ok()?;
    run(&["logout", &server.host]).go()?.ok()?;
    check!(!Path::new(&store).exists(), "it was not forgotten");
    Ok(())
}

fn history_in_dockers_words(env: &Env) -> Outcome {
    let root = env.dir("root")?;
    at(env, &root, &["load", "-i", s(&env.fixtures.busybox_docker()?)]).go()?.ok()?;
    let words =
        ["history", "--no-trunc", "--format", "{{.ID}}|{{.CreatedBy}}|{{.Size}}|{{.CreatedAt}}", "busybox-docker:v1"];
    let ours = at(env, &root, &words).go()?.ok()?;
    let table = at(env, &root, &["history", "busybox-docker:v1"]).go()?.ok()?;
    check!(table.out().starts_with("IMAGE          CREATED"), "{}", table.told());
    if let Ok(docker) = env.peers.docker(env) {
        docker.run(&["load", "-i", s(&env.fixtures.busybox_docker()?)]).go()?.ok()?;
        check_eq!(ours.out(), docker.run(&words).env("TZ", "").go()?.ok()?.out());
    }
    at(env, &root, &["history", "nope"]).go()?.exits(1)?.complains(&["No such image: nope:latest"])?;
    Ok(())
}

fn images_are_pruned(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let count = || -> Outcome<usize> { Ok(at(env, &root, &["images", "-q"]).go()?.ok()?.out().lines().count()) };
    at(env, &root, &["import", "-c", "LABEL a=b", s(&env.fixtures.busybox()?), "busybox"]).go()?.ok()?;
    check_eq!(count()?, 2);
    let asked = at(env, &root, &["image", "prune"]).go()?.ok()?;
    check!(asked.out().ends_with("dangling images.\nAre you sure you want to continue? [y/N] "), "{}", asked.told());
    check_eq!(count()?, 2);
    let kept = at(env, &root, &["image", "prune", "-f", "--filter", "until=24h"]).go()?.ok()?;
    check_eq!(kept.out(), "Total reclaimed space: 0B\n");
    let gone = at(env, &root, &["image", "prune", "-f"]).go()?.ok()?;
    check!(gone.out().starts_with("Deleted Images:\ndeleted: sha256:"), "{}", gone.told());
    check!(gone.out().contains("\n\nTotal reclaimed space: "), "{}", gone.told());
    check_eq!(count()?, 1);
    let held = env.hold_at(&root, &[], &["busybox", "sh", "-c", "echo up; exec cat"])?;
    at(env, &root, &["image", "prune", "-a", "-f"]).go()?.ok()?.says("Total reclaimed space: 0B")?;
    check_eq!(count()?, 1);
    held.end()?.ok()?;
    at(env, &root, &["image", "prune", "-a", "-f", "--filter", "label!=a"]).go()?.ok()?;
    check_eq!(count()?, 1);
    at(env, &root, &["image", "prune", "-a", "-f", "--filter", "label=a=b"]).go()?.ok()?;
    check_eq!(count()?, 0);
    at(env, &root, &["image", "prune", "-f", "--filter", "nope=x"])
        .go()?
        .exits(1)?
        .complains(&["Invalid filter 'nope'"])?;
    Ok(())
}

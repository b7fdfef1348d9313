//! Images: archives and tars in, an OCI layout on disk that other tools read, and hostile layers kept inside.

use crate::harness::env::s;
use crate::harness::{Env, Outcome, Run};
use crate::{cases, check, check_eq};
use std::path::{Path, PathBuf};

cases!("store":
    load_a_docker_archive, load_an_oci_archive, load_a_layout_folder, load_from_stdin, import_with_changes,
    skopeo_reads_the_store, what_skopeo_writes_runs, save_and_load_again, tag_and_rmi, hostile_layers,
    layers_are_shared_and_not_copied, images_lists,
);

fn loaded(env: &Env, archive: &Path) -> Outcome<PathBuf> {
    let root = env.dir("root")?;
    env.at(&root, &["load", "-i", s(archive)]).go()?.ok()?;
    Ok(root)
}

fn load_a_docker_archive(env: &Env) -> Outcome {
    let root = loaded(env, &env.fixtures.busybox_docker()?)?;
    let run = env.at(&root, &["run", "--rm", "busybox-docker:v1", "sh", "-c", "echo $FROM_IMAGE"]);
    run.go()?.ok()?.says("yes")?;
    // The image's own command.
    env.at(&root, &["run", "--rm", "-i", "busybox-docker:v1"]).stdin("echo from cmd").go()?.ok()?.says("from cmd")?;
    Ok(())
}

fn load_an_oci_archive(env: &Env) -> Outcome {
    let archive = env.fixtures.busybox_oci()?;
    let root = env.dir("root")?;
    let out = env.at(&root, &["load", "-i", s(&archive)]).go()?.ok()?;
    check!(out.out().contains("Loaded image"), "{}", out.told());
    let name = out.out().trim().rsplit(' ').next().unwrap_or_default().to_owned();
    env.at(&root, &["run", "--rm", &name, "sh", "-c", "echo $FROM_IMAGE"]).go()?.ok()?.says("yes")?;
    Ok(())
}

fn load_a_layout_folder(env: &Env) -> Outcome {
    env.needs("skopeo")?;
    let layout = env.dir("layout")?.join("oci");
    let from = format!("oci-archive:{}", env.fixtures.busybox_oci()?.display());
    Run::new("skopeo").args(["copy", "-q", &from, &format!("oci:{}:here:v2", layout.display())]).go()?.ok()?;
    let root = loaded(env, &layout)?;
    env.at(&root, &["run", "--rm", "here:v2", "true"]).go()?.ok()?;
    Ok(())
}

fn load_from_stdin(env: &Env) -> Outcome {
    let root = env.dir("root")?;
    let archive = std::fs::read(env.fixtures.busybox_docker()?)?;
    env.at(&root, &["load"]).stdin(archive).go()?.ok()?;
    env.at(&root, &["run", "--rm", "busybox-docker:v1", "true"]).go()?.ok()?;
    Ok(())
}

fn import_with_changes(env: &Env) -> Outcome {
    let root = env.dir("root")?;
    let tar = env.fixtures.busybox()?;
    let changes = ["-c", "ENV A=1", "-c", "WORKDIR /tmp", "-c", "USER app", "-c", r#"ENTRYPOINT ["sh","-c"]"#];
    env.at(&root, &["import"]).args(changes).args([s(&tar), "changed:1"]).go()?.ok()?;
    env.at(&root, &["run", "--rm", "changed:1", "echo $A $PWD $(id -un)"]).go()?.ok()?.says("1 /tmp app")?;
    // From stdin, as docker takes it.
    env.at(&root, &["import", "-", "piped"]).stdin(std::fs::read(&tar)?).go()?.ok()?;
    env.at(&root, &["run", "--rm", "piped", "true"]).go()?.ok()?;
    Ok(())
}

fn skopeo_reads_the_store(env: &Env) -> Outcome {
    env.needs("skopeo")?;
    let root = env.own_root()?;
    let images = root.join("images");
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(images.join("index.json"))?)?;
    let name = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or_default();
    check!(!name.is_empty(), "{index}");
    let out = env.dir("copied")?.join("out.tar");
    let from = format!("oci:{}:{name}", images.display());
    Run::new("skopeo").args(["copy", "-q", &from, &format!("docker-archive:{}:read:1", out.display())]).go()?.ok()?;
    let again = loaded(env, &out)?;
    env.at(&again, &["run", "--rm", "read:1", "echo", "same"]).go()?.ok()?.says("same")?;
    Ok(())
}

fn what_skopeo_writes_runs(env: &Env) -> Outcome {
    env.needs("skopeo")?;
    let root = env.own_root()?;
    let from = format!("docker-archive:{}", env.fixtures.busybox_docker()?.display());
    let to = format!("oci:{}:written:1", root.join("images").display());
    Run::new("skopeo").args(["copy", "-q", &from, &to]).go()?.ok()?;
    let run = env.at(&root, &["run", "--rm", "written:1", "sh", "-c", "echo $FROM_IMAGE"]);
    run.go()?.ok()?.says("yes")?;
    Ok(())
}

fn save_and_load_again(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let out = env.dir("saved")?.join("saved.tar");
    env.at(&root, &["save", "-o", s(&out), "busybox:latest"]).go()?.ok()?;
    let again = loaded(env, &out)?;
    env.at(&again, &["run", "--rm", "busybox", "echo", "again"]).go()?.ok()?.says("again")?;
    if let Ok(docker) = env.peers.docker(env) {
        let loaded = docker.run(&["load", "-i", s(&out)]).go()?.ok()?;
        check!(loaded.out().contains("busybox:latest"), "{}", loaded.told());
    }
    Ok(())
}

fn tag_and_rmi(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let at = |words: &[&str]| env.at(&root, words).go();
    at(&["tag", "busybox", "other:2"])?.ok()?;
    at(&["rmi", "busybox:latest"])?.ok()?;
    at(&["run", "--rm", "--pull", "never", "busybox", "true"])?.exits(125)?;
    at(&["run", "--rm", "other:2", "true"])?.ok()?;
    let held = env.hold_at(&root, &[], &["other:2", "sh", "-c", "echo up; exec cat; ls /bin"])?;
    let removed = at(&["rmi", "other:2"])?;
    check!(removed.code == 1 || std::path::Path::new(&format!("/proc/{}", held.init)).exists(), "{}", removed.told());
    held.end()?.ok()?;
    at(&["rmi", "-f", "other:2"])?;
    at(&["rmi", "never-was"])?.exits(1)?.complains(&["never-was"])?;
    let layers = std::fs::read_dir(root.join("layers")).map(|d| d.count()).unwrap_or(0);
    check_eq!(layers, 0, "layers of removed images");
    Ok(())
}

fn images_lists(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let out = env.at(&root, &["images"]).go()?.ok()?;
    let text = out.out();
    let heads: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().collect();
    check_eq!(heads[..3].to_vec(), vec!["REPOSITORY", "TAG", "IMAGE"]);
    check!(text.lines().nth(1).is_some_and(|l| l.starts_with("busybox") && l.contains("latest")), "{text}");
    let id = env.at(&root, &["images", "-q"]).go()?.ok()?.out();
    env.at(&root, &["run", "--rm", id.trim(), "true"]).go()?.ok()?;
    Ok(())
}

fn layers_are_shared_and_not_copied(env: &Env) -> Outcome {
    let root = env.own_root()?;
    env.at(&root, &["tag", "busybox", "twin"]).go()?.ok()?;
    let count = std::fs::read_dir(root.join("layers"))?.count();
    let held = env.hold_at(&root, &[], &["twin", "sh", "-c", "echo x > /etc/new; echo up; exec cat"])?;
    let during = std::fs::read_dir(root.join("layers"))?.count();
    let size = Run::new("du").args(["-sk", s(&root.join("containers"))]).go()?.out();
    held.end()?.ok()?;
    check_eq!(during, count, "a run made a layer");
    let kib: u64 = size.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    check!(kib < 200, "a run copied {kib} KiB");
    check!(env.at(&root, &["run", "--rm", "twin", "cat", "/etc/new"]).go()?.code == 1, "a layer was written to");
    Ok(())
}

/// A tar with one entry that is out to do harm, beside a good one.
fn evil(
    env: &Env,
    name: &str,
    edit: impl FnOnce(&mut tar::Builder<std::fs::File>) -> std::io::Result<()>,
) -> Outcome<PathBuf> {
    let path = env.dir("evil")?.join(name);
    let mut tar = tar::Builder::new(std::fs::File::create(&path)?);
    let mut good = tar::Header::new_gnu();
    good.set_size(2);
    good.set_mode(0o644);
    tar.append_data(&mut good, "good", &b"ok"[..])?;
    edit(&mut tar)?;
    tar.into_inner()?;
    Ok(path)
}

/// An entry with a name that the library would not write.
fn raw(kind: tar::EntryType, name: &str, link: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_cksum();
    header
}

fn hostile_layers(env: &Env) -> Outcome {
    use tar::EntryType::*;
    let outside = env.dir("outside")?;
    let victim = outside.join("victim");
    std::fs::write(&victim, "whole")?;
    let far = format!("../../../../../../../..{}", victim.display());
    let dir = format!("../../../../../../../..{}", outside.display());
    let through = "up/made";
    let entries: Vec<(&str, Vec<tar::Header>)> = vec![
        ("dots", vec![raw(Regular, &far, "", 0)]),
        ("absolute", vec![raw(Regular, s(&victim), "", 0)]),
        ("through-link", vec![raw(Symlink, "up", &dir, 0), raw(Regular, through, "", 0)]),
        ("through-absolute-link", vec![raw(Symlink, "up", s(&outside), 0), raw(Regular, through, "", 0)]),
        ("hard-link", vec![raw(Link, "hard", &far, 0), raw(Regular, "hard", "", 0)]),
        ("hard-link-absolute", vec![raw(Link, "hard", s(&victim), 0)]),
        ("whiteout-outside", vec![raw(Symlink, "up", s(&outside), 0), raw(Regular, "up/.wh.victim", "", 0)]),
        ("whiteout-of-dots", vec![raw(Regular, ".wh...", "", 0)]),
        ("opaque-outside", vec![raw(Symlink, "up", s(&outside), 0), raw(Regular, "up/.wh..wh..opq", "", 0)]),
        ("cut-short", vec![raw(Regular, "long", "", 1 << 40)]),
    ];
    for (name, headers) in entries {
        let tar = evil(env, name, |tar| headers.iter().try_for_each(|h| tar.append(h, std::io::empty())))?;
        let root = env.dir("root")?;
        let out = env.at(&root, &["import", s(&tar), "evil"]).limit(30).go()?;
        let seen: Vec<String> = crate::harness::leaks::files(&outside).into_iter().collect();
        check_eq!(seen, vec!["victim".to_owned()], "{name}: something landed outside\n{}", out.told());
        check_eq!(std::fs::read_to_string(&victim)?, "whole", "{name}");
        use std::os::unix::fs::MetadataExt;
        check_eq!(std::fs::metadata(&victim)?.nlink(), 1, "{name}: a hard link out of the tree");
        if out.code != 0 {
            let left = std::fs::read_dir(root.join("layers")).map(|d| d.count()).unwrap_or(0);
            check_eq!(left, 0, "{name}: a trace is left");
            check!(env.at(&root, &["images", "-q"]).go()?.ok()?.out().is_empty(), "{name}: an image is left");
        }
    }
    Ok(())
}

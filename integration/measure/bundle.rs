//! A bundle for the OCI runtimes that is what docker itself hands to its runtime: the same mounts, capabilities, masks
//! and seccomp profile, with the daemon's own files and hooks taken out.

use crate::harness::env::s;
use crate::harness::{Env, Outcome, Stop, fail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Make the bundle; its folder.
pub fn from_docker(env: &Env) -> Outcome<PathBuf> {
    let docker = env.peers.docker(env)?;
    let started = docker.run(&["run", "-d", "--network", "none", "busybox", "sleep", "60"]).go()?.ok()?;
    let id = started.out().trim().to_owned();
    let found = find(&docker.exec_root, &id);
    docker.run(&["rm", "-f", &id]).go()?.ok()?;
    let Some(mut config) = found else { return fail(format!("no config.json of docker's for container {id}")) };
    strip(&mut config)?;
    let bundle = env.dir("bundle")?;
    let root = bundle.join("rootfs");
    std::fs::create_dir(&root)?;
    let untar = crate::harness::Run::new("tar").args(["-C", s(&root), "-xpf", s(&env.fixtures.busybox()?)]);
    untar.go()?.ok()?;
    std::fs::write(bundle.join("config.json"), serde_json::to_vec_pretty(&config)?)?;
    Ok(bundle)
}

fn find(below: &Path, id: &str) -> Option<Value> {
    let mut open = vec![below.to_owned()];
    while let Some(dir) = open.pop() {
        for e in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = e.path();
            if path.file_name().is_some_and(|n| n == "config.json") && path.to_string_lossy().contains(id) {
                return serde_json::from_slice(&std::fs::read(&path).ok()?).ok();
            }
            // The containers' mounted roots lie below too: big, and not looked for.
            if e.file_type().is_ok_and(|t| t.is_dir()) && path.file_name().is_none_or(|n| n != "rootfs") {
                open.push(path);
            }
        }
    }
    None
}

fn strip(config: &mut Value) -> Outcome {
    let object = config.as_object_mut().ok_or_else(|| Stop::Fail("docker's config.json is no object".into()))?;
    object.remove("hooks");
    object.insert("root".into(), json!({ "path": "rootfs" }));
    config["process"]["args"] = json!(["true"]);
    config["process"]["terminal"] = json!(false);
    config["linux"]["cgroupsPath"] = json!("/hardrun-bench");
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|m| m["type"] != "bind");
    }
    Ok(())
}

//! Which layers root and an ordinary user have on this host, as `doctor` says: what `integration/vm --table` makes a page of.

use super::rootless::user::User;
use crate::harness::command::Run;
use crate::harness::{Env, Outcome, Stop};
use serde_json::Value;

/// Lines with tabs: the layer, whose, and what is there of it.
pub fn table(env: &Env) -> Outcome {
    show("root", env.verb(&["doctor", "--format", "json"]))?;
    let mut user = User::bare(env)?;
    // With a session, where the host has such.
    match user.linger(env) {
        Ok(()) | Err(Stop::Skip(_)) => {}
        Err(failed) => return Err(failed),
    }
    show("user", user.hardrun(&["doctor", "--format", "json"]))
}

/// What `doctor` says besides layers.
const OTHER: [&str; 4] = ["caller", "open files", "unprivileged user namespaces", "control sockets"];

fn show(whose: &str, doctor: Run) -> Outcome {
    // It is not 0 where something is missing, and that is a row.
    let said: Value = serde_json::from_slice(&doctor.go()?.stdout)?;
    for check in said["checks"].as_array().into_iter().flatten() {
        let [layer, state] = ["layer", "state"].map(|key| check[key].as_str().unwrap_or_default());
        if OTHER.contains(&layer) {
            continue;
        }
        println!("layer\t{layer}\t{whose}\t{state}");
    }
    Ok(())
}

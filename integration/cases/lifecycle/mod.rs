//! Containers that live on: what a script sees of them from their start to their end.

pub mod addresses;
pub mod ends;
pub mod exec;
pub mod health;
pub mod idle;
pub mod joins;
pub mod kills;
pub mod verbs;

use crate::check;
use crate::harness::command::{Output, Run};
use crate::harness::env::wait_for;
use crate::harness::{Env, Outcome, fail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A container in the background, removed when the case is over, whatever became of it.
pub struct Kept<'e> {
    pub env: &'e Env,
    pub root: PathBuf,
    pub id: String,
}

impl<'e> Kept<'e> {
    /// `run -d FLAGS busybox WORDS`, without a network of its own.
    pub fn run(env: &'e Env, flags: &[&str], words: &[&str]) -> Outcome<Kept<'e>> {
        Self::run_at(env, &env.root, flags, words)
    }

    pub fn run_at(env: &'e Env, root: &Path, flags: &[&str], words: &[&str]) -> Outcome<Kept<'e>> {
        let run = env.at(root, &["run", "-d", "--network", "none"]).args(flags).arg("busybox").args(words);
        Self::take(env, root, run.go()?.ok()?)
    }

    /// `run -d --network NETWORK busybox WORDS`
    pub fn run_on(env: &'e Env, network: &str, words: &[&str]) -> Outcome<Kept<'e>> {
        let run = env.verb(&["run", "-d", "--network", network, "busybox"]).args(words);
        Self::take(env, &env.root, run.go()?.ok()?)
    }

    /// `create`
    pub fn create(env: &'e Env, flags: &[&str], words: &[&str]) -> Outcome<Kept<'e>> {
        let run = env.verb(&["create", "--network", "none"]).args(flags).arg("busybox").args(words);
        Self::take(env, &env.root, run.go()?.ok()?)
    }

    /// One that `run` has just started: its id is what was printed.
    pub fn take(env: &'e Env, root: &Path, output: Output) -> Outcome<Kept<'e>> {
        let id = output.out().trim_end().to_owned();
        check!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "no id on stdout: {}", output.told());
        Ok(Kept { env, root: root.to_owned(), id })
    }

    /// As if it had been created before the host had a security module (`apparmor`, `selinux`).
    pub fn made_before(&self, module: &str) -> Outcome {
        let file = self.folder().join("record.json");
        let mut record: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        record["plan"]["draft"][module] = serde_json::json!({ "value": "unavailable", "source": "host" });
        Ok(std::fs::write(&file, record.to_string())?)
    }

    pub fn folder(&self) -> PathBuf {
        self.root.join("containers").join(&self.id)
    }

    /// `hardrun VERB… ID`
    pub fn verb(&self, words: &[&str]) -> Run {
        self.env.at(&self.root, words).arg(&self.id)
    }

    /// `hardrun exec FLAGS… ID WORDS…`
    pub fn exec(&self, flags: &[&str], words: &[&str]) -> Run {
        self.env.at(&self.root, &["exec"]).args(flags).arg(&self.id).args(words)
    }

    /// `status.json`
    pub fn status(&self) -> Outcome<Value> {
        Ok(serde_json::from_slice(&std::fs::read(self.folder().join("status.json"))?)?)
    }

    pub fn number(&self, key: &str) -> Outcome<i64> {
        match self.status()?[key].as_i64() {
            Some(number) => Ok(number),
            None => fail(format!("status.json has no {key}")),
        }
    }

    pub fn state(&self) -> String {
        self.status().ok().and_then(|s| s["state"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Wait until the status is as asked for.
    pub fn until(&self, seconds: u64, so: impl Fn(&Value) -> bool) -> Outcome<Value> {
        let found = wait_for(Duration::from_secs(seconds), || self.status().ok().filter(|s| so(s)));
        match found {
            Some(status) => Ok(status),
            None => fail(format!("the status is still {}", self.status()?)),
        }
    }

    pub fn until_state(&self, state: &str, seconds: u64) -> Outcome<Value> {
        self.until(seconds, |s| s["state"] == state)
    }

    /// `logs`, both streams.
    pub fn logs(&self, flags: &[&str]) -> Outcome<Output> {
        self.verb(&[&["logs"], flags].concat()).go()?.ok()
    }

    /// What `events` knows of it, by a template.
    pub fn events(&self, filter: &str, format: &str) -> Outcome<Vec<String>> {
        let own = format!("container={}", self.id);
        let args = ["events", "--since", "1", "--until", "0s", "-f", &own, "-f", filter, "--format", format];
        Ok(self.env.at(&self.root, &args).go()?.ok()?.out().lines().map(str::to_owned).collect())
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let _ = self.verb(&["rm", "-f", "-v"]).go();
    }
}

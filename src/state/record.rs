//! What was decided about a container when it was created. Written once, and again when it is renamed, updated or
//! connected to another network.

use super::Stamp;
use crate::image::store::Healthcheck;
use crate::plan::Plan;
use crate::policy::Allow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `record.json`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format, [`Record::VERSION`].
    pub version: u32,
    /// 64 lower-case hexadecimal digits.
    pub id: String,
    pub name: String,
    pub created: Stamp,
    pub plan: Plan,
    /// `sha256:…` of the plan, as in the audit log.
    pub digest: String,
    pub words: Words,
    /// Overrides that the caller gave: a start judges the plan again.
    pub allow: Vec<Allow>,
}

impl Record {
    pub const VERSION: u32 = 1;
}

/// What was typed, for docker-shaped answers. Nothing that decides anything is read from here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Words {
    /// Docker's `Config.Cmd`: the caller's words after the image, else the image's.
    pub cmd: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    /// `--user`, else the image's.
    pub user: String,
    /// `--workdir`, else the image's.
    pub workdir: String,
    /// `80/tcp`: the image's and `--expose`, sorted.
    pub exposed: Vec<String>,
    /// Destinations of anonymous volumes, the image's and `-v /data`.
    pub volumes: Vec<String>,
    /// `-v SOURCE:TARGET[:MODE]` with a source, as docker keeps them.
    pub binds: Vec<String>,
    /// `--mount` as typed.
    pub mounts: Vec<String>,
    /// `--tmpfs`: path and options.
    pub tmpfs: BTreeMap<String, String>,
    pub volumes_from: Vec<String>,
    pub volume_driver: String,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    pub group_add: Vec<String>,
    /// `NAME:ADDRESS`
    pub extra_hosts: Vec<String>,
    pub links: Vec<String>,
    /// `default`, `bridge`, `none`, `host`, `container:ID` or a network's name.
    pub network_mode: String,
    pub ipc_mode: String,
    pub pid_mode: String,
    pub uts_mode: String,
    pub userns_mode: String,
    pub cgroupns_mode: String,
    /// The caller chose the name.
    pub named: bool,
    pub hostname_typed: bool,
    pub mac_address: String,
    pub publish_all: bool,
    pub cidfile: String,
    pub stop_signal: Option<String>,
    pub stop_timeout: Option<i64>,
    pub init: Option<bool>,
    pub on_build: Vec<String>,
    /// The check was switched off, by the caller or the image: docker shows it with the image's figures.
    pub health_off: Option<Healthcheck>,
    pub detached: bool,
}

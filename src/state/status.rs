//! What a container is doing. Written by its supervisor alone while one lives, and by whoever holds the container's lock
//! otherwise.

use super::Stamp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `status.json`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of this format, [`Status::VERSION`].
    pub version: u32,
    pub state: State,
    /// The container's first process, as the host numbers it; 0 where it does not run.
    pub pid: i32,
    /// Its start time in clock ticks since boot (field 22 of /proc/PID/stat), against reused numbers.
    pub pid_start: u64,
    /// The supervisor; 0 where there is none.
    pub supervisor: i32,
    /// Of an ordinary user's container: the run folder of the host of theirs that it was last started on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<PathBuf>,
    /// When the container's first process last started.
    pub started: Stamp,
    pub finished: Stamp,
    pub exit_code: i32,
    /// Why it could not be started, or how its supervisor was lost.
    pub error: String,
    pub oom_killed: bool,
    pub restart_count: u32,
    /// Of these, how many in a row without a steady run between them.
    #[serde(default)]
    pub restart_streak: u32,
    /// Stopped or killed by a command: `unless-stopped` leaves it alone then.
    pub stopped_by_hand: bool,
    pub health: Option<Health>,
    /// First host id of the container's user namespace; also the owner of what is in `upper`.
    pub base: Option<u32>,
    pub network: Network,
    /// Ids of commands that `exec` has running.
    pub execs: Vec<String>,
}

impl Status {
    pub const VERSION: u32 = 1;
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    #[default]
    Created,
    Running,
    Paused,
    /// Ended, and about to be started again.
    Restarting,
    Exited,
    /// Its record or files are damaged: it can only be removed.
    Dead,
}

impl State {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Running => "running",
            State::Paused => "paused",
            State::Restarting => "restarting",
            State::Exited => "exited",
            State::Dead => "dead",
        }
    }

    /// Whether there is a process of the container, or one is about to be.
    pub fn is_up(self) -> bool {
        matches!(self, State::Running | State::Paused | State::Restarting)
    }
}

/// Docker's `State.Health`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    pub failing_streak: u32,
    /// The last five, oldest first.
    pub log: Vec<Check>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub start: Stamp,
    pub end: Stamp,
    pub exit_code: i32,
    /// The first 4096 bytes.
    pub output: String,
}

/// What the container got of the networks that it is on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    pub endpoints: Vec<Endpoint>,
    pub ports: Vec<BoundPort>,
    /// Link of the container's network namespace, for whoever joins it: `/proc/PID/ns/net`.
    pub sandbox: String,
}

/// One network. Empty texts and zero lengths: not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    pub network: String,
    pub network_id: String,
    pub endpoint_id: String,
    /// Inside: `eth0`.
    pub interface: String,
    pub ip: String,
    pub prefix: u8,
    pub gateway: String,
    pub mac: String,
    pub ip6: String,
    pub prefix6: u8,
    pub gateway6: String,
    pub aliases: Vec<String>,
    /// What was asked for, docker's IPAMConfig.
    pub asked_ip: String,
    pub asked_ip6: String,
}

/// One published port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    pub host_ip: String,
    pub host_port: u16,
    pub container_port: u16,
    /// tcp, udp or sctp.
    pub protocol: String,
}

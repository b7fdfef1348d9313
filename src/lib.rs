//! hardrun: `docker run`, hardened. The data flow and the modules are described in ARCHITECTURE.md.

pub mod apparmor;
pub mod audit;
pub mod cli;
pub mod control;
pub mod error;
pub mod facts;
pub mod image;
pub mod landlock;
pub mod launch;
pub mod net;
pub mod observe;
pub mod paths;
pub mod plan;
pub mod policy;
pub mod preset;
pub mod request;
pub mod rootless;
pub mod seccomp;
pub mod selinux;
pub mod site;
pub mod spec;
pub mod state;
pub mod storage;
pub mod sys;
pub mod ui;

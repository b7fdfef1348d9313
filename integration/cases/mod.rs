//! Every case, by what it is about.

mod apparmor;
mod audit;
mod binds;
mod compare;
mod cp;
mod debian;
mod doctor;
mod doors;
mod exit_codes;
mod flags;
mod guards;
mod hosts;
mod isolation;
mod layers;
mod lifecycle;
mod limits;
mod net;
pub mod paths;
mod policy;
mod presets;
pub mod probes;
mod push;
pub mod reboot;
mod refusals;
mod registry;
mod robust;
mod rootless;
mod script;
mod selinux;
mod signals;
mod stdio;
mod store;
mod tty;
mod volumes;

use crate::harness::Case;

pub fn all() -> Vec<Case> {
    [
        exit_codes::CASES,
        stdio::CASES,
        tty::CASES,
        signals::CASES,
        flags::CASES,
        limits::CASES,
        hosts::CASES,
        apparmor::CASES,
        selinux::CASES,
        doctor::CASES,
        reboot::CASES,
        isolation::CASES,
        doors::CASES,
        guards::CASES,
        probes::CASES,
        paths::CASES,
        presets::CASES,
        binds::CASES,
        refusals::CASES,
        store::CASES,
        registry::CASES,
        push::CASES,
        policy::CASES,
        policy::images::CASES,
        policy::held::CASES,
        audit::CASES,
        volumes::CASES,
        cp::CASES,
        debian::CASES,
        robust::CASES,
        rootless::CASES,
        rootless::confined::CASES,
        rootless::reach::CASES,
        rootless::around::CASES,
        script::CASES,
        lifecycle::verbs::CASES,
        lifecycle::ends::CASES,
        lifecycle::health::CASES,
        lifecycle::exec::CASES,
        lifecycle::idle::CASES,
        lifecycle::joins::CASES,
        lifecycle::addresses::CASES,
        lifecycle::kills::CASES,
        compare::CASES,
        net::CASES,
        net::reach::CASES,
        net::names::CASES,
        net::ways::CASES,
        crate::measure::CASES,
    ]
    .concat()
}

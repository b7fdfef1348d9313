//! What a script sees with docker and with hardrun, group by group; the lists are in `compare/scripts`.

use crate::cases;
use crate::compare::group;
use crate::harness::{Env, Outcome};

macro_rules! groups {
    ($($f:ident = $name:literal),+ $(,)?) => {
        $(fn $f(env: &Env) -> Outcome {
            group(env, $name)
        })+
        cases!("compare": $($f),+, every_group_is_here);
        const NAMES: &[&str] = &[$($name),+];
    };
}

groups!(
    run = "run",
    flags = "flags",
    exit_codes = "exit-codes",
    lifecycle = "lifecycle",
    ps = "ps",
    logs = "logs",
    exec = "exec",
    inspect = "inspect",
    cp = "cp",
    images = "images",
    volumes = "volumes",
    networks = "networks",
    health = "health",
    signals = "signals",
    errors = "errors",
    system = "system",
    scripts = "scripts",
);

fn every_group_is_here(_: &Env) -> Outcome {
    let lists: Vec<&str> = crate::compare::list::GROUPS.iter().map(|(name, _)| *name).collect();
    crate::check_eq!(NAMES, lists);
    Ok(())
}

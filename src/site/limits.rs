//! Ceilings. What a preset or hardrun's own default gave is lowered, with a line; what a flag asked for is refused, for a
//! script that asks for 8 GiB would fail later, and less clearly, with 2.

use super::law::Ceilings;
use super::rules::LIMIT;
use crate::facts::{Facts, Limit};
use crate::plan::{Draft, MountKind, MountPlan, ResourcesPlan, Rlimit, Source, Sourced, explain};
use crate::policy::Finding;
use crate::preset::{Amount, Preset};

/// Microseconds; what `--cpus` uses.
const CPU_PERIOD: u64 = 100_000;
const SHM: &str = "/dev/shm";

/// Bring down what no flag asked for. Lines for stderr go to the draft's notices.
pub fn lower(draft: &mut Draft, facts: &Facts) {
    let most = &facts.site.law.limits;
    if *most == Ceilings::default() {
        return;
    }
    let has = |limit: Limit| facts.limits.contains(&limit);
    let mut said: Vec<String> = Vec::new();
    let r = &mut draft.resources;
    bring_down(&mut r.memory, most.memory.map(signed), has(Limit::Memory), "memory", size, &mut said);
    bring_down(&mut r.memory_swap, most.memory_swap.map(signed), has(Limit::Swap), "", size, &mut said);
    if let (Some(memory), Some(soft)) = (&r.memory, &mut r.memory_reservation) {
        soft.value = soft.value.min(if memory.value > 0 { memory.value } else { soft.value });
    }
    bring_down(&mut r.pids, most.pids, has(Limit::Pids), "processes", |n| n.to_string(), &mut said);
    if let Some(nano) = most.nano_cpus.filter(|_| has(Limit::CpuQuota)) {
        let asked = [r.cpu_quota.as_ref().map(|q| &q.source), r.cpu_period.as_ref().map(|p| &p.source)];
        if cpus(r).is_none_or(|now| now > nano) && !asked.into_iter().flatten().any(is_flag) {
            r.cpu_quota = Some(Sourced::new(quota(nano), Source::Site));
            r.cpu_period = Some(Sourced::new(CPU_PERIOD, Source::Site));
        }
    }
    // Absent is no limit only for memory: no /dev/shm at all is less than any.
    if let Some(size) = most.shm_size
        && let Some(shm) = &mut r.shm_size
        && shm.value > size
        && !is_flag(&shm.source)
    {
        *shm = Sourced::new(size, Source::Site);
    }
    let shm = draft.resources.shm_size.as_ref().map(|s| s.value);
    for mount in &mut draft.mounts {
        let ceiling = ceiling_of(mount, most);
        let by_flag = asked_by_flag(mount);
        if let MountKind::Tmpfs { size, .. } = &mut mount.kind {
            match (mount.destination.as_str(), shm, ceiling) {
                (SHM, Some(shm), _) if !by_flag => *size = (*size).min(shm),
                (_, _, Some(most)) if !by_flag => *size = (*size).min(most),
                _ => {}
            }
        }
    }
    if let Some(seconds) = most.timeout
        && draft.timeout.as_ref().is_none_or(|t| t.value > seconds && !is_flag(&t.source))
    {
        draft.timeout = Some(Sourced::new(seconds, Source::Site));
        said.push(format!("it is killed after {seconds} s"));
    }
    for (name, hard) in &most.ulimits {
        let now = draft.process.rlimits.get(name);
        if now.is_none_or(|l| l.value.hard > *hard && !is_flag(&l.source)) {
            // More than the caller has itself could not be given.
            let hard = facts.hard_limits.get(name).map_or(*hard, |own| (*hard).min(*own));
            let soft = now.map_or(hard, |l| l.value.soft.min(hard));
            draft.process.rlimits.insert(name.clone(), Sourced::new(Rlimit { soft, hard }, Source::Site));
        }
    }
    if !said.is_empty() {
        draft.notices.push(format!("by the site's policy: {}", said.join(", ")));
    }
}

/// Bring down what a preset gives where a flag asks for a thing without its size.
pub fn lower_preset(preset: &mut Preset, facts: &Facts) {
    if let Some(most) = facts.site.law.limits.tmpfs_size
        && !matches!(preset.tmpfs_size.value, Amount::Bytes(bytes) if bytes <= most)
    {
        preset.tmpfs_size = Sourced::new(Amount::Bytes(most), Source::Site);
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn size(n: i64) -> String {
    explain::bytes(n.max(0) as u64)
}

fn is_flag(source: &Source) -> bool {
    matches!(source, Source::Flag(_))
}

/// A limit of which 0, less and none mean unlimited. `can`: this kernel has it.
fn bring_down(
    slot: &mut Option<Sourced<i64>>,
    most: Option<i64>,
    can: bool,
    what: &str,
    show: impl Fn(i64) -> String,
    said: &mut Vec<String>,
) {
    let Some(most) = most.filter(|_| can) else { return };
    if slot.as_ref().is_some_and(|s| is_flag(&s.source) || (s.value > 0 && s.value <= most)) {
        return;
    }
    // Where a preset had given something else there is something to say; that there is a limit at all is in `explain`.
    if let Some(old) = slot.as_ref().filter(|_| !what.is_empty()) {
        let old = if old.value > 0 { show(old.value) } else { "no limit".into() };
        said.push(format!("{what} {} instead of {old}", show(most)));
    }
    *slot = Some(Sourced::new(most, Source::Site));
}

/// Billionths of a CPU; `None`: no limit.
fn cpus(r: &ResourcesPlan) -> Option<i64> {
    let quota = r.cpu_quota.as_ref().map(|q| q.value).filter(|q| *q > 0)?;
    let period = r.cpu_period.as_ref().map_or(CPU_PERIOD, |p| p.value.max(1));
    Some((i128::from(quota) * 1_000_000_000 / i128::from(period)).min(i128::from(i64::MAX)) as i64)
}

fn quota(nano: i64) -> i64 {
    (i128::from(nano) * i128::from(CPU_PERIOD) / 1_000_000_000) as i64
}

fn ceiling_of(mount: &MountPlan, most: &Ceilings) -> Option<u64> {
    if mount.destination == SHM { most.shm_size } else { most.tmpfs_size }
}

fn asked_by_flag(mount: &MountPlan) -> bool {
    mount.asked.starts_with('-')
}

/// What is above a ceiling: of a new container what a flag asked for; of one that was made under another policy anything.
pub fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    let most = &facts.site.law.limits;
    let mut out = Vec::new();
    if *most == Ceilings::default() {
        return out;
    }
    let has = |limit: Limit| facts.limits.contains(&limit);
    let mut over = |asked: String, ceiling: String, instead: String| {
        out.push(Finding::new(LIMIT.id, asked).detail(format!("the ceiling is {ceiling}")).instead(instead));
    };
    let r = &draft.resources;
    let amount = |now: &Option<Sourced<i64>>, flag: &str, show: &dyn Fn(i64) -> String| match now {
        Some(s) if s.value > 0 => format!("{flag} {}", show(s.value)),
        _ => format!("{flag}: no limit"),
    };
    let above = |now: &Option<Sourced<i64>>, most: i64| now.as_ref().is_none_or(|s| s.value <= 0 || s.value > most);
    let mebibytes = |n: u64| if n.is_multiple_of(1 << 20) { format!("{}m", n >> 20) } else { n.to_string() };
    for (now, ceiling, limit, flag) in [
        (&r.memory, most.memory, Limit::Memory, "--memory"),
        (&r.memory_swap, most.memory_swap, Limit::Swap, "--memory-swap"),
    ] {
        if let Some(ceiling) = ceiling.filter(|c| has(limit) && above(now, signed(*c))) {
            over(amount(now, flag, &size), explain::bytes(ceiling), format!("{flag} {}", mebibytes(ceiling)));
        }
    }
    if let Some(ceiling) = most.pids.filter(|c| has(Limit::Pids) && above(&r.pids, *c)) {
        let flag = "--pids-limit";
        over(amount(&r.pids, flag, &|n| n.to_string()), ceiling.to_string(), format!("{flag} {ceiling}"));
    }
    if let Some(ceiling) = most.nano_cpus.filter(|c| has(Limit::CpuQuota) && cpus(r).is_none_or(|now| now > *c)) {
        let number = |nano: i64| (nano as f64 / 1e9).to_string();
        let asked = cpus(r).map_or_else(|| "--cpus: no limit".to_owned(), |now| format!("--cpus {}", number(now)));
        over(asked, number(ceiling), format!("--cpus {}", number(ceiling)));
    }
    if let (Some(ceiling), Some(shm)) = (most.shm_size, &r.shm_size)
        && shm.value > ceiling
    {
        over(
            format!("--shm-size {}", mebibytes(shm.value)),
            explain::bytes(ceiling),
            format!("--shm-size {}", mebibytes(ceiling)),
        );
    }
    for mount in &draft.mounts {
        if let MountKind::Tmpfs { size, .. } = mount.kind
            && (mount.destination != SHM || asked_by_flag(mount))
            && let Some(ceiling) = ceiling_of(mount, most).filter(|c| size > *c)
        {
            let instead = format!("--tmpfs {}:size={}", mount.destination, mebibytes(ceiling));
            over(mount.asked.clone(), explain::bytes(ceiling), instead);
        }
    }
    if let Some(ceiling) = most.timeout
        && draft.timeout.as_ref().is_none_or(|t| t.value > ceiling)
    {
        let asked =
            draft.timeout.as_ref().map_or_else(|| "--timeout: none".to_owned(), |t| format!("--timeout {}", t.value));
        over(asked, format!("{ceiling} s"), format!("--timeout {ceiling}"));
    }
    for (name, ceiling) in &most.ulimits {
        if draft.process.rlimits.get(name).is_none_or(|l| l.value.hard > *ceiling) {
            let hard = draft.process.rlimits.get(name).map(|l| l.value.hard).filter(|h| *h != u64::MAX);
            let asked = hard.map_or_else(|| format!("--ulimit {name}=-1"), |hard| format!("--ulimit {name}={hard}"));
            over(asked, ceiling.to_string(), format!("--ulimit {name}={ceiling}"));
        }
    }
    out
}

use super::*;

pub(super) fn cases() -> Vec<Cases> {
    let memory = |memory: i64, swap: i64| {
        d(|d| {
            d.resources.memory = Some(Sourced::flag(memory, "--memory"));
            d.resources.memory_swap = Some(Sourced::flag(swap, "--memory-swap"));
        })
    };
    let pids = |count: Option<i64>| d(|d| d.resources.pids = count.map(|c| Sourced::flag(c, "--pids-limit")));
    vec![
        Cases {
            rule: "no-memory-limit",
            refused: vec![memory(0, 0), memory(-1, -1), memory(1 << 30, -1), d(|d| d.resources.memory = None)],
            passes: vec![memory(1 << 30, 2 << 30)],
        },
        Cases {
            rule: "no-pids-limit",
            refused: vec![pids(Some(-1)), pids(Some(0)), pids(None)],
            passes: vec![pids(Some(1)), pids(Some(100_000))],
        },
        Cases {
            rule: "no-files-limit",
            refused: vec![rlimit("nofile", u64::MAX)],
            passes: vec![rlimit("nofile", 1 << 20), rlimit("memlock", u64::MAX)],
        },
        Cases {
            rule: "core-dumps",
            refused: vec![rlimit("core", u64::MAX), rlimit("core", 1)],
            passes: vec![rlimit("core", 0)],
        },
        Cases {
            rule: "oom-kill-disable",
            refused: vec![d(|d| d.asked.oom_kill_disable = true)],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "negative-oom-score",
            refused: vec![d(|d| d.process.oom_score_adj = Sourced::flag(-1, "--oom-score-adj"))],
            passes: vec![d(|d| d.process.oom_score_adj = Sourced::flag(1000, "--oom-score-adj"))],
        },
        Cases {
            rule: "cpu-rt",
            refused: vec![
                d(|d| d.asked.cpu_rt = true),
                d(|d| d.resources.cpu_rt_runtime = Some(Sourced::flag(950_000, "--cpu-rt-runtime"))),
                rlimit("rtprio", 99),
            ],
            passes: vec![rlimit("rtprio", 0)],
        },
        Cases {
            rule: "cgroup-parent",
            refused: vec![d(|d| d.asked.cgroup_parent = Some("/".into()))],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "cgroups-disabled",
            refused: vec![d(|d| d.asked.cgroups_disabled = true)],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "cgroup-conf",
            refused: vec![d(|d| d.asked.cgroup_conf = vec!["memory.max=max".into()])],
            passes: vec![d(|_| {})],
        },
    ]
}

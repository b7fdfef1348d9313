//! Health checks.

use super::Kept;
use crate::harness::env::{slowness, wait_for};
use crate::harness::{Env, Outcome};
use crate::{cases, check, check_eq};
use std::time::{Duration, Instant};

cases!("lifecycle::health":
    healthy_then_unhealthy_then_healthy, a_start_period_forgives, a_slow_check_has_failed, unhealthy_is_killed,
    what_a_slow_check_started_ends_with_it,
    checks_are_confined, a_stop_by_hand_stays_one,
);

fn health(status: &serde_json::Value) -> &str {
    status["health"]["status"].as_str().unwrap_or_default()
}

fn healthy_then_unhealthy_then_healthy(env: &Env) -> Outcome {
    let flags = ["--health-cmd", "cat /tmp/ok", "--health-interval", "300ms", "--health-retries", "2"];
    let kept = Kept::run(env, &flags, &["sh", "-c", "echo fine > /tmp/ok; exec sleep 1000"])?;
    let status = kept.until(20, |s| health(s) == "healthy")?;
    let log = &status["health"]["log"][0];
    check_eq!((&log["exit_code"], &log["output"]), (&0.into(), &"fine\n".into()));
    kept.exec(&[], &["rm", "/tmp/ok"]).go()?.ok()?;
    let status = kept.until(20, |s| health(s) == "unhealthy")?;
    check!(status["health"]["failing_streak"].as_i64() >= Some(2), "{status}");
    let last = status["health"]["log"].as_array().and_then(|l| l.last()).cloned().unwrap_or_default();
    check!(last["output"].as_str().is_some_and(|o| o.contains("No such file")), "{last}");
    kept.exec(&[], &["touch", "/tmp/ok"]).go()?.ok()?;
    let status = kept.until(20, |s| health(s) == "healthy")?;
    check_eq!(status["health"]["failing_streak"], 0);
    check!(status["health"]["log"].as_array().is_some_and(|l| l.len() <= 5), "{status}");
    let said = kept.events("event=health_status", "{{.Action}}")?;
    check_eq!(said, ["health_status: healthy", "health_status: unhealthy", "health_status: healthy"]);
    Ok(())
}

fn a_start_period_forgives(env: &Env) -> Outcome {
    let flags =
        ["--health-cmd", "false", "--health-interval", "200ms", "--health-retries", "1", "--health-start-period", "4s"];
    let since = Instant::now();
    let kept = Kept::run(env, &flags, &["sleep", "1000"])?;
    kept.until(20, |s| s["health"]["log"].as_array().is_some_and(|l| !l.is_empty()))?;
    if since.elapsed() < Duration::from_millis(3500) {
        check_eq!(health(&kept.status()?), "starting");
    }
    kept.until(20, |s| health(s) == "unhealthy")?;
    check!(since.elapsed() >= Duration::from_secs(4), "unhealthy after {:?}", since.elapsed());
    Ok(())
}

fn a_slow_check_has_failed(env: &Env) -> Outcome {
    let flags = [
        "--health-cmd",
        "sleep 100",
        "--health-interval",
        "200ms",
        "--health-retries",
        "1",
        "--health-timeout",
        "500ms",
    ];
    let kept = Kept::run(env, &flags, &["sleep", "1000"])?;
    let status = kept.until(20, |s| health(s) == "unhealthy")?;
    let log = &status["health"]["log"][0];
    check_eq!(log["exit_code"], -1);
    check!(log["output"].as_str().is_some_and(|o| o.starts_with("Health check exceeded timeout (500ms)")), "{log}");
    Ok(())
}

/// Also what has left its session and its parent.
fn what_a_slow_check_started_ends_with_it(env: &Env) -> Outcome {
    let check = "setsid sleep 871 & (setsid sh -c 'sleep 872 & sleep 873' &); sleep 874";
    let flags =
        ["--health-cmd", check, "--health-interval", "200ms", "--health-retries", "3", "--health-timeout", "700ms"];
    let kept = Kept::run(env, &flags, &["sleep", "1000"])?;
    kept.until(30, |s| health(s) == "unhealthy")?;
    let count = || {
        let table = kept.verb(&["top"]).go().ok()?.out();
        Some((871..=874).map(|n| table.matches(&format!("sleep {n}\n")).count()).max().unwrap_or_default())
    };
    // No more than of the check that runs now, however often it is looked at; and between two checks nothing.
    let mut seen = Vec::new();
    let none = wait_for(Duration::from_secs(5), || {
        seen.push(count()?);
        (seen.last() == Some(&0)).then_some(())
    });
    check!(seen.iter().all(|n| *n <= 1), "they pile up: {seen:?}");
    check!(none.is_some(), "there was always one: {seen:?}");
    Ok(())
}

fn unhealthy_is_killed(env: &Env) -> Outcome {
    let flags =
        ["--health-cmd", "false", "--health-interval", "200ms", "--health-retries", "2", "--health-on-failure", "kill"];
    let kept = Kept::run(env, &flags, &["sleep", "1000"])?;
    let status = kept.until_state("exited", 20)?;
    check_eq!((&status["exit_code"], health(&status)), (&137.into(), "unhealthy"));
    Ok(())
}

fn a_stop_by_hand_stays_one(env: &Env) -> Outcome {
    let flags = [
        "--health-cmd",
        "test -e /tmp/ok",
        "--health-interval",
        "300ms",
        "--health-retries",
        "2",
        "--health-on-failure",
        "restart",
        "--restart",
        "always",
    ];
    let kept =
        Kept::run(env, &flags, &["sh", "-c", "trap 'rm -f /tmp/ok' TERM; touch /tmp/ok; while :; do sleep 0.1; done"])?;
    kept.until(20, |s| health(s) == "healthy")?;
    // The signal makes it unhealthy, and it does not end before its time is over.
    kept.verb(&["stop", "-t", &(4 * slowness()).to_string()]).limit(120).go()?.ok()?;
    std::thread::sleep(Duration::from_millis(700));
    let status = kept.status()?;
    check_eq!(
        (&status["state"], &status["restart_count"], health(&status)),
        (&"exited".into(), &0.into(), "unhealthy")
    );
    Ok(())
}

fn checks_are_confined(env: &Env) -> Outcome {
    let check = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid)' /proc/self/status | md5sum; \
                 grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid)' /proc/1/status | md5sum";
    let flags = ["--health-cmd", check, "--health-interval", "200ms", "--user", "1000:1000"];
    let kept = Kept::run(env, &flags, &["sleep", "1000"])?;
    let status = kept.until(20, |s| health(s) == "healthy")?;
    let output = status["health"]["log"][0]["output"].as_str().unwrap_or_default().to_owned();
    let lines: Vec<&str> = output.lines().collect();
    check!(lines.len() == 2 && lines[0] == lines[1], "a check is confined differently: {output}");
    Ok(())
}

use super::*;
use crate::observe::format::list::Listing;
use crate::state::{Health, Stamp, Status, testkit};
use jiff::SignedDuration;

fn entry(status: Status) -> Entry {
    let now = Timestamp::now();
    let mut record = testkit::record("ab", "web");
    record.created = Stamp(now - SignedDuration::from_secs(90));
    record.plan.draft.process.args.value = vec!["sh".into(), "-c".into(), "echo a \"b\" of a long command".into()];
    record.plan.draft.labels = [("k".into(), "v".into()), ("a".into(), "1".into())].into();
    let alive = status.state.is_up();
    let container = Container { folder: "/nowhere".into(), record, status, alive };
    Entry { container, image: "busybox".into(), size: (5, 0), now, no_trunc: false }
}

fn show(template: &str, entry: Entry) -> String {
    Listing::parse(Some(template), TABLE, None).unwrap().render(&COLUMNS, &[entry], false).unwrap()
}

#[test]
fn every_state_has_dockers_sentence() {
    let ago = |seconds| Stamp(Timestamp::now() - SignedDuration::from_secs(seconds));
    let up = |health: &str| Status {
        state: State::Running,
        started: ago(180),
        health: (!health.is_empty()).then(|| Health { status: health.into(), ..Health::default() }),
        ..Status::default()
    };
    let ended =
        |state, exit_code| Status { state, exit_code, started: ago(400), finished: ago(240), ..Status::default() };
    for (status, wanted) in [
        (Status::default(), "Created"),
        (up(""), "Up 3 minutes"),
        (up("healthy"), "Up 3 minutes (healthy)"),
        (up("unhealthy"), "Up 3 minutes (unhealthy)"),
        (up("starting"), "Up 3 minutes (health: starting)"),
        (Status { state: State::Paused, ..up("healthy") }, "Up 3 minutes (Paused)"),
        (ended(State::Exited, 137), "Exited (137) 4 minutes ago"),
        (ended(State::Restarting, 1), "Restarting (1) 4 minutes ago"),
        (ended(State::Dead, 1), "Dead"),
    ] {
        assert_eq!(show("{{.Status}}", entry(status)), format!("{wanted}\n"));
    }
}

#[test]
fn fields_are_as_docker_words_them() {
    let shown = show(
        "{{.ID}}|{{.Command}}|{{.RunningFor}}|{{.Names}}|{{.Labels}}|{{.Label \"k\"}}|{{.State}}|{{.Size}}",
        entry(Status::default()),
    );
    assert_eq!(shown, "ab0000000000|\"sh -c 'echo a \\\"b\\\" o…\"|About a minute ago|web|a=1,k=v|v|created|5B\n");
    let whole = Entry { no_trunc: true, size: (0, 1_980_000), ..entry(Status::default()) };
    let shown = show("{{.Command}} {{len .ID}} {{.Size}} {{.HealthStatus}}", whole);
    assert_eq!(shown, "\"sh -c 'echo a \\\"b\\\" of a long command'\" 64 0B (virtual 1.98MB) none\n");
    let digest = format!("sha256:{}", "5a".repeat(32));
    for (image, wanted) in
        [("busybox:1", "busybox:1"), (digest.as_str(), "5a5a5a5a5a5a"), ("a:1@sha256:00", "a:1"), ("", "<no image>")]
    {
        let entry = Entry { image: image.into(), ..entry(Status::default()) };
        assert_eq!(show("{{.Image}}", entry), format!("{wanted}\n"));
    }
}

#[test]
fn long_words_are_cut() {
    assert_eq!((ellipsis("abc", 3), ellipsis("abcd", 3)), ("abc".into(), "ab…".into()));
}

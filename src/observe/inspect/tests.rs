use super::*;
use crate::observe::format::inspect::Inspect;
use crate::plan::{Published, Rlimit, Sourced};
use crate::state::{BoundPort, Endpoint, Record, Stamp, Status, testkit};

/// Every key that docker gives of a plain container.
const KEYS: &str = include_str!("keys.txt");

fn container() -> Container {
    let record = testkit::record("ab", "web");
    let mut status = Status { state: State::Running, started: Stamp::now(), ..Status::default() };
    status.network.sandbox = "/proc/7/ns/net".into();
    status.network.endpoints = vec![Endpoint {
        network: "bridge".into(),
        ip: "172.17.0.2".into(),
        prefix: 16,
        gateway: "172.17.0.1".into(),
        ..Endpoint::default()
    }];
    status.network.ports =
        vec![BoundPort { host_ip: "127.0.0.1".into(), host_port: 8080, container_port: 80, protocol: "tcp".into() }];
    Container { folder: "/nowhere".into(), record, status, alive: true }
}

fn show(container: &Container, template: &str) -> String {
    let (out, errors) = try_show(container, template);
    assert!(errors.is_empty(), "{template}: {errors:?}");
    out
}

fn try_show(container: &Container, template: &str) -> (String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let json = describe(&Paths::new(Some(dir.path())), container, None);
    let (out, errors) = Inspect::parse(Some(template)).unwrap().render(&[typed(&json)], false);
    (out.trim_end_matches('\n').to_owned(), errors.iter().map(ToString::to_string).collect())
}

fn change(change: impl FnOnce(&mut Record)) -> Container {
    let mut container = container();
    change(&mut container.record);
    container
}

#[test]
fn every_key_of_dockers_is_there() {
    let mut container = container();
    container.record.plan.draft.namespaces.network.value = crate::plan::NetworkMode::Bridge;
    for path in KEYS.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        show(&container, &format!("{{{{json {path}}}}}"));
    }
    for gone in [".Nosuch", ".State.Nosuch", ".Hardrun.Nosuch"] {
        let (_, errors) = try_show(&container, &format!("{{{{{gone}}}}}"));
        assert!(errors[0].contains("map has no entry for key"), "{errors:?}");
    }
}

#[test]
fn the_audit_lines_print_what_dockers_do() {
    let mut container = change(|record| {
        record.words.security_opt = vec!["no-new-privileges".into(), "seccomp=unconfined".into()];
    });
    container.record.plan.draft.namespaces.network.value = crate::plan::NetworkMode::Bridge;
    let id = container.id().to_owned();
    assert_eq!(
        show(&container, "{{ .Id }}: Ports={{ .NetworkSettings.Ports }}"),
        // Docker's Go has `.ID`: with `.Id` in it a template is one over the JSON.
        format!("{id}: Ports=map[80/tcp:[map[HostIp:127.0.0.1 HostPort:8080]]]")
    );
    assert_eq!(
        show(&container, "{{ .Id }}: SecurityOpt={{ .HostConfig.SecurityOpt }}"),
        format!("{id}: SecurityOpt=[no-new-privileges seccomp=unconfined]")
    );
    container.record.words.security_opt.clear();
    assert_eq!(show(&container, "{{ .HostConfig.SecurityOpt }}"), "[no-new-privileges]");
    assert_eq!(show(&container, "{{range $mnt := .Mounts}} {{json $mnt.Propagation}} {{end}}"), "");
}

#[test]
fn limits_and_ports_are_those_in_force() {
    let container = change(|record| {
        let draft = &mut record.plan.draft;
        draft.resources.memory = Some(Sourced::default(64 << 20));
        draft.resources.pids = Some(Sourced::default(100));
        draft.resources.cpu_quota = Some(Sourced::flag(150_000, "--cpus"));
        draft.resources.cpu_period = Some(Sourced::flag(100_000, "--cpus"));
        draft.process.rlimits = [
            ("nofile".to_owned(), Sourced::flag(Rlimit { soft: 10, hard: 20 }, "--ulimit")),
            ("core".to_owned(), Sourced::default(Rlimit { soft: 0, hard: 0 })),
        ]
        .into();
        draft.network.publish = vec![Published {
            host_ip: None,
            host_port: Some(8080),
            host_port_last: None,
            container_port: 80,
            protocol: "tcp".into(),
        }];
    });
    let shown = show(
        &container,
        "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCPUs}} {{.HostConfig.CPUQuota}} \
         {{.HostConfig.Ulimits}} {{.HostConfig.PortBindings}} {{.Hardrun.Ulimits.core}}",
    );
    assert_eq!(shown, "67108864 100 1500000000 0 [nofile=10:20] map[80/tcp:[{127.0.0.1 8080}]] 0:0");
}

#[test]
fn a_number_that_another_process_has_got_is_not_shown() {
    let mut container = container();
    container.status.pid = std::process::id() as i32;
    container.status.pid_start = process_started(container.status.pid).unwrap();
    assert_eq!(show(&container, "{{.State.Pid}}"), std::process::id().to_string());
    container.status.pid_start += 1;
    assert_eq!(show(&container, "{{.State.Pid}}"), "0");
}

use super::*;
use clap::FromArgMatches;

fn words(text: &str) -> RunArgs {
    let argv = std::iter::once("run".to_owned()).chain(shlex::split(text).unwrap());
    let command = <RunArgs as clap::Args>::augment_args(clap::Command::new("run"));
    RunArgs::from_arg_matches_mut(&mut command.try_get_matches_from(argv).unwrap()).unwrap()
}

fn env() -> Env {
    Env { vars: vec![("HOME".into(), "/h".into())], cwd: "/w".into() }
}

fn resolve(text: &str) -> Request {
    Request::resolve(words(text), &env()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn slip(text: &str) -> Error {
    Request::resolve(words(text), &env()).unwrap_err()
}

#[test]
fn nothing_asked_is_nothing_set() {
    assert_eq!(resolve("a"), Request { image: "a".into(), ..Request::default() });
}

#[test]
fn everything_after_the_image_is_the_commands() {
    let r = resolve("--rm a --help -v /x:/y -- --rm=false");
    assert_eq!(r.image, "a");
    assert_eq!(r.args, ["--help", "-v", "/x:/y", "--", "--rm=false"]);
    assert!(r.lifecycle.remove && r.mounts.mounts.is_empty());
    assert_eq!(resolve("-- a -x").args, ["-x"]);
    assert_eq!(resolve("-i - x").image, "-");
}

#[test]
fn no_image_is_the_clients_slip() {
    for text in ["", "--rm", "--rm --"] {
        let error = slip(text);
        assert_eq!((error.kind.exit_code(), error.message.as_str()), (1, "'hardrun run' requires at least 1 argument"));
    }
}

#[test]
fn short_flags_come_in_bunches() {
    let r = resolve("-iteA=1 -p8080:80 -u=5 -m 1g -e=B=2 a");
    assert!(r.process.interactive && r.process.tty);
    assert_eq!(r.process.env.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!((r.network.publish.len(), r.resources.memory), (1, Some(1 << 30)));
    assert_eq!(r.process.user.unwrap().typed, "5");
    let r = resolve("-it=false a");
    assert!(r.process.interactive && !r.process.tty);
}

#[test]
fn booleans_take_a_value_only_with_an_equals_sign() {
    assert!(!resolve("--rm=false a").lifecycle.remove);
    assert!(resolve("--rm=T a").lifecycle.remove);
    assert!(!resolve("--rm --rm=0 a").lifecycle.remove);
    assert_eq!(resolve("--rm true").image, "true");
    assert_eq!(
        slip("--rm=maybe a").message,
        "invalid argument \"maybe\" for \"--rm\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax"
    );
    assert!(slip("-itd=x a").message.contains("for \"-d, --detach\" flag"));
}

#[test]
fn the_last_scalar_wins_and_lists_grow() {
    let r = resolve("--name aa --name bb -l x=1 -l x=2 --cap-add CHOWN --cap-add all a");
    assert_eq!(r.lifecycle.name.as_deref(), Some("bb"));
    assert_eq!(r.lifecycle.labels.len(), 2);
    assert_eq!(r.isolation.cap_add[0].typed, "--cap-add CHOWN");
    assert!(r.isolation.cap_add[1].is_all());
}

#[test]
fn a_value_may_look_like_a_flag() {
    let r = resolve("--memory-swap -1 --pids-limit -1 -e -x=1 --entrypoint --rm a");
    assert_eq!((r.resources.memory_swap, r.resources.pids_limit), (Some(-1), Some(-1)));
    assert_eq!((r.process.env[0].name.as_str(), r.process.entrypoint.as_deref()), ("-x", Some("--rm")));
    assert_eq!(resolve("--entrypoint -- a").process.entrypoint.as_deref(), Some("--"));
}

#[test]
fn old_names_are_the_same_flags() {
    let r = resolve("--net host --dns-opt ndots:5 a");
    assert_eq!(r.network.networks[0].target, crate::request::NetworkTarget::Host);
    assert_eq!(r.network.dns_options, ["ndots:5"]);
    assert_eq!(resolve("--net foo --net-alias x a").network.networks[0].aliases, ["x"]);
}

#[test]
fn mounts_come_in_one_list() {
    let r = resolve("--tmpfs /t --mount type=bind,src=/a,dst=/m -v ./x:/v -v ./x:/v --tmpfs /t:ro a");
    let typed: Vec<&str> = r.mounts.mounts.iter().map(|m| m.typed()).collect();
    assert_eq!(typed, ["-v ./x:/v", "--mount type=bind,src=/a,dst=/m", "--tmpfs /t:ro"]);
    let error = slip("-v /a:/x -v /b:/x/../x a").message;
    assert_eq!(error, "Duplicate mount point: /x (-v /a:/x and -v /b:/x/../x)");
    assert!(slip("-v /a:/x --tmpfs /x a").message.starts_with("Duplicate mount point: /x"));
}

#[test]
fn env_files_come_before_env() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    std::fs::write(&file, "A=file\nHOME\nNOT_THERE\n").unwrap();
    let r = resolve(&format!("-e A=word -e NOT_THERE --env-file {} a", file.display()));
    let env: Vec<_> = r.process.env.iter().map(|e| (e.name.as_str(), e.value.as_deref(), e.flag)).collect();
    assert_eq!(
        env,
        [
            ("A", Some("file"), "--env-file"),
            ("HOME", Some("/h"), "--env-file"),
            ("A", Some("word"), "--env"),
            ("NOT_THERE", None, "--env"),
        ]
    );
    let error = slip("--env-file nope a");
    assert_eq!(error.message, "--env-file: open nope: no such file or directory");
}

#[test]
fn conflicts_are_dockers() {
    let error = slip("-d -a stdin a");
    assert_eq!(error.kind.exit_code(), 1);
    assert_eq!(error.message, "conflicting options: cannot specify both --attach and --detach");
    for (text, part) in [
        ("--rm --restart always a", "cannot specify both --restart and --rm"),
        ("--no-healthcheck --health-cmd x a", "--no-healthcheck conflicts with --health-* options"),
        ("--network none --network foo a", "cannot attach both user-defined and non-user-defined"),
        ("--network foo --network foo a", "specified multiple times"),
        ("--network-alias x a", "only supported for user-defined networks"),
        ("--network name=foo,alias=x --network-alias y a", "--network-alias and per-network alias"),
        ("--cpus 1 --cpu-quota 5000 a", "--cpus cannot be used with"),
        ("-m 1g --memory-swap 512m a", "larger than memory limit"),
        ("--memory-swap 512m a", "always set the Memory limit"),
        ("-m 1k a", "minimum memory limit allowed is 6MB"),
        ("--platform linux --arch arm a", "cannot specify both --platform"),
    ] {
        let error = slip(text);
        assert!(error.message.contains(part), "{text}: {}", error.message);
        assert_eq!(error.kind.exit_code(), 125, "{text}");
    }
    assert!(resolve("--rm --restart no a").unsupported.is_empty());
}

#[test]
fn what_is_not_carried_out_says_so() {
    for text in [
        "--link-local-ip 169.254.1.1 a",
        "--network name=foo,driver-opt=a=b a",
        "--gpus all a",
        "--pod x a",
        "--pod-id-file x a",
        "--secret x a",
        "--storage-opt size=1g a",
        "--link x a",
        "--rmi a",
        "--uidmap 0:1:1 a",
        "--requires x a",
        "--hostuser x a",
        "--chrootdirs x a",
        "--init-path /x a",
        "--rdt-class x a",
        "--decryption-key x a",
        "--conmon-pidfile x a",
        "--passwd-entry x a",
        "--tz local a",
        "--use-api-socket a",
        "--sdnotify container a",
        "--systemd always a",
        "--cgroups split a",
    ] {
        let r = resolve(text);
        assert_eq!(r.unsupported.len(), 1, "{text}: {:?}", r.unsupported);
        assert!(r.unsupported[0].starts_with('-'), "{text}: {:?}", r.unsupported);
    }
    for text in [
        "--network none a",
        "--network host a",
        "--network foo a",
        "--network container:x a",
        "--ipc container:x a",
        "--pid container:x a",
        "--volumes-from x a",
        "-d a",
        "--restart always a",
        "--health-cmd true a",
        "--log-opt max-size=1m a",
        "--expose 80 a",
        "--replace a",
        "-p 80:80 a",
        "-P a",
        "--sdnotify ignore a",
    ] {
        assert!(resolve(text).unsupported.is_empty(), "{text}");
    }
}

#[test]
fn flags_without_effect_are_noticed() {
    for text in
        ["--disable-content-trust a", "--kernel-memory 1g a", "--runtime runc a", "--systemd true a", "--passwd a"]
    {
        let r = resolve(text);
        assert_eq!((r.notices.len(), r.unsupported.len()), (1, 0), "{text}");
    }
    for text in ["--cpu-count 2 a", "--cpu-percent 0 a", "--io-maxiops 2 a", "--io-maxbandwidth 2 a"] {
        assert!(slip(text).message.contains("is only supported on windows"), "{text}");
    }
    assert!(slip("--runtime /tmp/evil a").message.contains("unknown runtime specified"));
    assert!(slip("--creds u:p a").message.contains("everyone on the host can read"));
}

#[test]
fn own_flags() {
    let r = resolve("--preset strict --allow host-network=because --dry-run --format json --print-docker a");
    assert_eq!(r.own.preset.as_deref(), Some("strict"));
    assert_eq!(r.own.allow[0].reason.as_deref(), Some("because"));
    assert!(r.own.dry_run && r.own.print_docker);
    assert_eq!(r.own.format, Some(crate::request::OutputFormat::Json));
    assert!(slip("--allow host-netwrok a").hint.unwrap().contains("host-network"));
    assert!(slip("--format yaml a").message.contains("must be one of text, json"));
}

#[test]
fn the_platform_has_three_sources() {
    assert_eq!(resolve("--arch aarch64 a").source.platform.unwrap().architecture.as_deref(), Some("arm64"));
    let env = Env { vars: vec![("DOCKER_DEFAULT_PLATFORM".into(), "linux/arm/v7".into())], cwd: "/".into() };
    let r = Request::resolve(words("a"), &env).unwrap();
    assert_eq!(r.source.platform.unwrap().variant.as_deref(), Some("v7"));
    let r = Request::resolve(words("--platform linux/amd64 a"), &env).unwrap();
    assert_eq!(r.source.platform.unwrap().typed, "linux/amd64");
}

#[test]
fn a_plain_docker_host_is_carried() {
    let with = |vars: &[(&str, &str)]| {
        let vars = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Request::resolve(words("a"), &Env { vars, cwd: "/".into() }).unwrap().network.docker_host_plain_tcp
    };
    assert_eq!(with(&[("DOCKER_HOST", "tcp://h:2375")]).as_deref(), Some("tcp://h:2375"));
    assert_eq!(with(&[("DOCKER_HOST", "tcp://h:2376"), ("DOCKER_TLS_VERIFY", "1")]), None);
    assert_eq!(with(&[("DOCKER_HOST", "unix:///x")]), None);
}

#[test]
fn interactive_attaches_stdin_whatever_attach_says() {
    use crate::request::Attach;
    let attach = |text: &str| resolve(text).process.attach;
    assert_eq!(attach("-i a"), None);
    assert_eq!(attach("-a stdin a"), Some(Attach { stdin: true, stdout: false, stderr: false }));
    assert_eq!(attach("-i -a STDOUT a"), Some(Attach { stdin: true, stdout: true, stderr: false }));
}

/// Every flag of `docker run` 28 and `podman run` 5, with its letter.
const FLAGS: &str = "add-host annotation arch attach:a authfile blkio-weight blkio-weight-device cap-add cap-drop cert-dir \
     cgroup-conf cgroup-parent cgroupns cgroups chrootdirs cidfile conmon-pidfile cpu-count cpu-percent \
     cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares:c cpus cpuset-cpus cpuset-mems creds \
     decryption-key detach:d detach-keys device device-cgroup-rule device-read-bps device-read-iops \
     device-write-bps device-write-iops disable-content-trust dns dns-opt dns-option dns-search domainname \
     entrypoint env:e env-file env-host env-merge expose gidmap gpus group-add group-entry health-cmd \
     health-interval health-on-failure health-retries health-start-interval health-start-period \
     health-startup-cmd health-timeout help hostname:h hostuser http-proxy image-volume init init-path \
     interactive:i io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory label:l label-file link \
     link-local-ip log-driver log-opt mac-address memory:m memory-reservation memory-swap memory-swappiness mount \
     name net net-alias network network-alias no-healthcheck no-hostname no-hosts oom-kill-disable oom-score-adj \
     os passwd passwd-entry personality pid pidfile pids-limit platform pod pod-id-file preserve-fds privileged \
     publish:p publish-all:P pull quiet:q rdt-class read-only read-only-tmpfs replace requires restart retry \
     retry-delay rm rmi rootfs runtime sdnotify seccomp-policy secret security-opt shm-size sig-proxy stop-signal \
     stop-timeout storage-opt subgidname subuidname sysctl systemd timeout tls-verify tmpfs tty:t tz uidmap \
     ulimit umask unsetenv unsetenv-all use-api-socket user:u userns uts variant volume:v volume-driver \
     volumes-from workdir:w";

#[test]
fn every_flag_of_docker_and_podman_is_known() {
    let command = <RunArgs as clap::Args>::augment_args(clap::Command::new("run"));
    for flag in FLAGS.split_whitespace() {
        let (long, short) = flag.split_once(':').unwrap_or((flag, ""));
        let known = command
            .get_arguments()
            .find(|a| a.get_long() == Some(long) || a.get_all_aliases().is_some_and(|all| all.contains(&long)));
        let arg = known.unwrap_or_else(|| panic!("--{long} is missing"));
        assert_eq!(arg.get_short().map(String::from).unwrap_or_default(), short, "--{long}");
    }
}

#[test]
fn hardruns_own_flags_take_none_of_theirs() {
    let command = <crate::cli::flags::OwnFlags as clap::Args>::augment_args(clap::Command::new("run"));
    for arg in command.get_arguments() {
        let long = arg.get_long().unwrap();
        assert!(!FLAGS.split_whitespace().any(|f| f.split(':').next() == Some(long)), "--{long}");
        assert_eq!(arg.get_short(), None, "--{long}");
    }
}

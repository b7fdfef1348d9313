//! What follows from flags, preset, image and host.

use super::*;
use crate::facts::{BindSeen, CgroupVersion, Enforcement, Limit};
use crate::plan::{AppArmor, BindIdmap, Landlock, MountKind, Namespace, NetworkMode, UserNamespace};
use crate::request::*;
use oci_spec::image::{ConfigBuilder, ImageConfigurationBuilder};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const ID: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90";
const OTHER: &str = "0718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6";

#[derive(Default)]
struct FakeHost(BTreeMap<PathBuf, Found>);

impl FakeHost {
    fn with(mut self, path: &str, uid: u32, kind: Kind) -> Self {
        self.0.insert(path.into(), Found { path: path.into(), uid, gid: uid, kind });
        self
    }
}

impl Host for FakeHost {
    fn look(&self, path: &Path) -> Result<Option<Found>> {
        Ok(self.0.get(path).cloned())
    }
    fn seen(&self, _: &Path, _: &Facts) -> BindSeen {
        BindSeen::default()
    }
    fn devices_below(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let below = |f: &&Found| f.path.starts_with(folder) && matches!(f.kind, Kind::Device { .. });
        Ok(self.0.values().filter(below).map(|f| f.path.clone()).collect())
    }
    fn read(&self, path: &Path) -> Result<String> {
        if path == Path::new("/etc/group") {
            return Ok("root:x:0:\nstaff:x:997:\ndocker:x:998:me\n".into());
        }
        Ok(format!("nameserver 192.0.2.1\nsearch {}\n", path.display()))
    }
    fn hostname(&self) -> String {
        "thehost".into()
    }
    /// One, whatever is asked for, where SELinux is on.
    fn container(&self, _: &Paths, reference: &str) -> Result<Option<Other>> {
        let mut other = Case::new(&["x"]);
        other.facts.selinux = true;
        let draft = other.draft_of(reference)?;
        Ok(Some(Other { draft, shareable: true, addresses: vec![] }))
    }
}

pub(crate) fn facts() -> Facts {
    Facts {
        kernel: "6.18.0".into(),
        euid: 0,
        landlock_abi: 7,
        apparmor: false,
        selinux: false,
        apparmor_mode: Enforcement::Refuses,
        selinux_mode: Enforcement::Refuses,
        cgroup: CgroupVersion::V2,
        cgroup_controllers: vec!["cpu".into(), "memory".into(), "pids".into()],
        limits: Limit::ALL.iter().copied().collect(),
        systemd: Default::default(),
        user_namespaces: true,
        idmapped_overlay: true,
        seccomp: true,
        cpus: 4,
        memory: 4 << 30,
        bounding: u64::MAX,
        nofile_hard: 20000,
        hard_limits: BTreeMap::from([("nofile".into(), 20000)]),
        oom_score_adj: 0,
        engine_sockets: vec![],
        own_paths: vec![],
        rootless: None,
        site: Default::default(),
    }
}

/// A plan under a preset, for tests of what reads plans.
pub(crate) fn plan(preset: &'static str, change: impl FnOnce(&mut Request)) -> (crate::plan::Plan, Facts) {
    let mut case = Case::new(&["echo", "two words"]).preset(preset).ask(change);
    case.host = FakeHost::default().with("/home/u", 1000, Kind::Directory).with("/usr", 0, Kind::Directory);
    (crate::plan::Plan::new(case.draft().unwrap(), vec![], &case.facts), case.facts)
}

/// The draft that a preset's file (or name) comes to.
pub(crate) fn draft_of_file(preset: &Path, apparmor: bool) -> Result<Draft> {
    let mut case = Case::new(&["true"]);
    case.facts.apparmor = apparmor;
    resolve(Inputs {
        request: &case.request,
        image: &case.image,
        preset: &crate::preset::load(&preset.display().to_string())?,
        facts: &case.facts,
        paths: &Paths::new(None),
        host: &case.host,
        id: ID,
        name: "quiet_otter",
    })
}

pub(crate) fn binds(pairs: &[(&str, &str)]) -> Vec<MountRequest> {
    pairs.iter().map(|(source, destination)| bind(source, destination)).collect()
}

struct Case {
    request: Request,
    image: Image,
    preset: &'static str,
    facts: Facts,
    host: FakeHost,
}

impl Case {
    fn new(args: &[&str]) -> Case {
        let config = ConfigBuilder::default()
            .env(vec!["PATH=/bin".to_owned(), "A=image".to_owned()])
            .entrypoint(vec!["/entry".to_owned()])
            .cmd(vec!["default".to_owned()])
            .build()
            .unwrap();
        Case {
            request: Request {
                image: "app".into(),
                args: args.iter().map(|a| (*a).to_owned()).collect(),
                ..Request::default()
            },
            image: Image {
                name: "app:latest".into(),
                manifest_digest: "sha256:0".into(),
                config_digest: "sha256:1".into(),
                config: ImageConfigurationBuilder::default()
                    .os(oci_spec::image::Os::Linux)
                    .architecture(oci_spec::image::Arch::Amd64)
                    .rootfs(oci_spec::image::RootFsBuilder::default().typ("layers").diff_ids(vec![]).build().unwrap())
                    .config(config)
                    .build()
                    .unwrap(),
                healthcheck: None,
                layers: vec![],
                index_digest: None,
                repositories: vec![],
                signatures: vec![],
            },
            preset: "default",
            facts: facts(),
            host: FakeHost::default(),
        }
    }
    fn image(mut self, change: impl FnOnce(&mut oci_spec::image::Config)) -> Case {
        let mut config = self.image.config.config().clone().unwrap();
        change(&mut config);
        self.image.config.set_config(Some(config));
        self
    }
    fn ask(mut self, change: impl FnOnce(&mut Request)) -> Case {
        change(&mut self.request);
        self
    }
    fn preset(mut self, name: &'static str) -> Case {
        self.preset = name;
        self
    }
    fn draft(&self) -> Result<Draft> {
        self.draft_of(ID)
    }
    fn draft_of(&self, id: &str) -> Result<Draft> {
        resolve(Inputs {
            request: &self.request,
            image: &self.image,
            preset: &crate::preset::load(self.preset)?,
            facts: &self.facts,
            paths: &Paths::new(None),
            host: &self.host,
            id,
            name: "calm_hopper",
        })
    }
}

fn bind(source: &str, destination: &str) -> MountRequest {
    MountRequest::Bind(BindRequest {
        source: source.into(),
        destination: destination.into(),
        readonly: None,
        create: true,
        recursive: true,
        recursive_readonly: RecursiveReadonly::Enabled,
        propagation: None,
        relabel: None,
        noexec: false,
        typed: format!("-v {source}:{destination}"),
    })
}

fn cap(name: &str) -> CapName {
    CapName { name: name.into(), typed: format!("--cap-add {name}") }
}

#[test]
fn declared_paths_are_the_presets_and_what_flags_mount() {
    let mut case = Case::new(&["true"]).ask(|r| r.mounts.mounts = binds(&[("/home/u", "/data"), ("/usr", "/u")]));
    case.host = FakeHost::default().with("/home/u", 1000, Kind::Directory).with("/usr", 0, Kind::Directory);
    let text = "description = \"\"\n[paths]\nread = [\"/srv/**\"]\n[ports]\nlisten = [80]\nconnect = []\n[sockets]\nallow = [\"inet tcp\"]\n";
    let draft = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        std::fs::write(&file, text).unwrap();
        let preset = crate::preset::load(&file.display().to_string()).unwrap();
        resolve(Inputs {
            request: &case.request,
            image: &case.image,
            preset: &preset,
            facts: &case.facts,
            paths: &Paths::new(None),
            host: &case.host,
            id: ID,
            name: "quiet_otter",
        })
        .unwrap()
    };
    let said = |d: &Draft| -> Vec<String> {
        d.paths
            .policy
            .iter()
            .flat_map(|p| &p.rules)
            .map(|r| r.value.text())
            .filter(|t| !t.starts_with("/etc/"))
            .collect()
    };
    let open = draft(text);
    assert_eq!(said(&open), ["/srv/** r", "/data{,/,/**} rwkl", "/u{,/,/**} r"]);
    let rules = &open.paths.policy.as_ref().unwrap().rules;
    assert!(rules.iter().any(|r| r.source.to_string() == "flag --volume"), "{rules:?}");
    assert_eq!(open.sysctls["net.ipv4.tcp_fastopen"].value, "0");
    let shut: Vec<&str> = open.seccomp.shut.iter().map(String::as_str).collect();
    assert_eq!(shut, ["inet-icmp", "inet-udp", "inet6-icmp", "inet6-tcp", "inet6-udp"]);
    // What is locked is not loosened by a mount.
    assert_eq!(said(&draft(&format!("lock = [\"paths\"]\n{text}"))), ["/srv/** r"]);
}

#[test]
fn a_plain_run_has_every_layer_on() {
    let d = Case::new(&["echo", "hi"]).draft().unwrap();
    assert_eq!(d.process.args.value, ["/entry", "echo", "hi"]);
    assert_eq!(d.hostname.value, "a1b2c3d4e5f6");
    assert_eq!(d.namespaces.user.value, UserNamespace::Private { base: 0, size: 65536 });
    for ns in [&d.namespaces.pid, &d.namespaces.ipc, &d.namespaces.uts, &d.namespaces.cgroup] {
        assert_eq!(ns.value, Namespace::Private);
    }
    assert_eq!(d.namespaces.network.value, NetworkMode::Bridge);
    assert_eq!(d.network.endpoints[0].network, "bridge");
    assert!(d.notices.is_empty(), "{:?}", d.notices);
    assert!(d.process.no_new_privileges.value);
    assert_eq!(d.capabilities.value.len(), 7);
    assert_eq!(d.resources.memory.as_ref().unwrap().value, 3 << 30);
    assert_eq!(d.resources.memory_swap.as_ref().unwrap().value, 3 << 30, "no swap on top");
    assert_eq!(d.resources.pids.as_ref().unwrap().value, 2048);
    assert_eq!(d.process.rlimits["nofile"].value.hard, 20000, "within the caller's own limit");
    assert_eq!(d.process.rlimits["core"].value.hard, 0);
    assert_eq!(d.sysctls["net.ipv4.ip_unprivileged_port_start"].value, "0");
    assert_eq!(d.sysctls["net.ipv4.ping_group_range"].value, "0 65535");
    assert!(!d.seccomp.no_setid.value);
}

#[test]
fn the_command_follows_dockers_rules_for_entrypoint_and_cmd() {
    let args = |c: Case| c.draft().map(|d| d.process.args.value);
    assert_eq!(args(Case::new(&[])).unwrap(), ["/entry", "default"]);
    assert_eq!(args(Case::new(&["x"])).unwrap(), ["/entry", "x"]);
    let entry = |word: &str, rest: &[&str]| {
        let word = word.to_owned();
        Case::new(rest).ask(move |r| r.process.entrypoint = Some(word))
    };
    assert_eq!(args(entry("/bin/sh", &["-c", "id"])).unwrap(), ["/bin/sh", "-c", "id"]);
    assert_eq!(args(entry("/bin/sh", &[])).unwrap(), ["/bin/sh"], "the image's command is dropped");
    assert_eq!(args(entry("", &["id"])).unwrap(), ["id"]);
    let e = args(entry("", &[])).unwrap_err();
    assert_eq!((e.kind.exit_code(), e.message.as_str()), (125, "no command specified"));
}

#[test]
fn the_environment_is_in_dockers_order_and_later_entries_win_in_place() {
    let set = |name: &str, value: Option<&str>| EnvSetting {
        name: name.into(),
        value: value.map(str::to_owned),
        flag: "--env",
    };
    let d = Case::new(&["x"])
        .ask(|r| {
            r.process.tty = true;
            r.process.env = vec![set("B", Some("1")), set("PATH", Some("/mine")), set("A", None)];
        })
        .draft()
        .unwrap();
    let env: Vec<&str> = d.process.env.iter().map(|e| e.value.as_str()).collect();
    assert_eq!(env, ["PATH=/mine", "HOSTNAME=a1b2c3d4e5f6", "TERM=xterm", "B=1", "HOME=/"]);
    assert_eq!(d.process.env[0].source.to_string(), "flag --env");
}

#[test]
fn capabilities_are_dockers_arithmetic_over_the_presets_set() {
    let caps = |add: &[&str], drop: &[&str]| {
        let (add, drop) = (add.iter().map(|c| cap(c)).collect(), drop.iter().map(|c| cap(c)).collect());
        let d = Case::new(&["x"]).ask(|r| (r.isolation.cap_add, r.isolation.cap_drop) = (add, drop)).draft().unwrap();
        d.capabilities.value.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(caps(&[], &["ALL"]), Vec::<String>::new());
    assert_eq!(caps(&["CAP_NET_RAW"], &["ALL"]), ["CAP_NET_RAW"]);
    assert_eq!(caps(&["CAP_NET_RAW"], &[]).len(), 8);
    assert_eq!(caps(&[], &["CAP_CHOWN"]).len(), 6);
    assert_eq!(caps(&["ALL"], &["CAP_CHOWN"]).len(), caps::all().len() - 1);
}

#[test]
fn a_granted_capability_opens_its_calls() {
    let opened = |add: &[&str]| {
        let add = add.iter().map(|c| cap(c)).collect();
        Case::new(&["x"]).ask(|r| r.isolation.cap_add = add).draft().unwrap().seccomp.opened
    };
    assert!(opened(&[]).is_empty(), "the default preset's capabilities need no more");
    assert_eq!(opened(&["CAP_SYS_CHROOT"]).into_iter().collect::<Vec<_>>(), ["chroot"]);
    assert!(opened(&["CAP_NET_RAW"]).contains("raw-sockets"));
}

#[test]
fn without_a_user_namespace_there_is_no_capability() {
    let mut case = Case::new(&["x"]);
    case.facts.idmapped_overlay = false;
    let d = case.draft().unwrap();
    assert_eq!(d.namespaces.user.value, UserNamespace::Host);
    assert!(d.capabilities.value.is_empty());
    assert_eq!(d.capabilities.source, Source::Host);
    let plan = crate::plan::Plan::new(d, vec![], &case.facts);
    assert!(plan.fallbacks.iter().any(|f| f.layer == "user namespace" && f.missing.contains("6.18.0")));
}

#[test]
fn a_plan_of_before_gets_what_the_host_has_by_now() {
    let mut before = Case::new(&["x"]);
    before.facts.landlock_abi = 0;
    let plan = crate::plan::Plan::new(before.draft().unwrap(), vec![], &before.facts);
    assert!(
        plan.fallbacks.iter().any(|f| f.layer == "apparmor") && plan.fallbacks.iter().any(|f| f.layer == "landlock")
    );
    assert!(plan.clone().renew(&before.facts).unwrap().is_empty(), "nothing has changed");
    let mut now = facts();
    now.apparmor = true;
    let mut renewed = plan.clone();
    let said = renewed.renew(&now).unwrap();
    assert!(said.len() == 2 && said[0].contains("AppArmor") && said[1].contains("Landlock"), "{said:?}");
    assert_eq!(renewed.draft.apparmor.value, AppArmor::Builtin);
    assert_eq!(renewed.draft.landlock.value, Landlock::Ruleset { abi: 7 });
    assert!(!renewed.fallbacks.iter().any(|f| f.layer == "apparmor" || f.layer == "landlock"));
    assert!(renewed.renew(&now).unwrap().is_empty(), "said once");
    // What it had is not taken away, and files without labels are not labelled behind anybody's back.
    assert!(renewed.renew(&facts()).unwrap_err().message.contains("no AppArmor now"));
    let mut selinux = facts();
    selinux.selinux = true;
    assert!(plan.clone().renew(&selinux).unwrap_err().message.contains("no label"));
    let mut labelled = Case::new(&["x"]);
    labelled.facts.selinux = true;
    let mut labelled = crate::plan::Plan::new(labelled.draft().unwrap(), vec![], &labelled.facts);
    assert!(labelled.renew(&facts()).unwrap_err().message.contains("SELinux is off"));
}

#[test]
fn a_plan_of_before_is_not_started_with_less() {
    let case = Case::new(&["x"]);
    let mut plan = crate::plan::Plan::new(case.draft().unwrap(), vec![], &case.facts);
    plan.draft.landlock = Sourced::default(Landlock::Ruleset { abi: 2 });
    let said = plan.renew(&facts()).unwrap();
    assert!(said.len() == 1 && said[0].contains("version 7, 2 before"), "{said:?}");
    assert_eq!(plan.draft.landlock.value, Landlock::Ruleset { abi: 7 });
    let refused = |change: fn(&mut Facts)| {
        let mut less = facts();
        change(&mut less);
        let e = plan.clone().renew(&less).unwrap_err();
        assert!(e.hint.is_some(), "{e:?}");
        e.message
    };
    assert!(refused(|f| f.landlock_abi = 6).contains("version 7, and this host has version 6"));
    for abi in [0, 1] {
        let mut less = facts();
        less.landlock_abi = abi;
        assert!(plan.clone().renew(&less).is_err(), "{abi}");
    }
    assert!(refused(|f| f.user_namespaces = false).contains("switched off"));
    let mut named = plan.clone();
    named.draft.apparmor = Sourced::default(AppArmor::Named("ours".into()));
    assert!(named.renew(&facts()).unwrap_err().message.contains("no AppArmor now"));
    assert!(crate::spec::profile_to_enter(&named.draft, false).is_err());
}

fn user(typed: &str) -> UserSpec {
    UserSpec { typed: typed.into(), user: typed.into(), group: None }
}

#[test]
fn an_images_number_of_a_powerful_group_is_known_by_the_hosts_name() {
    let mut case = Case::new(&["x"]).ask(|r| r.process.user = Some(user("1000:998")));
    assert!(case.draft().unwrap().asked.host_groups.is_empty(), "in a namespace of its own it is another group");
    case.facts.user_namespaces = false;
    let draft = case.draft().unwrap();
    assert_eq!(draft.asked.host_groups, [(998, "docker".to_owned())].into());
    case = case.ask(|r| r.process.user = Some(user("1000:997")));
    assert!(case.draft().unwrap().asked.host_groups.is_empty(), "staff is none of these");
}

#[test]
fn what_is_hidden_is_not_read_only_as_well() {
    let trigger = "/proc/sysrq-trigger".to_owned();
    let draft = Case::new(&["x"]).draft().unwrap();
    assert!(draft.readonly_paths.value.contains(&trigger));
    let mask = SecurityOpt::Mask(vec![trigger.clone()]);
    let draft = Case::new(&["x"]).ask(|r| r.isolation.security_opts = vec![mask]).draft().unwrap();
    assert!(draft.masked_paths.value.contains(&trigger) && !draft.readonly_paths.value.contains(&trigger));
}

#[test]
fn swap_is_limited_once_it_can_be() {
    let mut case = Case::new(&["x"]);
    case.facts.limits.remove(&Limit::Swap);
    let mut plan = crate::plan::Plan::new(case.draft().unwrap(), vec![], &case.facts);
    assert!(plan.draft.resources.memory_swap.is_none());
    assert!(plan.renew(&case.facts).unwrap().is_empty());
    case.facts.limits.insert(Limit::Swap);
    let said = plan.renew(&case.facts).unwrap();
    assert!(said.len() == 1 && said[0].starts_with("swap can be limited"), "{said:?}");
    let resources = &plan.draft.resources;
    assert_eq!(resources.memory_swap.as_ref().unwrap().value, resources.memory.as_ref().unwrap().value);
    assert!(plan.renew(&case.facts).unwrap().is_empty());
}

#[test]
fn a_type_that_the_policy_makes_permissive_is_told() {
    let mut case = Case::new(&["x"]);
    case.facts.selinux = true;
    let mut draft = case.draft().unwrap();
    draft.asked.selinux_permissive = true;
    let said = draft.watched(&case.facts).unwrap();
    assert!(said.len() == 1 && said[0].contains("makes container_t permissive"), "{said:?}");
    let plan = crate::plan::Plan::new(draft.clone(), vec![], &case.facts);
    assert!(plan.fallbacks.iter().any(|f| f.missing.contains("makes container_t permissive")), "{:?}", plan.fallbacks);
    // Where all are, that is what is said.
    case.facts.selinux_mode = Enforcement::Watches("permissive".into());
    let said = draft.watched(&case.facts).unwrap();
    assert!(said.len() == 1 && said[0].contains("on this host"), "{said:?}");
}

#[test]
fn a_module_that_watches_is_told_at_every_start() {
    let mut case = Case::new(&["x"]);
    (case.facts.apparmor, case.facts.selinux) = (true, true);
    let draft = case.draft().unwrap();
    assert!(draft.watched(&case.facts).unwrap().is_empty());
    case.facts.apparmor_mode = Enforcement::Watches("complain".into());
    case.facts.selinux_mode = Enforcement::Watches("permissive".into());
    let said = draft.watched(&case.facts).unwrap();
    assert!(said.len() == 2 && said[0].contains("complain") && said[1].contains("permissive"), "{said:?}");
    let plan = crate::plan::Plan::new(draft.clone(), vec![], &case.facts);
    assert_eq!(plan.fallbacks.iter().filter(|f| f.missing.contains("nothing")).count(), 2, "{:?}", plan.fallbacks);
    case.facts.apparmor_mode = Enforcement::Unknown("permission denied".into());
    assert!(draft.watched(&case.facts).unwrap_err().message.contains("not known"));
    assert!(Case::new(&["x"]).draft().unwrap().watched(&case.facts).unwrap().is_empty(), "it has no profile");
}

#[test]
fn without_a_user_namespace_folders_of_others_are_told() {
    let told = |bound: &str, mapped: bool| {
        let mut case = Case::new(&["x"]).ask(|r| r.mounts.mounts = vec![bind(bound, "/m")]);
        case.host = FakeHost::default().with("/home/u", 1000, Kind::Directory).with("/opt/r", 0, Kind::Directory);
        case.host = case.host.with("/usr", 1000, Kind::Directory);
        case.facts.idmapped_overlay = mapped;
        let plan = crate::plan::Plan::new(case.draft().unwrap(), vec![], &case.facts);
        plan.fallbacks.iter().any(|f| f.layer == "owners of bound files")
    };
    assert!(told("/home/u", false));
    assert!(!told("/home/u", true), "its owner is root inside");
    assert!(!told("/opt/r", false), "root's own");
    assert!(!told("/usr", false), "read-only by itself");
}

#[test]
fn a_flag_that_loosens_a_lock_is_an_error_that_names_both() {
    type Change = fn(&mut Request);
    let cases: [(Change, &str); 12] = [
        (|r| r.isolation.cap_add = vec![cap("CAP_CHOWN")], "--cap-add CHOWN"),
        (|r| r.isolation.privileged = true, "--privileged"),
        (|r| r.isolation.read_only = Some(false), "--read-only=false"),
        (|r| r.process.user = Some(UserSpec { typed: "0".into(), user: "0".into(), group: None }), "--user 0"),
        (
            |r| {
                let target = NetworkTarget::Host;
                r.network.networks = vec![NetworkSpec {
                    target,
                    aliases: vec![],
                    ip: None,
                    ip6: None,
                    mac: None,
                    link_local_ips: vec![],
                    driver_opts: vec![],
                    gw_priority: None,
                    typed: "--network host".into(),
                }];
            },
            "--network host",
        ),
        (|r| r.resources.memory = Some(2 << 30), "--memory"),
        (|r| r.resources.memory_swap = Some(-1), "--memory-swap"),
        (|r| r.resources.pids_limit = Some(-1), "--pids-limit"),
        (|r| r.resources.cpus = Some(Cpus { nano: 2_000_000_000 }), "--cpus"),
        (|r| r.process.oom_score_adj = Some(0), "--oom-score-adj"),
        (|r| r.process.ulimits = vec![Ulimit { name: "nofile".into(), soft: 4096, hard: 4096 }], "--ulimit nofile"),
        (|r| r.isolation.security_opts = vec![SecurityOpt::SeccompUnconfined], "--security-opt seccomp"),
    ];
    for (change, flag) in cases {
        let e = Case::new(&["x"]).preset("strict").ask(change).draft().unwrap_err();
        assert_eq!(e.kind.exit_code(), 125);
        assert!(e.message.contains(flag) && e.message.contains("preset strict"), "{flag}: {}", e.message);
    }
}

#[test]
fn an_id_that_the_container_does_not_have_is_an_error_with_a_way_on() {
    let case = Case::new(&["x"]).ask(|r| r.process.user = Some(user("70000")));
    let e = case.draft().unwrap_err();
    assert!(e.message.contains("70000") && e.hint.unwrap().contains("folder's owner"));
    let mut case = case;
    case.facts.user_namespaces = false;
    assert_eq!(case.draft().unwrap().process.user.value.uid, 70000);
}

#[test]
fn a_flag_may_tighten_a_lock() {
    let d = Case::new(&["x"])
        .preset("strict")
        .ask(|r| {
            r.resources.memory = Some(64 << 20);
            r.resources.pids_limit = Some(16);
            r.process.user = Some(UserSpec { typed: "1000".into(), user: "1000".into(), group: None });
        })
        .draft()
        .unwrap();
    assert_eq!(d.resources.memory.unwrap().value, 64 << 20);
    assert_eq!(d.resources.pids.unwrap().source.to_string(), "flag --pids-limit");
}

#[test]
fn strict_has_its_own_folders_in_memory_which_a_flag_replaces() {
    let d = Case::new(&["x"]).preset("strict").draft().unwrap();
    let find = |path: &str| d.mounts.iter().find(|m| m.destination == path).unwrap().clone();
    assert!(d.root.readonly.value && d.capabilities.value.is_empty() && find("/tmp").noexec);
    assert!(matches!(find("/run").kind, MountKind::Tmpfs { size: 16777216, mode: 0o755, .. }));
    let typed = "--tmpfs /tmp:size=1m,exec".to_owned();
    let d = Case::new(&["x"])
        .preset("strict")
        .ask(|r| {
            r.mounts.mounts = vec![MountRequest::Tmpfs(TmpfsRequest {
                destination: "/tmp/".into(),
                readonly: None,
                size: Some(1 << 20),
                mode: None,
                uid: None,
                gid: None,
                exec: None,
                suid: None,
                dev: None,
                typed,
            })];
        })
        .draft()
        .unwrap();
    let at_tmp: Vec<_> = d.mounts.iter().filter(|m| m.destination == "/tmp").collect();
    assert_eq!(at_tmp.len(), 1);
    assert!(matches!(at_tmp[0].kind, MountKind::Tmpfs { size: 1048576, .. }));
}

#[test]
fn a_bound_folder_belongs_to_its_owner_and_no_setid_file_can_be_made_in_it() {
    let mut case = Case::new(&["x"]).ask(|r| r.mounts.mounts = vec![bind("/home/u/src", "/src"), bind("/opt/r", "/r")]);
    case.host = FakeHost::default().with("/home/u/src", 1000, Kind::Directory).with("/opt/r", 0, Kind::Directory);
    let d = case.draft().unwrap();
    let idmap = |path: &str| match &d.mounts.iter().find(|m| m.destination == path).unwrap().kind {
        MountKind::Bind { idmap, .. } => *idmap,
        other => panic!("{other:?}"),
    };
    assert_eq!(idmap("/src"), BindIdmap::Owner);
    assert_eq!(idmap("/r"), BindIdmap::Identity);
    assert!(d.seccomp.no_setid.value);
    assert_eq!(d.seccomp.no_setid.source.to_string(), "flag -v /home/u/src:/src");
}

#[test]
fn a_sensitive_folder_without_a_mode_is_read_only_hides_hosts_root_and_says_so() {
    let mut case = Case::new(&["x"]).ask(|r| r.mounts.mounts = vec![bind("/usr", "/host/usr")]);
    case.host = FakeHost::default().with("/usr", 0, Kind::Directory);
    let d = case.draft().unwrap();
    let mount = d.mounts.iter().find(|m| m.destination == "/host/usr").unwrap();
    assert!(mount.readonly.value);
    assert!(matches!(mount.kind, MountKind::Bind { idmap: BindIdmap::NoRoot, mode_asked: false, .. }));
    assert!(d.notices.iter().any(|n| n.contains("-v /usr:/host/usr") && n.contains("read-only")));
    assert!(!d.seccomp.no_setid.value);
}

#[test]
fn a_missing_source_is_made_for_volume_and_refused_for_mount() {
    let ask = |create: bool| {
        let mut case = Case::new(&["x"]).ask(|r| {
            let MountRequest::Bind(mut b) = bind("/home/u/new/deep", "/d") else { unreachable!() };
            b.create = create;
            r.mounts.mounts = vec![MountRequest::Bind(b)];
        });
        case.host = FakeHost::default().with("/home/u", 1000, Kind::Directory);
        case.draft()
    };
    let d = ask(true).unwrap();
    let MountKind::Bind { source, create, uid, .. } = &d.mounts.iter().find(|m| m.destination == "/d").unwrap().kind
    else {
        panic!("not a bind")
    };
    assert_eq!((source.as_path(), *create), (Path::new("/home/u/new/deep"), true));
    assert_eq!(*uid, 1000, "what is made in a user's folder is the user's");
    let e = ask(false).unwrap_err();
    assert!(e.message.contains("bind source path does not exist: /home/u/new/deep"), "{}", e.message);
}

#[test]
fn two_mounts_on_one_place_are_an_error_and_parents_come_first() {
    let two = |a: &str, b: &str| {
        let (a, b) = (bind("/home/u", a), bind("/home/u", b));
        let mut case = Case::new(&["x"]).ask(|r| r.mounts.mounts = vec![a, b]);
        case.host = FakeHost::default().with("/home/u", 1000, Kind::Directory);
        case.draft()
    };
    assert_eq!(two("/x", "/x/.").unwrap_err().message, "duplicate mount point: /x");
    let d = two("/x/y/z", "/x").unwrap();
    let order: Vec<&str> = d.mounts.iter().map(|m| m.destination.as_str()).filter(|m| m.starts_with("/x")).collect();
    assert_eq!(order, ["/x", "/x/y/z"]);
}

#[test]
fn a_volume_that_is_a_bind_by_another_name_is_a_bind() {
    let volume = |o: &str| {
        let opts = vec![("type".into(), "none".into()), ("o".into(), o.into()), ("device".into(), "/etc".into())];
        let mut case = Case::new(&["x"]).ask(|r| {
            r.mounts.mounts = vec![MountRequest::Volume(VolumeRequest {
                name: Some("v1".into()),
                destination: "/v".into(),
                readonly: None,
                nocopy: false,
                subpath: None,
                driver: None,
                opts,
                labels: vec![],
                noexec: false,
                typed: "--mount type=volume,…".into(),
            })];
        });
        case.host = FakeHost::default().with("/etc", 0, Kind::Directory);
        case.draft()
    };
    let d = volume("bind").unwrap();
    let mount = d.mounts.iter().find(|m| m.destination == "/v").unwrap();
    assert!(matches!(&mount.kind, MountKind::Bind { source, .. } if source == Path::new("/etc")));
    assert!(mount.readonly.value, "sensitive, and no mode was asked");
    assert!(volume("loop").is_err());
}

#[test]
fn volumes_of_the_image_are_anonymous_and_in_memory_under_strict() {
    let case = || {
        Case::new(&["x"]).image(|c| {
            c.set_volumes(Some(vec!["/data".into()]));
        })
    };
    let kind = |c: Case| c.draft().unwrap().mounts.iter().find(|m| m.destination == "/data").unwrap().kind.clone();
    assert!(matches!(kind(case()), MountKind::Volume { name: None, copy_up: true, .. }));
    assert!(matches!(kind(case().preset("strict")), MountKind::Tmpfs { .. }));
}

#[test]
fn a_limit_that_the_kernel_cannot_set_is_discarded_and_said_where_a_flag_asked() {
    let mut case = Case::new(&["x"]).ask(|r| r.resources.blkio_weight = Some(100));
    case.facts.limits.retain(|l| !matches!(l, Limit::Swap | Limit::BlkioWeight));
    let d = case.draft().unwrap();
    assert!(d.resources.memory_swap.is_none() && d.resources.blkio_weight.is_none());
    assert!(d.notices.iter().any(|n| n.starts_with("--blkio-weight")));
    assert!(!d.notices.iter().any(|n| n.contains("swap")));
}

#[test]
fn dockers_limits_on_limits_hold() {
    type Change = fn(&mut ResourcesRequest);
    let cases: [(Change, &str); 6] = [
        (|r| r.memory = Some(1 << 20), "minimum memory limit allowed is 6MB"),
        (|r| (r.memory, r.memory_swap) = (Some(64 << 20), Some(32 << 20)), "memoryswap limit should be larger"),
        (|r| r.cpus = Some(Cpus { nano: 5_000_000_000 }), "as there are only 4 CPUs available"),
        (|r| (r.cpus, r.cpu_quota) = (Some(Cpus { nano: 1_000_000_000 }), Some(5000)), "conflicting options"),
        (|r| r.cpuset_cpus = Some("0-7".into()), "available: 0-3"),
        (|r| r.cpu_period = Some(10), "CPU cfs period"),
    ];
    for (change, text) in cases {
        let e = Case::new(&["x"]).ask(|r| change(&mut r.resources)).draft().unwrap_err();
        assert!(e.message.contains(text), "{}", e.message);
    }
}

#[test]
fn files_of_the_network_fit_the_namespace() {
    let file = |d: &Draft, path: &str| match &d.mounts.iter().find(|m| m.destination == path).unwrap().kind {
        MountKind::File { content, .. } => content.clone(),
        other => panic!("{other:?}"),
    };
    let on = |name: &str| vec![name.parse::<NetworkSpec>().unwrap()];
    let d = Case::new(&["x"]).draft().unwrap();
    assert!(file(&d, "/etc/resolv.conf").starts_with("nameserver 127.0.0.11\n"));
    assert!(file(&d, "/etc/resolv.conf").ends_with("ndots:0\n"));
    assert!(!file(&d, "/etc/hosts").contains("a1b2c3d4e5f6"), "its address is known when it has one");
    let d = Case::new(&["x"]).ask(|r| r.network.networks = on("none")).draft().unwrap();
    assert!(file(&d, "/etc/hosts").contains("127.0.1.1\ta1b2c3d4e5f6\n"));
    assert_eq!(file(&d, "/etc/hostname"), "a1b2c3d4e5f6\n");
    assert_eq!(file(&d, "/etc/resolv.conf"), "", "loopback only: nothing of the host's network is told");
    let d = Case::new(&["x"])
        .ask(|r| {
            r.network.networks = on("none");
            r.network.dns = vec!["198.51.100.1".into()];
            r.network.add_host = vec![AddHost { name: "db".into(), address: "192.0.2.7".into() }];
        })
        .draft()
        .unwrap();
    assert_eq!(file(&d, "/etc/resolv.conf"), "nameserver 198.51.100.1\n");
    assert!(file(&d, "/etc/hosts").ends_with("192.0.2.7\tdb\n"));
}

#[test]
fn a_draft_reads_back_from_its_json() {
    let d = Case::new(&["x"]).draft().unwrap();
    let json = serde_json::to_string(&d).unwrap();
    assert_eq!(serde_json::from_str::<Draft>(&json).unwrap(), d);
}

#[test]
fn ports_addresses_and_ways_out_are_decided() {
    let ask = |change: &dyn Fn(&mut crate::request::NetworkRequest)| {
        Case::new(&["x"]).ask(|r| change(&mut r.network)).draft()
    };
    let d = ask(&|n| n.publish = vec!["8080-8081:80".parse().unwrap(), "0.0.0.0::53/udp".parse().unwrap()]).unwrap();
    let shown: Vec<String> = d.network.publish.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["127.0.0.1:8080-8081->80/tcp", "0.0.0.0:any->53/udp"]);
    assert_eq!(d.asked.publish.len(), 3, "a rule judges every port that may be taken");
    assert!(d.notices.iter().any(|n| n.contains("published on 127.0.0.1 only")));
    let d = ask(&|n| {
        n.networks = vec!["none".parse().unwrap()];
        n.publish = vec!["80:80".parse().unwrap()];
    })
    .unwrap();
    assert!(d.network.publish.is_empty() && d.notices.iter().any(|n| n.contains("discarded")));
    let d = ask(&|n| {
        n.publish_all = true;
        n.expose = vec!["9000".parse().unwrap()];
    })
    .unwrap();
    assert!(d.network.publish.iter().any(|p| p.container_port == 9000 && p.host_port.is_none()));
    let e = ask(&|n| n.networks = vec!["name=bridge,ip=172.17.0.9".parse().unwrap()]).unwrap_err();
    assert!(e.message.contains("supported on user defined networks only"), "{e}");
    let d = ask(&|n| n.networks = vec!["name=a,ip=10.9.0.9,alias=db".parse().unwrap(), "b".parse().unwrap()]).unwrap();
    assert_eq!(d.network.endpoints.len(), 2);
    assert_eq!(
        (d.network.endpoints[0].ip.as_deref(), d.network.endpoints[0].aliases.as_slice()),
        (Some("10.9.0.9"), &["db".to_owned()][..])
    );
    assert!(ask(&|_| {}).unwrap().network.egress.is_none());
    let d = ask(&|n| n.egress = vec!["none".parse().unwrap()]).unwrap();
    assert_eq!(d.network.egress.unwrap().value, []);
    let d = ask(&|n| n.egress = vec!["10.0.0.1:443".parse().unwrap(), "Example.org".parse().unwrap()]).unwrap();
    let to: Vec<String> = d.network.egress.unwrap().value.iter().map(ToString::to_string).collect();
    assert_eq!(to, ["10.0.0.1/32:443", "example.org"]);
    let host = |n: &mut crate::request::NetworkRequest| n.networks = vec!["host".parse().unwrap()];
    assert!(
        ask(&|n| {
            host(n);
            n.egress = vec!["none".parse().unwrap()];
        })
        .is_err()
    );
    let gateway = |access| {
        ask(&move |n| {
            n.host_access = access;
            n.add_host = vec![AddHost { name: "h".into(), address: "host-gateway".into() }];
        })
        .unwrap()
        .notices
        .len()
    };
    assert_eq!((gateway(false), gateway(true)), (1, 0));
}

#[test]
fn a_port_that_nobody_can_listen_on_is_told() {
    let published =
        |port: &str| Case::new(&["x"]).ask(|r| r.network.publish = vec![port.parse().unwrap()]).draft().unwrap();
    let told = |d: &Draft| d.notices.iter().any(|n| n.contains("5000/sctp") && n.contains("seccomp-open"));
    let mut d = published("5000:5000/sctp");
    assert!(told(&d));
    assert!(!told(&published("5000:5000/tcp")));
    d.seccomp.opened.insert("sctp".into());
    assert_eq!(network::sctp_shut(&d), None);
    d.seccomp.shut.insert("sctp".into());
    assert!(network::sctp_shut(&d).is_some());
    d.seccomp.profile = Sourced::flag(crate::plan::SeccompProfile::Unconfined, "--security-opt seccomp");
    assert_eq!(network::sctp_shut(&d), None);
}

#[test]
fn who_joins_anothers_memory_or_processes_has_the_others_labels() {
    let labels = |change: fn(&mut Request)| {
        let mut case = Case::new(&["x"]).ask(change);
        case.facts.selinux = true;
        case.draft().unwrap().selinux
    };
    let other = FakeHost::default().container(&Paths::new(None), OTHER).unwrap().unwrap();
    let (own, others) = (labels(|_| {}), other.draft.selinux);
    assert_ne!(own.value, others.value);
    let ipc = labels(|r| r.isolation.ipc = Some(IpcMode::Container(OTHER.into())));
    assert_eq!((ipc.value, ipc.source.to_string().as_str()), (others.value.clone(), "flag --ipc"));
    let pid = labels(|r| r.isolation.pid = Some(NamespaceMode::Container(OTHER.into())));
    assert_eq!(pid.value, others.value);
    let asked = labels(|r| {
        r.isolation.pid = Some(NamespaceMode::Container(OTHER.into()));
        r.isolation.security_opts = vec![SecurityOpt::Label { key: "level".into(), value: "s0:c1,c2".into() }];
    });
    assert!(matches!(asked.value, crate::plan::SeLinux::Labels { process, .. } if process.ends_with(":s0:c1,c2")));
}

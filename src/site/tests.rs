use super::law::{Ceilings, Grant, Law, Signed, SitePath};
use super::pattern::Pattern;
use super::signature::Signature;
use super::*;
use crate::facts::{Facts, Held, Limit, PathClass};
use crate::plan::{Draft, MountKind, Rlimit, Source, Sourced};
use crate::policy::testkit::{bind, binds, draft, draft_with, facts as host, seen};
use crate::policy::{Allow, Override, Verdict, judge, registry, render};
use std::process::Command;

fn facts(change: impl FnOnce(&mut Site)) -> Facts {
    let mut facts = host();
    facts.limits = Limit::ALL.iter().copied().collect();
    facts.site = Site { digest: Some("sha256:0".into()), today: "2026-06-15".into(), ..Site::default() };
    change(&mut facts.site);
    facts
}

fn allow(rule: &str) -> Vec<Allow> {
    vec![Allow { rule: rule.into(), reason: None }]
}

fn grant(rule: &str) -> Grant {
    Grant {
        rule: rule.into(),
        users: vec![],
        groups: vec![],
        images: vec![],
        reason: "a test".into(),
        expires: "2026-12-31".into(),
    }
}

fn patterns(words: &[&str]) -> Vec<Pattern> {
    words.iter().map(|w| Pattern::parse(w).unwrap()).collect()
}

fn publishes_all() -> Draft {
    draft_with(|d| d.asked.publish_all = true)
}

fn judged(draft: &Draft, facts: &Facts, allows: &[Allow]) -> Verdict {
    judge(draft, facts, allows).unwrap()
}

fn pulled(from: &str, digest: &str) -> Draft {
    draft_with(|d| {
        d.image.repositories = vec![from.into()];
        d.image.manifest_digest = digest.into();
    })
}

#[test]
fn the_sites_rules_are_rules_like_the_others_and_none_fires_by_itself() {
    for rule in rules::RULES {
        assert!(registry::RULES.iter().all(|r| r.id != rule.id) && registry::find(rule.id).is_some(), "{}", rule.id);
        assert!(matches!(rule.overriding, Override::Never(_)), "{}", rule.id);
        for text in [rule.summary, rule.risk, rule.instead, rule.example] {
            assert!(!text.is_empty() && !text.contains('\n') && !text.ends_with('.'), "{}: {text:?}", rule.id);
        }
        assert_eq!((rule.check)(&draft(), &host()), [], "{}", rule.id);
        assert!(rule.id.parse::<Allow>().is_err(), "{}", rule.id);
    }
}

#[test]
fn an_override_needs_the_sites_permission() {
    let rule = "publish-all";
    let passes = |change: &dyn Fn(&mut Site)| judged(&publishes_all(), &facts(|s| change(s)), &allow(rule)).passed();
    let with = |change: &dyn Fn(&mut Grant)| {
        let mut entry = grant(rule);
        change(&mut entry);
        passes(&|s| s.law.allow = vec![entry.clone()])
    };
    assert!(passes(&|_| {}), "nothing is said of it");
    assert!(!passes(&|s| s.law.unlisted_overrides = Unlisted::Deny));
    assert!(!passes(&|s| s.law.deny = vec![rule.into()]));
    assert!(!passes(&|s| {
        s.law.deny = vec![rule.into()];
        s.law.allow = vec![grant(rule)];
    }));
    assert!(with(&|_| {}));
    assert!(with(&|g| g.expires = "2026-06-15".into()), "the last day counts");
    assert!(!with(&|g| g.expires = "2026-06-14".into()));
    assert!(with(&|g| g.users = vec![Name::Id(0)]));
    assert!(!with(&|g| g.users = vec![Name::Id(1000)]));
    assert!(!with(&|g| g.groups = vec![Name::Name("ops".into())]));
    assert!(!with(&|g| g.images = patterns(&["reg.lan/"])));
    // What is listed for one rule says nothing of another.
    assert!(passes(&|s| s.law.allow = vec![grant("host-network")]));
}

#[test]
fn what_permitted_it_and_what_did_not_is_told() {
    let permitted = facts(|s| s.law.allow = vec![grant("publish-all")]);
    let verdict = judged(&publishes_all(), &permitted, &allow("publish-all"));
    assert_eq!(verdict.overridden[0].permitted.as_deref(), Some("until 2026-12-31: a test"));
    let plan = crate::plan::Plan::new(publishes_all(), verdict.overridden, &permitted);
    let rows = crate::plan::explain::rows(&plan, "6.12.0");
    let of_site: Vec<&str> = rows.iter().filter(|r| r.source == "site policy").map(|r| r.layer.as_str()).collect();
    assert_eq!(of_site, ["override permitted", "judged by"]);

    let denied = facts(|s| {
        s.law.unlisted_overrides = Unlisted::Deny;
        s.law.messages = [("publish-all".to_owned(), "ask ops\u{1b}[31m\nroom 4".to_owned())].into();
    });
    let verdict = judged(&publishes_all(), &denied, &allow("publish-all"));
    let text = render::text(&verdict);
    assert!(text.contains("override  not here, by the site's policy: it is not among the overrides"), "{text}");
    assert!(text.contains("site      ask ops") && text.contains("site      room 4"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains("--allow publish-all"), "{text}");
    let json = render::json(&verdict);
    assert_eq!(json["refused"][0]["override"], serde_json::Value::Null);
    assert!(json["refused"][0]["site_policy"].as_str().unwrap().contains("not among"));
    let entry = crate::audit::Entry::refusal(&publishes_all(), &verdict);
    assert!(entry.note.unwrap().contains("publish-all: it is not among"));
}

#[test]
fn grants_for_images_go_by_where_they_come_from() {
    let rule = "publish-all";
    let law = facts(|s| s.law.allow = vec![Grant { images: patterns(&["reg.lan/mon/"]), ..grant(rule) }]);
    let passes = |image: Draft| {
        let mut image = image;
        image.asked.publish_all = true;
        judged(&image, &law, &allow(rule)).passed()
    };
    assert!(passes(pulled("reg.lan/mon/agent", "sha256:1")));
    assert!(!passes(pulled("reg.lan/other", "sha256:1")));
    // By digest, wherever it is from.
    let digest = |n: &str| format!("sha256:{}", n.repeat(64));
    let by_digest = facts(|s| s.law.allow = vec![Grant { images: patterns(&[&digest("a")]), ..grant(rule) }]);
    for (n, may) in [("a", true), ("b", false)] {
        let mut image = pulled("reg.lan/other", &digest(n));
        image.asked.publish_all = true;
        assert_eq!(judged(&image, &by_digest, &allow(rule)).passed(), may, "{n}");
    }
    // A tag is given here, and says nothing.
    let tagged = facts(|s| s.law.allow = vec![Grant { images: patterns(&["reg.lan/mon/agent:1"]), ..grant(rule) }]);
    let mut agent = pulled("reg.lan/mon/agent", "sha256:1");
    (agent.asked.publish_all, agent.image.name) = (true, "reg.lan/mon/agent:1".into());
    assert!(!judged(&agent, &tagged, &allow(rule)).passed());
    // A name that was given here is nobody's word.
    assert!(!passes(draft_with(|d| d.image.name = "reg.lan/mon/agent:1".into())));
}

#[test]
fn registries() {
    let refuses = |draft: &Draft, change: &dyn Fn(&mut Law)| {
        let facts = facts(|s| {
            s.law.registries = Some(patterns(&["reg.lan/team/", "docker.io/library/busybox"]));
            change(&mut s.law);
        });
        judged(draft, &facts, &[]).refused_rules().contains(&"site-registry")
    };
    let no = &|_: &mut Law| {};
    let unknown = |name: &str| draft_with(|d| (d.image.manifest_digest, d.image.name) = (String::new(), name.into()));
    assert!(!refuses(&pulled("reg.lan/team/app", "sha256:1"), no));
    assert!(refuses(&pulled("reg.lan/other/app", "sha256:1"), no));
    assert!(!refuses(&unknown("reg.lan/team/app:1"), no) && !refuses(&unknown("busybox:latest"), no));
    assert!(refuses(&unknown("alpine:latest"), no) && refuses(&unknown("reg.lan/x"), no));
    // Loaded, imported or committed, whatever it is called, and a folder.
    let local = draft_with(|d| d.image.name = "reg.lan/team/app:1".into());
    let folder = draft_with(|d| d.asked.rootfs = Some("/srv/root".into()));
    assert!(refuses(&local, no) && refuses(&folder, no));
    let with_local = &|law: &mut Law| law.local_images = true;
    assert!(!refuses(&local, with_local) && !refuses(&folder, with_local));
    let none = draft_with(|d| (d.image.manifest_digest, d.image.reference) = (String::new(), String::new()));
    assert!(!refuses(&none, no), "a volume has no image");
    assert!(rules::may_pull(None, &"x".parse().unwrap()));
    let listed = patterns(&["reg.lan/team/"]);
    assert!(rules::may_pull(Some(&listed), &"reg.lan/team/a:1".parse().unwrap()));
    assert!(!rules::may_pull(Some(&listed), &"reg.lan/b".parse().unwrap()));
}

#[test]
fn digests() {
    let law = facts(|s| s.law.require_digest = true);
    let rules =
        |reference: &str| judged(&draft_with(|d| d.image.reference = reference.into()), &law, &[]).refused_rules();
    let hex = "a".repeat(64);
    assert_eq!(rules("busybox"), ["site-digest"]);
    assert_eq!(rules("busybox:1"), ["site-digest"]);
    assert_eq!(rules("aaaaaaaaaaaa"), ["site-digest"], "a part of an ID can be another image's tomorrow");
    // A tag may look like an ID, and a digest may be typed that the image has not.
    for other in [format!("busybox@sha256:{hex}"), format!("sha256:{hex}"), hex.clone()] {
        assert_eq!(rules(&other), ["site-digest"], "{other}");
    }
    let (manifest, config) = ("1".repeat(64), "2".repeat(64));
    for fine in [format!("busybox@sha256:{manifest}"), format!("sha256:{config}"), config.clone()] {
        assert!(rules(&fine).is_empty(), "{fine}");
    }
    let unknown = |reference: &str| {
        let draft = draft_with(|d| {
            d.image.reference = reference.into();
            (d.image.manifest_digest, d.image.config_digest) = (String::new(), String::new());
        });
        judged(&draft, &law, &[]).refused_rules()
    };
    assert!(unknown(&format!("busybox@sha256:{hex}")).is_empty(), "it is judged again after the pull");
    assert_eq!(unknown(&format!("sha256:{hex}")), ["site-digest"]);
    let folder = draft_with(|d| d.asked.rootfs = Some("/x".into()));
    assert!(judged(&folder, &law, &[]).refused_rules().contains(&"site-digest"));
}

fn ceilings(change: impl FnOnce(&mut Ceilings)) -> Facts {
    facts(|s| change(&mut s.law.limits))
}

#[test]
fn defaults_are_lowered_to_the_ceiling_and_flags_refused() {
    let law = ceilings(|c| {
        (c.memory, c.memory_swap, c.pids, c.nano_cpus) =
            (Some(256 << 20), Some(256 << 20), Some(100), Some(500_000_000));
        (c.timeout, c.ulimits) = (Some(60), [("nofile".to_owned(), 512), ("nproc".to_owned(), 64)].into());
    });
    let mut plain = draft();
    limits::lower(&mut plain, &law);
    let r = &plain.resources;
    for limit in [&r.memory, &r.memory_swap] {
        assert_eq!(*limit, Some(Sourced::new(256 << 20, Source::Site)));
    }
    assert_eq!(r.pids, Some(Sourced::new(100, Source::Site)));
    assert_eq!((r.cpu_quota.as_ref().unwrap().value, r.cpu_period.as_ref().unwrap().value), (50_000, 100_000));
    assert_eq!(plain.process.rlimits["nofile"], Sourced::new(Rlimit { soft: 512, hard: 512 }, Source::Site));
    assert_eq!(plain.process.rlimits["nproc"].value.hard, 64);
    assert_eq!(plain.timeout, Some(Sourced::new(60, Source::Site)));
    let said = plain.notices.join("\n");
    assert!(
        said.contains("memory 256 MiB instead of 1 GiB") && said.contains("processes 100 instead of 512"),
        "{said}"
    );
    assert!(judged(&plain, &law, &[]).passed());
    // As it was made before the policy was: refused when it is started.
    assert_eq!(judged(&draft(), &law, &[]).refused.len(), 7);

    type Change = fn(&mut Draft);
    let asked: [(Change, &str); 6] = [
        (|d| d.resources.memory = Some(Sourced::flag(1 << 30, "--memory")), "--memory 1 GiB"),
        (|d| d.resources.memory_swap = Some(Sourced::flag(-1, "--memory-swap")), "--memory-swap: no limit"),
        (|d| d.resources.pids = Some(Sourced::flag(101, "--pids-limit")), "--pids-limit 101"),
        (|d| d.resources.cpu_quota = Some(Sourced::flag(100_000, "--cpus")), "--cpus 1"),
        (|d| d.timeout = Some(Sourced::flag(61, "--timeout")), "--timeout 61"),
        (
            |d| {
                let all = Rlimit { soft: u64::MAX, hard: u64::MAX };
                d.process.rlimits.insert("nproc".into(), Sourced::flag(all, "--ulimit nproc"));
            },
            "--ulimit nproc=-1",
        ),
    ];
    for (change, words) in asked {
        let mut d = draft_with(change);
        limits::lower(&mut d, &law);
        let refused = judged(&d, &law, &[]).refused;
        let of_site: Vec<&str> = refused.iter().filter(|f| f.rule == "site-limit").map(|f| f.asked.as_str()).collect();
        assert_eq!(of_site, [words]);
        assert!(refused.iter().all(|f| f.rule != "site-limit" || f.instead.is_some()));
    }
    // A flag below the ceiling stays as it is.
    let mut small = draft_with(|d| d.resources.memory = Some(Sourced::flag(64 << 20, "--memory")));
    limits::lower(&mut small, &law);
    assert_eq!(small.resources.memory.unwrap().source, Source::Flag("--memory".into()));
}

#[test]
fn what_the_kernel_cannot_limit_is_not_asked_of_it() {
    let mut law =
        ceilings(|c| (c.memory, c.memory_swap, c.nano_cpus) = (Some(1 << 20), Some(1 << 20), Some(10_000_000)));
    law.limits.clear();
    let mut d = draft_with(|d| d.resources = Default::default());
    limits::lower(&mut d, &law);
    assert_eq!(d.resources, Default::default());
    assert_eq!(limits::check(&d, &law), []);
}

#[test]
fn tmpfs_is_lowered_by_default_and_refused_by_flag() {
    let law = ceilings(|c| (c.tmpfs_size, c.shm_size) = (Some(1 << 20), Some(2 << 20)));
    let tmpfs = |destination: &str, asked: &str| {
        let mut mount = bind("/srv:/x");
        mount.destination = destination.into();
        mount.kind = MountKind::Tmpfs { size: 64 << 20, mode: 0o1777, uid: 0, gid: 0 };
        mount.asked = asked.into();
        mount
    };
    let mut d = draft_with(|d| {
        d.resources.shm_size = Some(Sourced::default(64 << 20));
        d.mounts = vec![tmpfs("/run", "preset"), tmpfs("/dev/shm", "/dev/shm")];
    });
    limits::lower(&mut d, &law);
    let sizes: Vec<u64> =
        d.mounts.iter().map(|m| if let MountKind::Tmpfs { size, .. } = m.kind { size } else { 0 }).collect();
    assert_eq!(sizes, [1 << 20, 2 << 20]);
    assert!(judged(&d, &law, &[]).passed());
    for destination in ["/t", "/dev/shm"] {
        let mut d = draft_with(|d| d.mounts = vec![tmpfs(destination, "--tmpfs /t:size=64m")]);
        limits::lower(&mut d, &law);
        assert_eq!(judged(&d, &law, &[]).refused_rules(), ["site-limit"], "{destination}");
    }
}

#[test]
fn further_paths() {
    let law = facts(|s| {
        let path = |path: &str, mode| SitePath { path: path.into(), mode, reason: "keys".into() };
        s.law.paths = vec![path("/srv/keys", PathMode::Never), path("/srv/conf", PathMode::ReadOnly)];
    });
    let rules = |draft: &Draft| judged(draft, &law, &allow("sensitive-mount-rw")).refused_rules();
    let plain = |draft: &Draft| judged(draft, &law, &[]).refused_rules();
    for barred in ["/srv/keys:/x:ro", "/srv/keys/deep:/x:ro"] {
        assert_eq!(plain(&binds(&[barred])), ["site-path"], "{barred}");
        // There is no override.
        assert_eq!(rules(&binds(&[barred])), ["site-path"]);
    }
    assert_eq!(plain(&binds(&["/srv/keyring:/x:ro"])), Vec::<&str>::new());
    assert_eq!(plain(&binds(&["/srv/conf/a:/x:rw"])), ["sensitive-mount-rw"]);
    assert!(plain(&binds(&["/srv/conf:/x"])).is_empty(), "read-only without a word");
    // A folder that holds it: covered, and then fine.
    let held = Held { path: "/srv/keys".into(), class: PathClass::Barred, why: "keys".into() };
    let mut d = draft_with(|d| d.mounts = vec![seen(bind("/srv:/x:ro"), |s| s.holds = vec![held])]);
    assert_eq!(plain(&d), ["site-path"]);
    let covers = crate::policy::sensitive::covers(&d.mounts);
    assert_eq!(covers.masked, ["/x/keys"]);
    d.masked_paths.value.extend(covers.masked);
    assert!(plain(&d).is_empty());
}

#[test]
fn the_disk_is_looked_at_for_further_paths() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().canonicalize().unwrap().join(name);
    std::fs::create_dir(at("keys")).unwrap();
    std::fs::create_dir(at("conf")).unwrap();
    std::fs::write(at("keys/one"), "x").unwrap();
    std::fs::hard_link(at("keys/one"), at("innocent")).unwrap();
    let law = facts(|s| {
        let path = |path, mode| SitePath { path, mode, reason: "a test".into() };
        s.law.paths = vec![path(at("keys/one"), PathMode::Never), path(at("conf"), PathMode::ReadOnly)];
    });
    let seen = crate::facts::bind::look(&at(""), &law);
    let held = |class| seen.holds.iter().filter(|h| h.class == class).map(|h| h.path.clone()).collect::<Vec<_>>();
    assert_eq!(held(PathClass::Barred), [at("keys/one")]);
    assert_eq!(held(PathClass::Startup), [at("conf")]);
    let link = crate::facts::bind::look(&at("innocent"), &law);
    assert!(link.is.iter().any(|h| h.class == PathClass::Barred), "{link:?}");
}

/// A key pair of openssl's, and what it signs.
struct Key {
    folder: tempfile::TempDir,
    pem: String,
}

impl Key {
    fn new() -> Key {
        let folder = tempfile::tempdir().unwrap();
        let (private, public) = (folder.path().join("key"), folder.path().join("pub"));
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private.to_str().unwrap()]);
        openssl(&["ec", "-in", private.to_str().unwrap(), "-pubout", "-out", public.to_str().unwrap()]);
        Key { pem: std::fs::read_to_string(public).unwrap(), folder }
    }

    fn sign(&self, digest: &str, payload: &str) -> Signature {
        use base64::Engine as _;
        let (text, out) = (self.folder.path().join("payload"), self.folder.path().join("sig"));
        std::fs::write(&text, payload).unwrap();
        let key = self.folder.path().join("key");
        let [key, out_path, text] = [&key, &out, &text].map(|p| p.to_str().unwrap());
        openssl(&["dgst", "-sha256", "-sign", key, "-out", out_path, text]);
        let signature = base64::engine::general_purpose::STANDARD.encode(std::fs::read(&out).unwrap());
        Signature::new(digest, payload.as_bytes(), &signature)
    }
}

fn openssl(args: &[&str]) {
    let out = Command::new("openssl").args(args).output().expect("openssl is there");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn payload(digest: &str, repository: &str) -> String {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{repository}"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
    )
}

#[test]
fn signatures() {
    let (key, other) = (Key::new(), Key::new());
    signature::check_key(&key.pem).unwrap();
    let digest = format!("sha256:{}", "a".repeat(64));
    let repositories = ["reg.lan/team/app".to_owned()];
    let wanted = |keys: &[&Key], identity: Option<&str>| Signed {
        images: vec![],
        keys: keys.iter().map(|k| k.pem.clone()).collect(),
        identity: identity.map(str::to_owned),
    };
    let check = |wanted: &Signed, have: &[Signature]| signature::check(wanted, have, &[digest.as_str()], &repositories);
    let good = key.sign(&digest, &payload(&digest, "reg.lan/team/app"));
    check(&wanted(&[&key], None), std::slice::from_ref(&good)).unwrap();
    check(&wanted(&[&other, &key], None), std::slice::from_ref(&good)).unwrap();
    let why = |wanted: &Signed, have: &[Signature]| check(wanted, have).expect_err("does not count");
    assert!(why(&wanted(&[&key], None), &[]).contains("no signature"));
    assert!(why(&wanted(&[&other], None), std::slice::from_ref(&good)).contains("none of the policy's keys"));
    // Somebody else's text under a good signature, a signature of another text, of another image, another repository.
    let forged = Signature { payload: other.sign(&digest, &payload(&digest, "x")).payload, ..good.clone() };
    assert!(why(&wanted(&[&key], None), &[forged]).contains("none of the policy's keys"));
    let replayed = key.sign(&digest, &payload(&format!("sha256:{}", "b".repeat(64)), "reg.lan/team/app"));
    assert!(why(&wanted(&[&key], None), &[replayed]).contains("it is for sha256:bbb"));
    let moved = Signature { digest: format!("sha256:{}", "b".repeat(64)), ..good.clone() };
    assert!(why(&wanted(&[&key], None), &[moved]).contains("no signature"));
    let elsewhere = key.sign(&digest, &payload(&digest, "reg.lan/other"));
    assert!(why(&wanted(&[&key], None), std::slice::from_ref(&elsewhere)).contains("not for reg.lan/team/app"));
    check(&wanted(&[&key], Some("reg.lan/other")), std::slice::from_ref(&elsewhere)).unwrap();
    let untyped = key.sign(&digest, &payload(&digest, "reg.lan/team/app").replace("cosign container", "another"));
    assert!(why(&wanted(&[&key], None), &[untyped]).contains("of type"));
    assert!(why(&wanted(&[&key], None), &[key.sign(&digest, "{}")]).contains("no simple-signing payload"));
    // One that counts is enough, wherever it stands.
    check(&wanted(&[&key], None), &[elsewhere, good]).unwrap();
}

#[test]
fn only_keys_of_the_one_kind_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    openssl(&["genrsa", "-out", &at("rsa"), "2048"]);
    openssl(&["rsa", "-in", &at("rsa"), "-pubout", "-out", &at("rsa.pub")]);
    openssl(&["ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", &at("p384")]);
    openssl(&["ec", "-in", &at("p384"), "-pubout", "-out", &at("p384.pub")]);
    for name in ["rsa.pub", "p384.pub"] {
        let pem = std::fs::read_to_string(at(name)).unwrap();
        assert!(signature::check_key(&pem).unwrap_err().contains("P-256"), "{name}");
    }
    assert!(signature::check_key("hello").is_err());
}

#[test]
fn an_image_needs_every_signature_that_concerns_it() {
    let key = Key::new();
    let digest = format!("sha256:{}", "a".repeat(64));
    let law = facts(|s| {
        let images = patterns(&["reg.lan/team/"]);
        s.law.signatures = vec![Signed { images, keys: vec![key.pem.clone()], identity: None }];
    });
    let mut image = pulled("reg.lan/team/app", &digest);
    assert_eq!(judged(&image, &law, &[]).refused_rules(), ["site-signature"]);
    image.image.signatures = vec![key.sign(&digest, &payload(&digest, "reg.lan/team/app"))];
    assert!(judged(&image, &law, &[]).passed());
    // By the index that it was chosen from, too.
    let index = format!("sha256:{}", "c".repeat(64));
    image.image.signatures = vec![key.sign(&index, &payload(&index, "reg.lan/team/app"))];
    assert!(!judged(&image, &law, &[]).passed());
    image.image.index_digest = Some(index);
    assert!(judged(&image, &law, &[]).passed());
    // Not concerned; and a name given here concerns as well.
    assert!(judged(&pulled("reg.lan/other", &digest), &law, &[]).passed());
    for name in ["reg.lan/team/app:1", "REG.LAN/team/app", "reg.lan:0443/team/app"] {
        let named = draft_with(|d| d.image.name = name.into());
        assert_eq!(judged(&named, &law, &[]).refused_rules(), ["site-signature"], "{name}");
        let repository = name.split(":1").next().unwrap_or(name);
        assert_eq!(judged(&pulled(repository, &digest), &law, &[]).refused_rules(), ["site-signature"], "{name}");
    }
}

#[test]
fn signatures_are_kept_beside_the_images() {
    let folder = tempfile::tempdir().unwrap();
    let paths = crate::state::Paths::new(Some(&folder.path().join("root")));
    crate::image::private_dir(&paths.root).unwrap();
    let digest = format!("sha256:{}", "a".repeat(64));
    assert_eq!(signature::of(&paths, &[&digest]).unwrap(), []);
    let one = Signature { digest: digest.clone(), payload: "cA==".into(), signature: "cw==".into() };
    signature::keep(&paths, &digest, std::slice::from_ref(&one)).unwrap();
    assert_eq!(signature::of(&paths, &[&digest]).unwrap(), [one]);
    std::fs::write(signature::folder(&paths).join("a".repeat(64)), "{").unwrap();
    assert!(signature::of(&paths, &[&digest]).is_err());
}

#[test]
fn the_schema_knows_every_key_and_takes_no_other() {
    let schema = json_schema();
    assert_eq!(schema["additionalProperties"], false);
    for (key, described) in [
        ("allow", "GrantFile"),
        ("images", "ImagesFile"),
        ("signature", "SignatureFile"),
        ("limits", "CeilingsFile"),
        ("path", "PathFile"),
    ] {
        assert!(schema["properties"][key]["description"].is_string(), "{key}");
        let of = &schema["$defs"][described];
        assert_eq!(of["additionalProperties"], false, "{described}");
        for (name, property) in of["properties"].as_object().unwrap() {
            assert!(property["description"].is_string() || property["$ref"].is_string(), "{described}.{name}");
        }
    }
    let published: serde_json::Value = serde_json::from_str(include_str!("../../docs/policy.schema.json")).unwrap();
    assert_eq!(published, schema, "put the output of `hardrun policy schema` into docs/policy.schema.json");
}

#[test]
fn the_example_is_sound() {
    let text = include_str!("../../docs/policy.example.toml");
    let key = |_: &str| Ok(Key::new().pem);
    let law = parse(text, &key).unwrap();
    assert!(!law.allow.is_empty() && law.registries.is_some() && !law.signatures.is_empty());
}

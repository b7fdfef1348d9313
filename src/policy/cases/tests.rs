use super::*;

#[test]
fn the_plain_draft_passes_every_rule() {
    let verdict = judge(&super::super::testkit::draft(), &facts(), &[]).unwrap();
    assert_eq!(verdict, Default::default());
}

#[test]
fn ids_are_unique_and_kebab_case_and_texts_are_whole() {
    for (i, rule) in RULES.iter().enumerate() {
        assert!(RULES[..i].iter().all(|r| r.id != rule.id), "{} is there twice", rule.id);
        assert!(rule.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.id);
        let (Override::Loosens(text) | Override::Never(text)) = rule.overriding;
        for text in [rule.summary, rule.risk, rule.instead, rule.example, text] {
            assert!(!text.is_empty() && !text.contains('\n') && !text.ends_with('.'), "{}: {text:?}", rule.id);
        }
        assert!(!rule.references.is_empty(), "{}", rule.id);
    }
}

#[test]
fn every_rule_has_a_case_that_refuses_and_one_that_passes() {
    let cases = all();
    for rule in RULES {
        let of: Vec<&Cases> = cases.iter().filter(|c| c.rule == rule.id).collect();
        assert_eq!(of.len(), 1, "{}", rule.id);
        assert!(!of[0].refused.is_empty(), "{}", rule.id);
    }
    assert_eq!(cases.len(), RULES.len());
}

#[test]
fn what_should_be_refused_is_refused_and_nothing_else() {
    for cases in all() {
        for draft in &cases.refused {
            let findings = check(cases.rule, draft, &facts());
            assert!(!findings.is_empty(), "{} lets pass {}", cases.rule, shown(draft));
            assert!(findings.iter().all(|f| f.rule == cases.rule && !f.asked.is_empty()), "{findings:?}");
        }
        for draft in &cases.passes {
            assert_eq!(check(cases.rule, draft, &facts()), [], "{} refuses {}", cases.rule, shown(draft));
        }
    }
}

#[test]
fn an_override_lets_its_rule_pass_and_no_other() {
    for cases in all() {
        let rule = super::super::registry::find(cases.rule).unwrap();
        for draft in &cases.refused {
            let before = judge(draft, &facts(), &[]).unwrap();
            let after = judge(draft, &facts(), &[allow(cases.rule)]).unwrap();
            match rule.overriding {
                Override::Never(_) => assert_eq!(before.refused, after.refused, "{}", cases.rule),
                Override::Loosens(_) => {
                    let others: Vec<_> = before.refused.iter().filter(|f| f.rule != cases.rule).cloned().collect();
                    assert_eq!(after.refused, others, "{} {}", cases.rule, shown(draft));
                    assert!(after.overridden.iter().all(|o| o.rule == cases.rule), "{after:?}");
                    assert_eq!(after.overridden[0].reason.as_deref(), Some("a test"));
                }
            }
        }
    }
}

#[test]
fn one_override_is_enough_for_one_thing() {
    // These are asked for by one word each on a command line, and no second rule may stand in the way.
    let whole = ["privileged", "dangerous-capability", "host-pid", "host-network", "host-ipc", "host-uts"];
    let more =
        ["host-userns", "engine-socket", "seccomp-unconfined", "paths-unmasked", "no-pids-limit", "new-privileges"];
    for cases in all().iter().filter(|c| whole.contains(&c.rule) || more.contains(&c.rule)) {
        let verdict = judge(&cases.refused[0], &facts(), &[allow(cases.rule)]).unwrap();
        assert!(verdict.passed(), "{}: {:?}", cases.rule, verdict.refused);
    }
}

#[test]
fn an_override_that_nothing_needs_is_reported_and_an_unknown_one_is_an_error() {
    let verdict = judge(&super::super::testkit::draft(), &facts(), &[allow("host-pid")]).unwrap();
    assert!(verdict.passed() && verdict.overridden.is_empty());
    assert_eq!(verdict.unused, [allow("host-pid")]);
    assert!(verdict.unused_lines()[0].contains("--allow host-pid was not needed"));
    assert!(judge(&super::super::testkit::draft(), &facts(), &[allow("host-pidd")]).is_err());
}

#[test]
fn several_findings_are_all_listed() {
    let draft = d(|d| {
        d.mounts = vec![bind("/:/host:rw"), bind("/etc/shadow:/x"), bind("/run/docker.sock:/s")];
        d.asked.privileged = true;
    });
    let verdict = judge(&draft, &facts(), &[]).unwrap();
    let rules = verdict.refused_rules();
    assert_eq!(rules, ["engine-socket", "host-root-mount", "host-secrets", "sensitive-mount-rw", "privileged"]);
}

#[test]
fn host_settings_follow_the_namespaces() {
    let with = |change: fn(&mut Draft), key: &str| {
        let mut draft = sysctl(key);
        change(&mut draft);
        check("host-sysctl", &draft, &facts()).len()
    };
    let host_network = |d: &mut Draft| d.namespaces.network.value = NetworkMode::Host;
    let host_ipc = |d: &mut Draft| d.namespaces.ipc.value = Namespace::Host;
    assert_eq!(with(host_network, "net.core.somaxconn"), 1);
    assert_eq!(with(host_ipc, "kernel.shm_rmid_forced"), 1);
    assert_eq!(with(host_ipc, "net.core.somaxconn"), 0);
}

#[test]
fn where_the_host_cannot_limit_no_rule_complains() {
    let mut facts = facts();
    facts.cgroup_controllers.clear();
    let draft = d(|d| d.resources = ResourcesPlan::default());
    assert!(judge(&draft, &facts, &[]).unwrap().passed());
}

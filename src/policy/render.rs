//! A refusal as a person or a program reads it.

use super::registry;
use super::rule::{Finding, Override, Rule};
use super::verdict::Verdict;
use crate::ui::clean;
use serde::Serialize;
use std::fmt::Write;

/// The refusal for a terminal, several lines, ending in a newline. Untrusted text in it has been cleaned. Empty where
/// nothing was refused.
pub fn text(verdict: &Verdict) -> String {
    let groups = grouped(&verdict.refused);
    if groups.is_empty() {
        return String::new();
    }
    let rules = if groups.len() == 1 { "1 rule".to_owned() } else { format!("{} rules", groups.len()) };
    let mut out = format!("hardrun: refused by {rules}; nothing was started or written\n");
    for (rule, findings) in &groups {
        let _ = writeln!(out, "\n  {} ({})", rule.id, rule.severity);
        for finding in findings {
            let detail = finding.detail.as_ref().map(|d| format!("  ({d})")).unwrap_or_default();
            line(&mut out, "asked", &format!("{}{detail}", finding.asked));
        }
        line(&mut out, "risk", rule.risk);
        for instead in safer(rule, findings) {
            line(&mut out, "safer", instead);
        }
        match (rule.overriding, verdict.closed.get(rule.id)) {
            (Override::Loosens(_), Some(why)) => {
                line(&mut out, "override", &format!("not here, by the site's policy: {why}"));
            }
            (Override::Loosens(_), None) => line(&mut out, "override", &format!("--allow {}", rule.id)),
            (Override::Never(why), _) => line(&mut out, "override", &format!("no override: {why}")),
        }
        if let Some(text) = verdict.messages.get(rule.id) {
            for text in text.lines().filter(|l| !l.trim().is_empty()) {
                line(&mut out, "site", text);
            }
        }
        if !rule.references.is_empty() {
            line(&mut out, "see", &rule.references.join(", "));
        }
    }
    if groups.len() > 1 {
        let all: Vec<String> = groups.iter().filter_map(|(rule, _)| allow(verdict, rule)).collect();
        let never = groups.len() - all.len();
        match never {
            0 => {
                let _ = writeln!(out, "\n  all of it, with the risk: {}", all.join(" "));
            }
            _ => {
                let _ = writeln!(out, "\n  {never} of these cannot be overridden");
            }
        }
    }
    out
}

/// Write the refusal to stderr.
pub fn print(verdict: &Verdict) {
    // A closed stderr must not turn a refusal into anything else.
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), text(verdict).as_bytes());
}

/// The override, where there is one and the site's policy permits it.
fn allow(verdict: &Verdict, rule: &Rule) -> Option<String> {
    let open = matches!(rule.overriding, Override::Loosens(_)) && !verdict.closed.contains_key(rule.id);
    open.then(|| format!("--allow {}", rule.id))
}

fn line(out: &mut String, label: &str, text: &str) {
    let _ = writeln!(out, "    {label:<9} {}", clean(text));
}

/// The findings' own safer forms, each once; the rule's where a finding has none.
fn safer<'a>(rule: &'a Rule, findings: &[&'a Finding]) -> Vec<&'a str> {
    let mut out: Vec<&str> = Vec::new();
    for finding in findings {
        let text = finding.instead.as_deref().unwrap_or(rule.instead);
        if !out.contains(&text) {
            out.push(text);
        }
    }
    out
}

fn grouped(findings: &[Finding]) -> Vec<(&'static Rule, Vec<&Finding>)> {
    let mut out: Vec<(&'static Rule, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        let Some(rule) = registry::find(finding.rule) else { continue };
        match out.iter_mut().find(|(r, _)| r.id == rule.id) {
            Some((_, list)) => list.push(finding),
            None => out.push((rule, vec![finding])),
        }
    }
    out
}

#[derive(Serialize)]
struct Entry<'a> {
    rule: &'a str,
    severity: super::Severity,
    asked: Vec<&'a str>,
    details: Vec<&'a str>,
    risk: &'a str,
    safer: Vec<&'a str>,
    /// `null` where there is none.
    r#override: Option<String>,
    /// Why the site's policy permits no override here.
    #[serde(skip_serializing_if = "Option::is_none")]
    site_policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site_message: Option<&'a str>,
    references: &'a [&'a str],
}

/// The whole verdict: `refused`, `overridden` and `unused`.
pub fn json(verdict: &Verdict) -> serde_json::Value {
    let refused: Vec<Entry> = grouped(&verdict.refused)
        .into_iter()
        .map(|(rule, findings)| Entry {
            rule: rule.id,
            severity: rule.severity,
            asked: findings.iter().map(|f| f.asked.as_str()).collect(),
            details: findings.iter().filter_map(|f| f.detail.as_deref()).collect(),
            risk: rule.risk,
            safer: safer(rule, &findings),
            r#override: allow(verdict, rule),
            site_policy: verdict.closed.get(rule.id).map(String::as_str),
            site_message: verdict.messages.get(rule.id).map(String::as_str),
            references: rule.references,
        })
        .collect();
    serde_json::json!({ "refused": refused, "overridden": verdict.overridden, "unused": verdict.unused })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testkit::{bind, binds, draft_with, facts};
    use crate::policy::{Allow, judge};

    fn refusal(draft: &crate::plan::Draft) -> String {
        text(&judge(draft, &facts(), &[]).unwrap())
    }

    #[test]
    fn one_rule() {
        insta::assert_snapshot!(refusal(&binds(&["/run/docker.sock:/var/run/docker.sock"])), @r"
        hardrun: refused by 1 rule; nothing was started or written

          engine-socket (critical)
            asked     -v /run/docker.sock:/var/run/docker.sock  (docker's control socket)
            risk      whoever can speak to the socket starts a privileged process on the host: this is root on the host, read-only or not
            safer     leave the mount out; run the step that needs the engine on the host, or build images with a tool that needs no socket (buildah, kaniko)
            override  --allow engine-socket
            see       CIS 5.32, NIST SP 800-190 4.5.5, PSS baseline HostPath
        ");
    }

    #[test]
    fn several_rules_and_one_without_an_override() {
        let draft = draft_with(|d| {
            d.mounts = vec![bind("/etc:/x:rw"), bind("/usr:/y:rw"), bind("/srv/a:/proc/sys")];
            d.asked.publish_all = true;
        });
        insta::assert_snapshot!(refusal(&draft), @r"
        hardrun: refused by 3 rules; nothing was started or written

          sensitive-mount-rw (high)
            asked     -v /etc:/x:rw  (the host's configuration)
            asked     -v /usr:/y:rw  (the host's programs)
            risk      what the container writes there the host runs or trusts later: programs, cron jobs, start-up files, accounts
            safer     -v /etc:/x:ro
            safer     -v /usr:/y:ro
            override  --allow sensitive-mount-rw
            see       CIS 5.6, NIST SP 800-190 4.5.5

          kernel-mountpoint (critical)
            asked     -v /srv/a:/proc/sys  (destination /proc/sys)
            risk      the launcher writes security settings through these folders: a mount there redirects the writes
            safer     another destination: -v PATH:/mnt/PATH
            override  no override: the confinement itself is set up through these folders
            see       CVE-2019-16884, CVE-2025-31133, CVE-2025-52881

          publish-all (medium)
            asked     --publish-all
            risk      the image decides what is open, and the next version of it may decide otherwise
            safer     the ports that are needed, by name: -p 127.0.0.1:8080:80
            override  --allow publish-all
            see       CIS 5.9, CIS 5.14

          1 of these cannot be overridden
        ");
    }

    #[test]
    fn all_overrides_together_can_be_pasted() {
        let draft = draft_with(|d| {
            d.asked.env_host = true;
            d.asked.publish_all = true;
        });
        let text = refusal(&draft);
        assert!(text.ends_with("all of it, with the risk: --allow env-host --allow publish-all\n"), "{text}");
    }

    #[test]
    fn no_text_of_the_caller_reaches_the_terminal_raw() {
        let mut draft = binds(&["/etc/shadow:/x"]);
        draft.mounts[0].asked = "-v /etc/shadow:/x\u{1b}[2J\nhardrun: all is well".into();
        let text = refusal(&draft);
        assert!(!text.contains('\u{1b}') && !text.contains("\nhardrun: all is well"), "{text}");
    }

    #[test]
    fn nothing_refused_is_no_text() {
        assert_eq!(refusal(&crate::policy::testkit::draft()), "");
    }

    #[test]
    fn as_json() {
        let draft = draft_with(|d| {
            d.asked.publish_all = true;
            d.asked.use_api_socket = true;
            d.asked.env_host = true;
        });
        let allow = |rule: &str| Allow { rule: rule.into(), reason: None };
        let json = json(&judge(&draft, &facts(), &[allow("env-host"), allow("host-pid")]).unwrap());
        assert_eq!(json["refused"][0]["rule"], "api-socket");
        assert_eq!(json["refused"][0]["override"], serde_json::Value::Null);
        assert_eq!(json["refused"][1]["override"], "--allow publish-all");
        assert_eq!(json["refused"][1]["asked"][0], "--publish-all");
        assert_eq!(json["overridden"][0]["rule"], "env-host");
        assert_eq!(json["unused"][0]["rule"], "host-pid");
    }
}

//! What a caller records.

use crate::plan::{Draft, Override, Plan};
use crate::policy::Verdict;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A container is about to start.
    Launch,
    /// Rules refused; nothing was started.
    Refusal,
    /// A rule was overridden for a launch.
    Override,
    /// Another process was started in a container that runs.
    Exec,
    /// A container ended.
    Exit,
    /// The log itself was found damaged and is continued.
    Recovered,
}

impl Event {
    pub fn name(self) -> &'static str {
        match self {
            Event::Launch => "launch",
            Event::Refusal => "refusal",
            Event::Override => "override",
            Event::Exec => "exec",
            Event::Exit => "exit",
            Event::Recovered => "recovered",
        }
    }

    /// Whether the line has to be on the disk before anything else happens.
    pub fn sync(self) -> bool {
        matches!(self, Event::Refusal | Event::Override | Event::Recovered)
    }
}

/// Longest text of a field and longest list that are recorded: one caller's words must not fill the disk.
const TEXT: usize = 1024;
const LIST: usize = 64;

/// One thing that happened. Who and when are added by [`super::append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub event: Event,
    /// As typed.
    pub image: String,
    /// `sha256:…` of the manifest; empty for `--rootfs`.
    pub image_digest: String,
    /// `sha256:…` of the plan; empty for a refusal, which has none.
    pub plan: String,
    pub container: String,
    /// Ids of rules that refused or were overridden.
    pub rules: Vec<String>,
    /// What was asked that went against them.
    pub asked: Vec<String>,
    /// Why it was overridden, in the caller's words.
    pub reason: Option<String>,
    /// Exit status of the container.
    pub status: Option<i32>,
    /// More, in words.
    pub note: Option<String>,
}

impl Entry {
    fn of(event: Event, draft: &Draft) -> Entry {
        Entry {
            event,
            image: draft.image.reference.clone(),
            image_digest: draft.image.manifest_digest.clone(),
            plan: String::new(),
            container: draft.id.clone(),
            rules: vec![],
            asked: vec![],
            reason: None,
            status: None,
            note: None,
        }
    }

    /// An override for each rule that was overridden, then the launch. `digest` is the plan's.
    pub fn launch(plan: &Plan, digest: &str) -> Vec<Entry> {
        let mut out: Vec<Entry> = Vec::new();
        for over in &plan.overrides {
            match out.iter_mut().find(|e| e.rules[0] == over.rule) {
                Some(entry) => entry.asked.push(over.asked.clone()),
                None => out.push(Entry {
                    plan: digest.to_owned(),
                    rules: vec![over.rule.clone()],
                    asked: vec![over.asked.clone()],
                    reason: over.reason.clone(),
                    note: over.permitted.as_ref().map(|p| format!("permitted by the site's policy {p}")),
                    ..Entry::of(Event::Override, &plan.draft)
                }),
            }
        }
        let rules = out.iter().map(|e| e.rules[0].clone()).collect();
        let note = plan.site_policy.as_ref().map(|policy| format!("site policy {policy}"));
        out.push(Entry { plan: digest.to_owned(), rules, note, ..Entry::of(Event::Launch, &plan.draft) });
        out
    }

    /// An override for each rule that was overridden for this process alone, then the process. `draft` has it in it, `digest` is of
    /// the container's plan.
    pub fn exec(draft: &Draft, digest: &str, overrides: &[Override]) -> Vec<Entry> {
        let mut out = Entry::overrides(draft, digest, overrides);
        let user = &draft.process.user.value;
        let note = format!(
            "{}:{} {}",
            user.uid,
            user.gid,
            shlex::try_join(draft.process.args.value.iter().map(String::as_str)).unwrap_or_default()
        );
        out.push(Entry { plan: digest.to_owned(), note: Some(note), ..Entry::of(Event::Exec, draft) });
        out
    }

    /// Rules that were overridden for something that starts no container: a volume, other limits. `digest` is the plan's, empty where
    /// there is none.
    pub fn overrides(draft: &Draft, digest: &str, overrides: &[Override]) -> Vec<Entry> {
        let over = |o: &Override| Entry {
            plan: digest.to_owned(),
            rules: vec![o.rule.clone()],
            asked: vec![o.asked.clone()],
            reason: o.reason.clone(),
            note: o.permitted.as_ref().map(|p| format!("permitted by the site's policy {p}")),
            ..Entry::of(Event::Override, draft)
        };
        overrides.iter().map(over).collect()
    }

    /// A refusal with every rule that refused.
    pub fn refusal(draft: &Draft, verdict: &Verdict) -> Entry {
        Entry {
            rules: verdict.refused_rules().into_iter().map(str::to_owned).collect(),
            asked: verdict.refused.iter().map(|f| f.asked.clone()).collect(),
            note: closed(verdict),
            ..Entry::of(Event::Refusal, draft)
        }
    }

    /// The end of a container. `plan` is its digest.
    pub fn exit(draft: &Draft, plan: &str, status: i32) -> Entry {
        Entry { plan: plan.to_owned(), status: Some(status), ..Entry::of(Event::Exit, draft) }
    }

    /// The log was damaged: `note` says how.
    pub(super) fn recovered(note: String) -> Entry {
        Entry {
            event: Event::Recovered,
            image: String::new(),
            image_digest: String::new(),
            plan: String::new(),
            container: String::new(),
            rules: vec![],
            asked: vec![],
            reason: None,
            status: None,
            note: Some(note),
        }
    }

    /// The same with nothing longer than a line can hold.
    pub(super) fn bounded(&self) -> Entry {
        let list = |list: &[String]| -> Vec<String> {
            let mut out: Vec<String> = list.iter().take(LIST).map(|t| cut(t)).collect();
            if list.len() > LIST {
                out.push(format!("… and {} more", list.len() - LIST));
            }
            out
        };
        Entry {
            event: self.event,
            image: cut(&self.image),
            image_digest: cut(&self.image_digest),
            plan: cut(&self.plan),
            container: cut(&self.container),
            rules: list(&self.rules),
            asked: list(&self.asked),
            reason: self.reason.as_deref().map(cut),
            status: self.status,
            note: self.note.as_deref().map(cut),
        }
    }
}

/// Which overrides the site's policy did not permit, and why.
fn closed(verdict: &Verdict) -> Option<String> {
    let all: Vec<String> = verdict.closed.iter().map(|(rule, why)| format!("{rule}: {why}")).collect();
    (!all.is_empty()).then(|| format!("not permitted by the site's policy: {}", all.join("; ")))
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let mut end = TEXT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

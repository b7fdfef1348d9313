//! What the audit log has seen, judged by another policy. Where the container's record is still here it is judged as a whole;
//! else by what the log holds: who, which image, which overrides.

use super::trial::Trial;
use crate::audit::{self, Event, Record};
use crate::cli::Context;
use crate::error::Result;
use crate::plan::ImagePlan;
use crate::policy;
use crate::request::Request;
use crate::site::{Caller, Permission, Site};
use crate::state::{Paths, folder};
use jiff::Timestamp;
use serde::Serialize;

/// One launch that would be refused.
#[derive(Debug, Serialize)]
pub struct Refused {
    pub time: String,
    pub uid: u32,
    pub container: String,
    pub image: String,
    pub rules: Vec<String>,
    /// Why, a line a rule.
    pub why: Vec<String>,
    /// Judged by the container's record, not only by what the log holds.
    pub whole: bool,
}

/// Every launch since then that this policy would refuse, and how many were looked at.
pub fn run(ctx: &Context, trial: &Trial, site: &Site, since: Timestamp) -> Result<(Vec<Refused>, u64)> {
    let (mut refused, mut looked) = (Vec::new(), 0);
    audit::records(&ctx.paths.audit_log(), |line| {
        let Some(record) = line.record.filter(|r| r.event == Event::Launch) else { return Ok(()) };
        if record.time.parse::<Timestamp>().is_ok_and(|at| at < since) {
            return Ok(());
        }
        looked += 1;
        refused.extend(one(&ctx.paths, trial, site, &record));
        Ok(())
    })?;
    Ok((refused, looked))
}

fn one(paths: &Paths, trial: &Trial, site: &Site, record: &Record) -> Option<Refused> {
    let uid = record.who.login_uid.unwrap_or(record.who.uid);
    let site = Site { caller: Caller::of(uid), ..site.clone() };
    let (mut rules, mut why): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let kept = kept(paths, &record.container);
    if let Some(kept) = &kept {
        let verdict = trial.judge_kept(kept, &site).ok()?;
        rules.extend(verdict.refused_rules().into_iter().map(str::to_owned));
        why.extend(verdict.refused.iter().map(|f| format!("{}: {}", f.rule, f.asked)));
        why.extend(verdict.closed.iter().map(|(rule, text)| format!("{rule}: {text}")));
    } else {
        let request = Request { image: record.image.clone(), ..Request::default() };
        let image = trial.image(&request);
        let plan = ImagePlan {
            reference: record.image.clone(),
            name: image.name.clone(),
            manifest_digest: image.manifest_digest.clone(),
            config_digest: image.config_digest.clone(),
            layers: Vec::new(),
            index_digest: image.index_digest.clone(),
            repositories: image.repositories.clone(),
            signatures: Vec::new(),
        };
        for rule in &record.rules {
            if let Permission::Denied(text) = site.permits(rule, &plan) {
                rules.push(rule.clone());
                why.push(format!("{rule}: {text}"));
            }
        }
        // Only what does not depend on flags, which the log does not hold.
        let verdict = trial.judge(&request, &image, &site).ok();
        let of_image = |f: &policy::Finding| f.rule.starts_with("site-") && f.rule != "site-limit";
        for finding in verdict.iter().flat_map(|v| &v.refused).filter(|f| of_image(f)) {
            rules.push(finding.rule.to_owned());
            why.push(format!("{}: {}", finding.rule, finding.detail.as_ref().unwrap_or(&finding.asked)));
        }
    }
    (!rules.is_empty()).then(|| Refused {
        time: record.time.clone(),
        uid,
        container: record.container.chars().take(12).collect(),
        image: record.image.clone(),
        rules,
        why,
        whole: kept.is_some(),
    })
}

fn kept(paths: &Paths, id: &str) -> Option<crate::state::Record> {
    let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id { folder::read_record(&paths.containers().join(id)).ok() } else { None }
}

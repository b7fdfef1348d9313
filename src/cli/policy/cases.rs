//! Cases: command lines and what should come of them.

use super::trial::{self, Trial};
use crate::error::{Context as _, Error, Result};
use crate::site::{Caller, Name, Site};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// One command line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    /// As in a script, quotes and all: `docker run -v /etc:/x busybox`.
    run: String,
    verdict: Wanted,
    /// Rules that refuse, all of them; not compared where it is left out.
    rules: Option<Vec<String>>,
    /// Who asks, by name or uid; who calls `policy test` where it is left out.
    user: Option<Name>,
    /// The day on which it is asked, `2027-01-31`; today where it is left out.
    on: Option<String>,
    /// Repository that the image is taken to be pulled from.
    pulled_from: Option<String>,
    /// Digest of its manifest.
    digest: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    Passes,
    Refused,
}

/// What came of a case.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub file: String,
    pub run: String,
    pub ok: bool,
    pub rules: Vec<String>,
    /// Where it is not as wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
}

/// Try every case of a file.
pub fn run(path: &Path, trial: &Trial, site: &Site) -> Result<Vec<Outcome>> {
    let text = std::fs::read_to_string(path).verb_context(|| format!("cannot read {}", path.display()))?;
    let file: File = toml::from_str(&text).verb_context(|| format!("cannot read the cases of {}", path.display()))?;
    file.case.into_iter().map(|case| one(path, case, trial, site)).collect()
}

fn one(path: &Path, case: Case, trial: &Trial, site: &Site) -> Result<Outcome> {
    let wrong = |what: &str| Error::verb(format!("{}: {:?}: {what}", path.display(), case.run));
    let words = shlex::split(&case.run).ok_or_else(|| wrong("a quote is not closed"))?;
    if trial::verb(&words).is_none_or(|verb| verb != "run" && verb != "create") {
        return Err(wrong("it is neither run nor create"));
    }
    let mut site = site.clone();
    if let Some(user) = &case.user {
        site.caller = caller(user).ok_or_else(|| wrong("there is no such user"))?;
    }
    if let Some(day) = &case.on {
        day.parse::<jiff::civil::Date>().map_err(|_| wrong("no day such as 2027-01-31"))?;
        site.today = day.clone();
    }
    let request = trial::request(&words, path.parent().unwrap_or(Path::new("/")));
    let verdict = request.and_then(|request| {
        let mut image = trial.image(&request);
        if let Some(from) = &case.pulled_from {
            image.repositories = vec![from.clone()];
        }
        if let Some(digest) = &case.digest {
            image.manifest_digest = digest.clone();
        } else if case.pulled_from.is_some() && image.manifest_digest.is_empty() {
            image.manifest_digest = format!("sha256:{}", "0".repeat(64));
        }
        trial.judge(&request, &image, &site)
    });
    let (is, rules, why) = match &verdict {
        Ok(v) if v.passed() => (Wanted::Passes, Vec::new(), None),
        Ok(v) => (Wanted::Refused, v.refused_rules().into_iter().map(str::to_owned).collect(), None),
        // What cannot be started for another reason than a rule is not refused by one.
        Err(e) => (Wanted::Passes, Vec::new(), Some(e.chain().join(": "))),
    };
    let what = match (why, &case.rules) {
        (Some(why), _) => Some(format!("cannot be judged: {why}")),
        (None, _) if is != case.verdict && is == Wanted::Passes => Some("passes, but should be refused".into()),
        (None, _) if is != case.verdict => Some(format!("refused by {}, but should pass", rules.join(", "))),
        (None, Some(wanted)) if is == Wanted::Refused && !same(wanted, &rules) => {
            Some(format!("refused by {}, but should be by {}", rules.join(", "), wanted.join(", ")))
        }
        _ => None,
    };
    Ok(Outcome { file: path.display().to_string(), run: case.run, ok: what.is_none(), rules, what })
}

fn same(a: &[String], b: &[String]) -> bool {
    a.iter().all(|x| b.contains(x)) && b.iter().all(|x| a.contains(x))
}

fn caller(user: &Name) -> Option<Caller> {
    match user {
        Name::Id(uid) => Some(Caller::of(*uid)),
        Name::Name(name) => {
            let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
            let line = passwd.lines().find(|l| l.split(':').next() == Some(name))?;
            line.split(':').nth(2)?.parse().ok().map(Caller::of)
        }
    }
}

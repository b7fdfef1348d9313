//! The README's table of differences, made from the lists.

use super::list::{Expected, GROUPS, reasons, scripts};
use std::collections::BTreeMap;

pub const BEGIN: &str = "<!-- differences -->";
pub const END: &str = "<!-- differences: end -->";

/// The table, a row for every reason that a case names. Fails for a reason without a case and a case without a reason.
pub fn table() -> Result<String, String> {
    let reasons = reasons()?;
    let mut cases: BTreeMap<String, usize> = BTreeMap::new();
    for (group, _) in GROUPS {
        for script in scripts(group)? {
            if let Expected::Differs(key, _) = script.expected {
                if !reasons.contains_key(&key) {
                    return Err(format!("{group}: {:?} differs for {key}, which differences.toml lacks", script.name));
                }
                *cases.entry(key).or_default() += 1;
            }
        }
    }
    if let Some(key) = reasons.keys().find(|key| !cases.contains_key(*key)) {
        return Err(format!("differences.toml has {key}, for which no case stands"));
    }
    let mut text = String::from("\n| a script | docker | hardrun |\n|---|---|---|\n");
    for reason in reasons.values() {
        let cells = [&reason.script, &reason.docker, &reason.hardrun].map(|cell| cell.replace('|', "\\|"));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text.push('\n');
    Ok(text)
}

/// `readme` with the table between its marks.
pub fn put_into(readme: &str, table: &str) -> Result<String, String> {
    let parts = || {
        let (before, rest) = readme.split_once(BEGIN)?;
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    };
    let (before, after) = parts().ok_or_else(|| format!("README.md lacks the lines {BEGIN} and {END}"))?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

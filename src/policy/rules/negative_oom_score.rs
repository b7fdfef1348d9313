use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "negative-oom-score",
    severity: Severity::High,
    summary: "a container that outlives the host's services when memory runs out",
    risk: "with a negative score the kernel kills the host's daemons first",
    instead: "a limit that fits (--memory 4g), or a score from 0 up",
    example: "--oom-score-adj -500 IMAGE",
    overriding: Override::Loosens("that score is set"),
    references: &["CIS 5.11", "NIST SP 800-190 4.4.3"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let score = &draft.process.oom_score_adj;
    match score.value < 0 && score.source != Source::Host {
        true => vec![Finding::new(RULE.id, asked(score, "--oom-score-adj", score.value))],
        false => vec![],
    }
}

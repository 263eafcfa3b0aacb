//! How much of what a plan claims was recomputed: "confirmed" says so of nothing else.

use serde::Serialize;

use crate::base::finding::{Code, Finding, Severity};
use crate::plan::{Gear, Plan};

/// How many claims of one kind were recomputed and confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recomputed {
    /// What is claimed, as people read it.
    pub claim: &'static str,
    /// Gears whose claim was confirmed.
    pub confirmed: usize,
    /// Gears.
    pub of: usize,
}

/// Tells whether a gear makes a claim.
type Makes = fn(&Gear) -> bool;

/// The claims that are counted: as people read them, their key, and whether a gear makes them.
const KINDS: [(&str, &str, Makes); 4] = [
    ("latency claims", "latency", |gear| gear.claims.latency.is_some()),
    ("accuracies", "accuracy", |gear| gear.claims.accuracy.is_some()),
    ("costs", "cost_usd_per_hour", |gear| gear.claims.cost_usd_per_hour.is_some()),
    ("core counts", "cores", |gear| gear.claims.cores.is_some()),
];

/// Counts the claims of a plan that a check recomputed without a finding; nothing where facts were missing, which ends a check.
#[must_use]
pub fn recomputed(plan: &Plan, findings: &[Finding]) -> Vec<Recomputed> {
    let ends_it = |finding: &Finding| finding.code == Code::NotMeasured && finding.severity == Severity::Error;
    if findings.iter().any(ends_it) {
        return Vec::new();
    }
    let is_found = |gear: usize, kind: &str| {
        let claim = format!("gears[{gear}].claims.{kind}");
        findings.iter().any(|finding| {
            finding.key.strip_prefix(&claim).is_some_and(|rest| matches!(rest.chars().next(), None | Some('.')))
        })
    };
    let counted = KINDS.map(|(claim, kind, makes)| {
        let confirmed =
            plan.gears.iter().enumerate().filter(|(index, gear)| makes(gear) && !is_found(*index, kind)).count();
        Recomputed { claim, confirmed, of: plan.gears.len() }
    });
    counted.into()
}

/// Returns the sums over several plans in words, like `17 of 17 latency claims, 17 of 17 accuracies`; `None` where there are none.
#[must_use]
pub fn in_words<'a>(counts: impl Iterator<Item = &'a Recomputed> + Clone) -> Option<String> {
    let of_kind = |(claim, ..): (&'static str, _, _)| {
        let like = counts.clone().filter(|count| count.claim == claim);
        let (confirmed, of) = like.fold((0, 0), |(confirmed, of), count| (confirmed + count.confirmed, of + count.of));
        (of > 0).then(|| format!("{confirmed} of {of} {claim}"))
    };
    let words: Vec<String> = KINDS.into_iter().filter_map(of_kind).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

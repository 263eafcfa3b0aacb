//! How good a plan is known to be: what its certificates say together, in words that claim no more.

use std::collections::BTreeSet;
use std::fmt;

use super::{Certificate, Plan};
use crate::base::rounding::{ROUNDING, equal};

/// How good a plan is known to be. Where only some gears have a certificate, it speaks of those.
#[derive(Debug, Clone, PartialEq)]
pub enum Optimality {
    /// Every gear is as good as its bound, rounding aside.
    Proved,
    /// No gear is further from its bound than by so much of it.
    Within {
        /// The largest gap, as a part of its bound.
        gap: f64,
        /// The methods of the gears that have a gap.
        method: String,
    },
    /// No bound is known.
    Heuristic {
        /// How the plan was made.
        method: String,
    },
}

impl Optimality {
    /// Returns what a plan's certificates say together.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let certificates: Vec<&Certificate> = plan.gears.iter().filter_map(|gear| gear.certificate.as_ref()).collect();
        if certificates.is_empty() {
            return Self::Heuristic { method: without_bound(plan) };
        }
        let gap = certificates.iter().map(|of| of.relative_gap()).fold(0.0, f64::max);
        if gap == 0.0 {
            return Self::Proved;
        }
        let open = certificates.into_iter().filter(|of| of.relative_gap() > 0.0);
        let methods: BTreeSet<&str> = open.map(|of| of.method.as_str()).collect();
        Self::Within { gap, method: methods.into_iter().collect::<Vec<_>>().join("; ") }
    }

    /// Returns it in words, without the method.
    #[must_use]
    pub fn brief(&self) -> String {
        match self {
            Self::Proved => "proved optimal".to_owned(),
            Self::Within { gap, .. } => format!("within {} of the best possible", rounded_up(*gap)),
            Self::Heuristic { .. } => "heuristic: no optimality bound".to_owned(),
        }
    }
}

impl fmt::Display for Optimality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proved => write!(f, "{}", self.brief()),
            Self::Within { method, .. } | Self::Heuristic { method } => write!(f, "{} ({method})", self.brief()),
        }
    }
}

impl Certificate {
    /// Returns the gap as a part of the bound; 0 where it is rounding.
    #[must_use]
    pub fn relative_gap(&self) -> f64 {
        if self.gap <= 0.0 || equal(self.objective, self.bound) {
            return 0.0;
        }
        let scale = if self.bound == 0.0 { self.objective } else { self.bound };
        self.gap / scale.abs()
    }
}

/// Says how a plan without a bound was made.
fn without_bound(plan: &Plan) -> String {
    let provenance = &plan.provenance;
    match &provenance.problem {
        Some(problem) if problem.room.is_published() => {
            format!("room `{}` as published", provenance.room.as_str())
        }
        _ => format!("made by {}", provenance.tool),
    }
}

/// Returns a part in percent with two digits, rounded up: never less than it is.
fn rounded_up(part: f64) -> String {
    let percent = 100.0 * part;
    let digits = (1.0 - percent.log10().floor()).clamp(0.0, 12.0) as usize;
    let unit = 10_f64.powi(digits as i32);
    // What is off by rounding alone is not raised by a digit.
    let up = (percent * unit * (1.0 - ROUNDING)).ceil() / unit;
    format!("{up:.digits$} %")
}

#[cfg(test)]
mod tests {
    use super::{Certificate, Optimality, rounded_up};
    use crate::plan::Plan;

    fn certificate(objective: f64, bound: f64, method: &str) -> Option<Certificate> {
        Some(Certificate {
            objective,
            bound,
            gap: bound - objective,
            goal: None,
            unit: None,
            method: method.to_owned(),
            trial: None,
        })
    }

    /// Returns what is said of a plan whose gears have these certificates in turn.
    fn said(certificates: &[Option<Certificate>]) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/digits.json");
        let mut plan = crate::base::codec::load::<Plan>(&path).expect("the shipped plan loads").document;
        for (gear, certificate) in plan.gears.iter_mut().zip(certificates.iter().cycle()) {
            gear.certificate = certificate.clone();
        }
        Optimality::of(&plan).to_string()
    }

    #[test]
    fn a_plan_is_proved_optimal_where_no_gap_is_more_than_rounding() {
        // The unit of the goal is the user's choice.
        for unit in [1e-12, 1.0, 1e12] {
            let exact = [certificate(0.3 * unit, (0.1 + 0.2) * unit, "exact"), certificate(-unit, -unit, "exact")];
            assert_eq!(said(&exact), "proved optimal", "{unit}");
        }
        assert_eq!(said(&[certificate(0.0, 0.0, "exact")]), "proved optimal");
    }

    #[test]
    fn a_gap_is_named_with_its_method() {
        let local = "local search over placements, with a bound";
        for unit in [1e-12, 1.0, 1e12] {
            // The price is 1.2345 % above the least that there can be.
            let gaps = [certificate(-1.012_345 * unit, -unit, local), certificate(unit, unit, "exact")];
            assert_eq!(said(&gaps), format!("within 1.3 % of the best possible ({local})"), "{unit}");
        }
        assert_eq!(said(&[certificate(-2.0, 0.0, local)]), format!("within 100 % of the best possible ({local})"));
    }

    #[test]
    fn a_plan_without_certificates_has_no_bound() {
        assert!(said(&[None]).starts_with("heuristic: no optimality bound (made by planner "), "{}", said(&[None]));
    }

    #[test]
    fn gaps_are_rounded_up() {
        let cases = [
            (0.013, "1.3 %"),
            (0.012_01, "1.3 %"),
            (0.1, "10 %"),
            (0.995, "100 %"),
            (2.5, "250 %"),
            (4.2e-6, "0.00042 %"),
        ];
        for (part, wanted) in cases {
            assert_eq!(rounded_up(part), wanted);
        }
    }
}

//! Whether a certificate agrees with itself, with the problem's goal, and with what the gear is worth by the facts.

use super::Checker;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::units::Factor;
use crate::problem::{GoalKind, PipelineSettings, Problem, RoomSettings};

impl Checker<'_> {
    /// A certificate must agree with itself; only `solve` can prove it again.
    pub(super) fn certificate(&self, findings: &mut Findings) {
        let Some(certificate) = &self.gear.certificate else { return };
        let gap = certificate.bound - certificate.objective;
        // The unit of a goal may be money, or the user's weights.
        let slack = self.tolerance.absolute * certificate.objective.abs().max(certificate.bound.abs());
        if (gap - certificate.gap).abs() > slack || gap < -slack {
            let cause = format!(
                "objective {}, bound {} and gap {} contradict each other",
                certificate.objective, certificate.bound, certificate.gap
            );
            let key = format!("{}.certificate", self.key);
            findings.push(Finding::error(Code::Inconsistent, key, cause, "solve again"));
        }
    }

    /// Returns what the batches of a published pipeline weigh (δ); nothing elsewhere.
    fn weight_of_batches(&self, problem: &Problem) -> f64 {
        let RoomSettings::Pipeline(PipelineSettings { published: Some(published), .. }) = &problem.room else {
            return 0.0;
        };
        let weight = published.batch_weight.get();
        self.gear.stages.iter().flat_map(|stage| &stage.lanes).map(|lane| weight * f64::from(lane.batch)).sum()
    }

    /// What an objective is said to mean must be what the problem's goal makes it.
    pub(super) fn meaning(&self, problem: &Problem, findings: &mut Findings) {
        let Some(certificate) = self.gear.certificate.as_ref().filter(|certificate| certificate.goal.is_some()) else {
            return;
        };
        let asked = certificate.clone().stated_for(problem);
        if (certificate.goal, certificate.unit) != (asked.goal, asked.unit) {
            let cause = "`goal` and `unit` are not those of the problem's goal";
            let key = format!("{}.certificate", self.key);
            findings.push(Finding::error(Code::Inconsistent, key, cause, "solve again"));
        }
    }

    /// Recomputes the weighted goal's value, less its load-time term, which depends on what was running.
    pub(super) fn objective(&self, problem: &Problem, findings: &mut Findings) {
        let (Some(certificate), Some(accuracy)) = (&self.gear.certificate, self.expected_accuracy()) else { return };
        let (budget, rents) = (problem.budget(), problem.inventory.rents_whole());
        let spent = if rents { self.plan.machines_usd_per_hour(self.gear) } else { f64::from(self.cores_up()) };
        let used = if budget > 0.0 { spent / budget } else { 0.0 };
        let weights = problem.goal.weights.unwrap_or_default();
        let (most, least, unit) = match problem.goal.valued_as() {
            GoalKind::MostAccurate => (accuracy, accuracy, 1.0),
            // How short an SLO is kept is told by solving again.
            GoalKind::Fastest => (0.0, -problem.slo.latency_ms.get(), problem.slo.latency_ms.get()),
            GoalKind::Cheapest | GoalKind::Lexicographic => (-used, -used, 1.0),
            GoalKind::Weighted => {
                let [of_accuracy, resource, loading] =
                    [weights.accuracy, weights.resource, weights.loading].map(Factor::get);
                let value = of_accuracy * accuracy - resource * used - self.weight_of_batches(problem);
                (value, value - loading, of_accuracy + resource + loading)
            }
        };
        let slack = self.tolerance.absolute * unit;
        if certificate.objective > most + slack || certificate.objective < least - slack {
            findings.push(self.refuted_at("certificate.objective", certificate.objective, most));
        }
    }
}

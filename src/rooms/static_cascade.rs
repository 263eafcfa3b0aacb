//! The best cascade of two variants that stays all day: what people build by hand once they have read about cascades.
//!
//! Each stage gets half the latency objective and as few cores as carry its part of the peak by the house's closed form.
//! Of all pairs and of thresholds at the deciles of the first variant's certainty, the most accurate within the cores is
//! taken, then the one with fewer cores. Accuracy is counted on the very samples, without a guarantee.

use super::gears::lane;
use super::hardware::pool;
use super::variant_set::{Candidate, candidates, one_stage, variants_of};
use crate::base::error::Error;
use crate::base::units::{Certainty, Millis, Rate};
use crate::facts::Facts;
use crate::plan::{Claims, Exit, Gear, Plan};
use crate::problem::Problem;
use crate::profile::Answers;

/// Parts of the samples at which thresholds are looked for.
const DECILES: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

struct Cascade {
    stages: [(String, Candidate); 2],
    threshold: f64,
    accuracy: f64,
}

impl Cascade {
    fn cores(&self) -> u32 {
        self.stages.iter().map(|(_, way)| way.cores()).sum()
    }
}

/// Returns the cascade as a plan of one gear; `None` where no pair carries the peak, or nobody knows certainties.
pub(super) fn static_cascade(plan: &Plan, problem: &Problem, facts: &Facts) -> Result<Option<Plan>, Error> {
    let mut of_stage = problem.clone();
    of_stage.slo.latency_ms = Millis::saturating(problem.slo.latency_ms.get() / 2.0);
    let mut ways = Vec::new();
    for name in variants_of(problem, facts)? {
        let of_variant = candidates(&of_stage, facts, &name)?;
        ways.push((name, of_variant));
    }
    let mut best: Option<Cascade> = None;
    for small in &ways {
        for large in ways.iter().filter(|large| large.0 != small.0) {
            let Some(answers) = facts.answers(&small.0) else { continue };
            for cascade in DECILES.iter().filter_map(|&part| pair(small, large, answers, part, plan.max_rps())) {
                let rank = |cascade: &Cascade| (cascade.accuracy, -f64::from(cascade.cores()));
                let is_better = best.as_ref().is_none_or(|best| rank(&cascade) > rank(best));
                if is_better && cascade.cores() <= problem.core_budget() {
                    best = Some(cascade);
                }
            }
        }
    }
    Ok(best.map(|cascade| plan_of(&cascade, plan, problem)))
}

type Ways = (String, Vec<Candidate>);

/// Returns the cascade of two variants that sends about this part of the samples on.
fn pair(small: &Ways, large: &Ways, answers: &Answers, part: f64, peak: f64) -> Option<Cascade> {
    let (first, second) = (answers.of(&small.0)?, answers.of(&large.0)?);
    let mut certainties: Vec<f32> = first.iter().map(|answer| answer.certainty).collect();
    certainties.sort_by(f32::total_cmp);
    let threshold = *certainties.get((part * certainties.len() as f64) as usize)?;
    let (mut right, mut sent_on) = (0_u32, 0_u32);
    for ((own, other), label) in first.iter().zip(second).zip(&answers.labels) {
        let goes_on = own.certainty < threshold;
        sent_on += u32::from(goes_on);
        right += u32::from(if goes_on { other } else { own }.predicted == *label);
    }
    let samples = answers.samples() as f64;
    let enough = |ways: &Ways, rate: f64| ways.1.iter().find(|way| way.capacity >= rate).cloned();
    let reach = f64::from(sent_on) / samples;
    let stages = [(small.0.clone(), enough(small, peak)?), (large.0.clone(), enough(large, peak * reach)?)];
    Some(Cascade { stages, threshold: f64::from(threshold), accuracy: f64::from(right) / samples })
}

fn plan_of(cascade: &Cascade, plan: &Plan, problem: &Problem) -> Plan {
    let mut stages = cascade.stages.each_ref().map(|(variant, way)| one_stage(vec![lane(variant, way, 1.0)]));
    stages[0].name = "first".to_owned();
    stages[0].exit = Some(Exit { certainty_at_least: Certainty::saturating(cascade.threshold) });
    stages[1].name = "second".to_owned();
    let gear = Gear {
        up_to_rps: Rate::saturating(plan.max_rps()),
        replicas: std::collections::BTreeMap::new(),
        packing: Vec::new(),
        under_way_at_most: None,
        window_ms: None,
        stages: stages.to_vec(),
        claims: Claims::default(),
        certificate: None,
    };
    Plan {
        gears: vec![gear],
        placement: cascade.stages.iter().map(|(variant, way)| pool(problem, variant, way)).collect(),
        transfers: Vec::new(),
        proof: None,
        ..plan.clone()
    }
}

//! IPA's own integer program (JSys 2024, section 4), as its adapter sees one decision.
//!
//! ```text
//! maximise  α·A − β·Σ n_s·R_s − δ·Σ b_s
//! s.t.      Σ_s [ l_s(b_s) + (b_s − 1)/λ ] ≤ SLA      n_s·h_s(b_s) ≥ λ
//! ```
//!
//! Differs from the released code on purpose: there the queueing term becomes a negative constant that loosens the SLA,
//! and the batch penalty lies below the solver's gap.

use serde::Deserialize;

use crate::base::rounding::ROUNDING;
use crate::optimize::choice::{Alternative, Choice, ChoiceGoal, ChoiceMetric, Picked, SeriesParallel, labels};

/// An instance as the paper's adapter sees it at one decision; the format of the reference instances.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IpaInstance {
    /// Load (λ).
    pub arrival_rate_rps: f64,
    /// Limit of the end-to-end latency (SLA), in seconds.
    pub sla_s: f64,
    /// Weights of the objective.
    pub weights: IpaWeights,
    /// How the stages' accuracies make that of the pipeline.
    pub accuracy_metric: AccuracyMetric,
    /// Batch sizes that may be used; all that were measured where left out.
    #[serde(default)]
    pub batch_sizes: Option<Vec<u32>>,
    /// Most replicas of a stage.
    #[serde(default = "no_limit")]
    pub max_replicas: u32,
    /// The stages, one after the other.
    pub stages: Vec<IpaStage>,
}

const fn no_limit() -> u32 {
    u32::MAX
}

/// Weights of the published objective.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct IpaWeights {
    /// Weight of the accuracy.
    pub alpha: f64,
    /// Weight of a core.
    pub beta: f64,
    /// Weight of a sample in a batch.
    pub delta: f64,
}

/// How the stages' accuracies make that of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccuracyMetric {
    /// They multiply (PAS).
    Product,
    /// Their ranks, scaled to 0..1, add up (PAS').
    SumNormalized,
}

/// A stage of a published instance.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IpaStage {
    /// Name.
    pub name: String,
    /// Its variants.
    pub variants: Vec<IpaVariant>,
}

/// A variant of a stage of a published instance.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IpaVariant {
    /// Name.
    pub name: String,
    /// Cores of one replica (R_m).
    pub cores: u32,
    /// Accuracy, 0 to 1.
    pub accuracy: f64,
    /// Rank scaled to 0..1; worked out from the accuracies where left out.
    #[serde(default)]
    pub norm_accuracy: Option<f64>,
    /// What was measured of one replica.
    pub profile: Vec<BatchPoint>,
    /// Its replicas at every load, where they cannot be chosen.
    #[serde(skip)]
    pub replicas: Option<u32>,
}

impl IpaVariant {
    /// Returns the replicas with which a batch size carries a load, or `None` where those that it has do not.
    #[must_use]
    pub fn replicas_for(&self, point: &BatchPoint, load: f64) -> Option<f64> {
        let needed = point.replicas_for(load);
        self.replicas.map_or(Some(needed), |fixed| Some(f64::from(fixed)).filter(|fixed| *fixed >= needed))
    }
}

/// Latency and throughput of one replica at one batch size.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct BatchPoint {
    /// Samples in a batch.
    pub batch: u32,
    /// Time of a batch (l), in seconds.
    pub latency_s: f64,
    /// Requests per second (h).
    pub throughput_rps: f64,
}

impl BatchPoint {
    /// Returns the fewest replicas that carry a rate.
    pub(super) fn replicas_for(&self, rate_rps: f64) -> f64 {
        (rate_rps / self.throughput_rps - ROUNDING).ceil().max(1.0)
    }
}

/// What a published decision gives a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// Name of the stage.
    pub stage: String,
    /// Name of the variant.
    pub variant: String,
    /// Samples in a batch.
    pub batch: u32,
    /// Replicas.
    pub replicas: u32,
    /// Cores of all replicas.
    pub cores: u32,
}

/// An optimum of the published program.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Value of the objective.
    pub objective: f64,
    /// Accuracy of the pipeline by the instance's metric.
    pub accuracy: f64,
    /// What each stage gets.
    pub stages: Vec<Deployed>,
}

/// Who decides, and what they may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// Everything is free: IPA.
    Ipa,
    /// The least accurate variant of each stage; batch and replicas are free (FA2-low).
    Fa2Low,
    /// The most accurate variant of each stage; batch and replicas are free (FA2-high).
    Fa2High,
    /// So many replicas of each stage; variant and batch are free (RIM).
    Rim(u32),
}

impl IpaInstance {
    /// Returns the optimum of IPA's program, or `None` where no plan keeps the SLA.
    #[must_use]
    pub fn solve(&self) -> Option<Decision> {
        self.decide(Adapter::Ipa)
    }

    /// Returns the best decision that an adapter can make, or `None` where none of its decisions keeps the SLA.
    #[must_use]
    pub fn decide(&self, adapter: Adapter) -> Option<Decision> {
        let (choice, deployed) = self.program(adapter);
        labels::solve(&choice).map(|picked| decision(&picked, &deployed))
    }

    /// Returns the integer program of an adapter, and what each of its alternatives stands for.
    #[must_use]
    pub fn program(&self, adapter: Adapter) -> (Choice<f64>, Vec<Vec<Deployed>>) {
        let mut stages = Vec::new();
        let mut deployed = Vec::new();
        for stage in &self.stages {
            let accuracies = || stage.variants.iter().map(|variant| variant.accuracy);
            let only = match adapter {
                Adapter::Ipa | Adapter::Rim(_) => None,
                Adapter::Fa2Low => Some(accuracies().fold(f64::INFINITY, f64::min)),
                Adapter::Fa2High => Some(accuracies().fold(0.0, f64::max)),
            };
            let may = |&variant: &usize| only.is_none_or(|only| stage.variants[variant].accuracy == only);
            let variants = (0..stage.variants.len()).filter(may);
            let (alternatives, of): (Vec<_>, Vec<_>) =
                variants.flat_map(|variant| self.alternatives(stage, variant, adapter)).unzip();
            stages.push(alternatives);
            deployed.push(of);
        }
        let metric = match self.accuracy_metric {
            AccuracyMetric::Product => ChoiceMetric::Product,
            AccuracyMetric::SumNormalized => ChoiceMetric::Sum,
        };
        let walk = SeriesParallel::chain(stages.len());
        let goal = ChoiceGoal::Weighted { accuracy: self.weights.alpha };
        (Choice { stages, walk, metric, goal, limit: self.sla_s }, deployed)
    }

    /// Returns a variant's batch sizes, each with the fewest replicas that carry the load, or with those that there are.
    fn alternatives(&self, stage: &IpaStage, variant: usize, adapter: Adapter) -> Vec<(Alternative<f64>, Deployed)> {
        let of = &stage.variants[variant];
        let allowed = |batch: u32| self.batch_sizes.as_ref().is_none_or(|sizes| sizes.contains(&batch));
        let accuracy = match self.accuracy_metric {
            AccuracyMetric::Product => of.accuracy,
            AccuracyMetric::SumNormalized => of.norm_accuracy.unwrap_or_else(|| stage.rank(variant)),
        };
        let points = of.profile.iter().filter(|point| allowed(point.batch) && point.throughput_rps > 0.0);
        let alternative = |point: &BatchPoint| {
            let needed = of.replicas_for(point, self.arrival_rate_rps)?;
            let replicas = match adapter {
                Adapter::Rim(replicas) if f64::from(replicas) >= needed => f64::from(replicas),
                Adapter::Rim(_) => return None,
                _ => needed,
            };
            let cores = replicas * f64::from(of.cores);
            let fill = f64::from(point.batch - 1) / self.arrival_rate_rps;
            let deployed = Deployed {
                stage: stage.name.clone(),
                variant: of.name.clone(),
                batch: point.batch,
                replicas: replicas as u32,
                cores: cores as u32,
            };
            let cost = self.weights.beta * cores + self.weights.delta * f64::from(point.batch);
            Some((Alternative { accuracy, cost, delay: point.latency_s + fill, blend: variant }, deployed))
        };
        points.filter_map(alternative).filter(|(_, deployed)| deployed.replicas <= self.max_replicas).collect()
    }
}

impl IpaStage {
    /// Returns a variant's rank by accuracy, scaled to 0..1; a lone variant counts 1.
    fn rank(&self, variant: usize) -> f64 {
        let own = self.variants[variant].accuracy;
        let below = self.variants.iter().filter(|other| other.accuracy < own).count();
        if self.variants.len() > 1 { below as f64 / (self.variants.len() - 1) as f64 } else { 1.0 }
    }
}

fn decision(picked: &Picked, deployed: &[Vec<Deployed>]) -> Decision {
    Decision {
        objective: picked.value,
        accuracy: picked.accuracy,
        stages: deployed.iter().zip(&picked.picks).map(|(stage, &pick)| stage[pick].clone()).collect(),
    }
}

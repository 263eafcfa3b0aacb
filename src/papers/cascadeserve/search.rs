//! SP1: random cascades over an even grid of thresholds, and those of them that nothing beats in accuracy and mean work.

use std::collections::BTreeSet;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{RingInstance, RingSettings};
use crate::rooms::exits::{Cascade, Member, Records};
use crate::stats::Dice;

/// Stream of the seed that draws cascades; the simulator has 1 and 2.
const STREAM: u64 = 3;

/// Returns the cascades worth a range, from the most accurate, which works most, to the cheapest.
///
/// Takes O(samples × records) for scores and O(samples²) for the comparison of all with all, as published.
#[must_use]
pub fn search(instance: &RingInstance<'_>, settings: &RingSettings) -> Vec<Cascade> {
    let mut drawn = random(instance.models.len(), settings);
    instance.records.settle(drawn.iter_mut().flatten());
    let scored: Vec<(Cascade, f64)> = drawn
        .into_par_iter()
        .map(|members| {
            let cascade = score(instance.records, &members);
            let work_ms = work_ms(instance, &cascade, settings.load_batch);
            (cascade, work_ms)
        })
        .collect();
    let beats = |a: &(Cascade, f64), b: &(Cascade, f64)| {
        a.0.accuracy >= b.0.accuracy && a.1 <= b.1 && (a.0.accuracy > b.0.accuracy || a.1 < b.1)
    };
    let unbeaten = (0..scored.len()).into_par_iter().filter(|&i| !scored.iter().any(|other| beats(other, &scored[i])));
    let mut kept: Vec<(Cascade, f64)> = unbeaten.map(|i| scored[i].clone()).collect();
    kept.sort_by(|a, b| b.0.accuracy.total_cmp(&a.0.accuracy).then(a.1.total_cmp(&b.1)));
    kept.dedup_by(|a, b| a.0.accuracy == b.0.accuracy && a.1 == b.1);
    kept.into_iter().map(|(cascade, _)| cascade).collect()
}

/// Returns the mean time that a request of a cascade takes of a device, every model in batches of one size.
pub(super) fn work_ms(instance: &RingInstance<'_>, cascade: &Cascade, batch: usize) -> f64 {
    let parts = cascade.members.iter().zip(&cascade.reach);
    parts.map(|(member, reach)| reach * instance.models[member.model].sample_ms(batch)).sum()
}

/// Draws cascades of so many models, each kept once, beside every model alone.
#[must_use]
pub fn random(models: usize, settings: &RingSettings) -> Vec<Vec<Member>> {
    let longest = settings.longest.min(models) as u32;
    let models = models as u32;
    let mut dice = Dice::new(settings.seed, STREAM);
    // Models with the place of their threshold on the grid; 0 forwards nobody, so what follows is cut.
    let mut drawn: BTreeSet<Vec<(u32, u32)>> = (0..models).map(|model| vec![(model, 0)]).collect();
    for _ in 0..settings.samples {
        let length = 1 + dice.below(longest);
        let mut members: Vec<(u32, u32)> = Vec::new();
        while members.len() < length as usize {
            let model = dice.below(models);
            if members.iter().all(|member| member.0 != model) {
                members.push((model, 0));
            }
        }
        for place in 1..members.len() {
            members[place - 1].1 = dice.below(settings.thresholds);
            if members[place - 1].1 == 0 {
                members.truncate(place);
                break;
            }
        }
        drawn.insert(members);
    }
    let step = settings.highest_threshold / f64::from(settings.thresholds.max(2) - 1);
    let threshold = |place: u32| (place > 0).then(|| f64::from(place) * step);
    let member = |(model, place): (u32, u32)| Member { model: model as usize, exit_at: threshold(place) };
    drawn.into_iter().map(|members| members.into_iter().map(member).collect()).collect()
}

/// Counts a cascade's right answers sample by sample, as the released code does; members that no sample gets to are cut.
fn score(records: &Records, members: &[Member]) -> Cascade {
    let mut cascade = records.evaluate(members);
    let used = cascade.reach.iter().take_while(|&&reach| reach > 0.0).count().max(1);
    cascade.members.truncate(used);
    cascade.reach.truncate(used);
    if let Some(last) = cascade.members.last_mut() {
        last.exit_at = None;
    }
    cascade
}

//! How many samples get to each member of a cascade, counted again on other samples: 64 samples a machine word (§5.1).

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use super::{Cascade, Member, Records};

/// Counts again, on other samples than those that they were scored on, how many get to each member of cascades. O(samples ÷ 64)
/// a member.
pub(in crate::rooms) fn recount(records: &Records, cascades: &mut [Cascade]) {
    let mut going_on: BTreeMap<(usize, u64), Vec<u64>> = BTreeMap::new();
    for (member, exit_at) in cascades.iter().flat_map(|cascade| thresholds(&cascade.members)) {
        let certainty = &records.models[member.model].certainty;
        going_on.entry((member.model, exit_at.to_bits())).or_insert_with(|| bits(certainty, exit_at));
    }
    let samples = records.samples();
    cascades.par_iter_mut().for_each(|cascade| {
        let sets: Vec<&Vec<u64>> = thresholds(&cascade.members)
            .map(|(member, exit_at)| &going_on[&(member.model, exit_at.to_bits())])
            .collect();
        let mut reached = vec![0_u64; sets.len()];
        for word in 0..samples.div_ceil(64) {
            let mut here = u64::MAX;
            for (set, count) in sets.iter().zip(&mut reached) {
                here &= set[word];
                *count += u64::from(here.count_ones());
            }
        }
        cascade.reach.iter_mut().skip(1).zip(reached).for_each(|(reach, count)| {
            *reach = count as f64 / samples.max(1) as f64;
        });
    });
}

/// Returns the members that have a threshold: all but the last.
fn thresholds(members: &[Member]) -> impl Iterator<Item = (&Member, f64)> {
    members.iter().filter_map(|member| Some((member, member.exit_at?)))
}

/// Returns the samples that go on, a bit each.
fn bits(certainty: &[f64], exit_at: f64) -> Vec<u64> {
    let goes_on = |sure: f64| u64::from(sure >= exit_at) ^ 1;
    let of_word =
        |samples: &[f64]| samples.iter().enumerate().fold(0, |word, (place, &sure)| word | goes_on(sure) << place);
    certainty.chunks(64).map(of_word).collect()
}

#[cfg(test)]
mod tests {
    use super::super::score::tests::by_chance;
    use super::super::{SearchGrid, frontier};
    use super::recount;
    use crate::stats::Dice;

    #[test]
    fn counting_again_is_counting_sample_by_sample() {
        let mut dice = Dice::new(16, 0);
        let search_on = by_chance(&mut dice, 3, 200, 50);
        for samples in [1, 63, 64, 65, 333] {
            let records = by_chance(&mut dice, 3, samples, 50);
            let mut cascades = frontier(&search_on, SearchGrid { quantiles: 5, ..SearchGrid::default() }, 0.0);
            recount(&records, &mut cascades);
            for cascade in &cascades {
                assert_eq!(cascade.reach, records.evaluate(&cascade.members).reach, "{samples}: {cascade:?}");
            }
        }
    }
}

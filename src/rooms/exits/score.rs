//! Scores of all thresholds of a sequence of models at once (§5.1), equal to counting sample by sample.
//!
//! - Two models, every cut between distinct certainties: right answers by rank of the first model's certainty, summed up. O(N).
//! - Three models, a grid of cuts: each sample falls into a cell `(p, q)` of bins of the first two certainties; sums over
//!   rectangles of cells (a summed-area table) give every pair of cuts. O(N + K²) for N samples and K cuts a model.
//! - Four models: bins of the first one after another join the cells of the next two. O(N + K³).
//!
//! With `n` samples and `h1, h2, h3` right answers in a cell, cuts `s` and `t`, and bins below a cut going on:
//!
//! ```text
//! leave at 1:  Σ_{p ≥ s} h1            reach of 2 = Σ_{p < s} n
//! leave at 2:  Σ_{p < s, q ≥ t} h2     reach of 3 = Σ_{p < s, q < t} n
//! leave at 3:  Σ_{p < s, q < t} h3     right      = the sum of the three
//! ```

use super::threshold::Levels;
use super::{Cascade, Member, Record, Records};

/// The most members of a cascade that is scored.
pub const LONGEST: usize = 4;

/// Which cascades to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchGrid {
    /// Most members, up to [`LONGEST`].
    pub longest: usize,
    /// Cuts of a model at quantiles of its certainties, for sequences of three and more. Two are cut everywhere.
    pub quantiles: usize,
    /// Cuts at thresholds that are evenly spaced in 0 to 1, beside the quantiles, as published searches take them.
    pub even: usize,
}

impl Default for SearchGrid {
    fn default() -> Self {
        Self { longest: 3, quantiles: 63, even: 20 }
    }
}

/// One scored cascade, in counts; [`Scorer::cascade`] turns it into words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    /// Number of members.
    pub stages: u8,
    /// The models, as far as there are members.
    pub models: [u8; LONGEST],
    /// For each member but the last the rank of its threshold among the distinct certainties of its model.
    pub cuts: [u32; LONGEST - 1],
    /// Samples that get to each member.
    pub reached: [u32; LONGEST],
    /// Samples answered rightly.
    pub right: u32,
    /// Whether a longer cascade is more accurate than each that it begins with; it calls more models than those do.
    pub helps: bool,
}

/// Records prepared for scoring.
#[derive(Debug, Clone)]
pub struct Scorer<'a> {
    records: &'a Records,
    search: SearchGrid,
    columns: Vec<Column>,
    grids: Vec<Bins>,
}

/// What one model answered, by rank of certainty.
#[derive(Debug, Clone)]
struct Column {
    /// The distinct certainties, between which it is cut.
    levels: Levels,
    /// For each sample the place of its certainty among them.
    rank: Vec<u32>,
    /// 1 where the sample is answered rightly.
    right: Vec<u32>,
}

/// Ranks at which a model is cut, and where each sample falls between them.
#[derive(Debug, Clone)]
struct Bins {
    /// Ascending; certainties of a lower rank go on.
    cuts: Vec<u32>,
    /// For each sample the number of cuts that are at most its rank.
    bin: Vec<u32>,
}

impl Bins {
    fn new(column: &Column, cuts: Vec<u32>) -> Self {
        let mut bin_of_rank = Vec::with_capacity(column.levels.len());
        let mut bin = 0;
        for rank in 0..column.levels.len() as u32 {
            while cuts.get(bin as usize).is_some_and(|&cut| cut <= rank) {
                bin += 1;
            }
            bin_of_rank.push(bin);
        }
        let bin = column.rank.iter().map(|&rank| bin_of_rank[rank as usize]).collect();
        Self { cuts, bin }
    }

    /// Number of bins.
    fn width(&self) -> usize {
        self.cuts.len() + 1
    }
}

impl Column {
    fn new(record: &Record) -> Self {
        let levels = Levels::new(record);
        let rank = record.certainty.iter().map(|&value| levels.rank(value)).collect();
        Self { levels, rank, right: record.right.iter().map(|&right| u32::from(right)).collect() }
    }

    /// Returns the ranks at which the samples are cut. Distinct certainties that many samples share count as one bin's worth,
    /// so that cuts are not spent where nothing can be cut.
    fn cuts(&self, search: SearchGrid) -> Vec<u32> {
        let mut samples = vec![0_usize; self.levels.len()];
        self.rank.iter().for_each(|&rank| samples[rank as usize] += 1);
        let most = (self.rank.len() / (search.quantiles + 1)).max(1);
        let total: usize = samples.iter().map(|&count| count.min(most)).sum();
        let (mut cuts, mut seen) = (Vec::new(), 0);
        for (rank, &count) in samples.iter().enumerate() {
            // A cut stands before the first certainty that begins beyond the next quantile.
            if rank > 0 && cuts.len() < search.quantiles && seen * (search.quantiles + 1) >= total * (cuts.len() + 1) {
                cuts.push(rank as u32);
            }
            seen += count.min(most);
        }
        if self.levels.len() <= search.quantiles + 1 {
            cuts = (1..self.levels.len() as u32).collect();
        }
        let even = (0..search.even).map(|step| step as f64 / (search.even - 1).max(1) as f64);
        cuts.extend(even.map(|threshold| self.levels.rank(threshold)));
        cuts.retain(|&rank| self.is_cut(rank));
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    /// Tells whether a cut at a rank leaves certainties on both sides, which every reader can tell apart.
    fn is_cut(&self, rank: u32) -> bool {
        rank > 0 && (rank as usize) < self.levels.len() && self.levels.can_cut(rank)
    }
}

impl<'a> Scorer<'a> {
    /// Returns records prepared for a search.
    ///
    /// # Panics
    /// Where there are more than 256 models or 2^32 samples.
    #[must_use]
    pub fn new(records: &'a Records, search: SearchGrid) -> Self {
        assert!(records.models.len() <= 256, "models are numbered in 8 bits");
        assert!(u32::try_from(records.samples()).is_ok(), "samples are counted in 32 bits");
        let columns: Vec<Column> = records.models.iter().map(Column::new).collect();
        let grids = columns.iter().map(|column| Bins::new(column, column.cuts(search))).collect();
        Self { records, search, columns, grids }
    }

    /// Returns every sequence of models that the search asks for; no model stands twice in one.
    #[must_use]
    pub fn sequences(&self) -> Vec<Vec<usize>> {
        let mut sequences: Vec<Vec<usize>> = vec![Vec::new()];
        let mut begun = 0;
        for _ in 0..self.search.longest.min(LONGEST) {
            let end = sequences.len();
            for index in begun..end {
                for model in 0..self.columns.len() {
                    let sequence = &sequences[index];
                    if !sequence.contains(&model) {
                        sequences.push([sequence.as_slice(), &[model]].concat());
                    }
                }
            }
            begun = end;
        }
        sequences.remove(0);
        sequences
    }

    /// Adds the scores of a sequence at every cut of its models to `scores`, in ascending order of the cuts.
    ///
    /// # Panics
    /// Where the sequence is empty or longer than [`LONGEST`].
    pub fn score(&self, sequence: &[usize], scores: &mut Vec<Score>) {
        let grid = |place: usize| &self.grids[sequence[place]];
        match sequence.len() {
            1 => scores.push(self.single(sequence[0])),
            2 => self.pairs(sequence, scores),
            3 => Plane::new(self, sequence, [grid(0), grid(1)]).score(scores),
            4 => self.fours(sequence, scores),
            other => panic!("a cascade of {other} members is not scored"),
        }
    }

    /// Adds the scores of a sequence of three at the given ranks of the first two models.
    pub(super) fn score_at(&self, sequence: &[usize], cuts: [Vec<u32>; 2], scores: &mut Vec<Score>) {
        let [first, second] = cuts;
        let bins = [Bins::new(&self.columns[sequence[0]], first), Bins::new(&self.columns[sequence[1]], second)];
        Plane::new(self, sequence, [&bins[0], &bins[1]]).score(scores);
    }

    /// Returns the ranks of a model between the neighbours of a cut on its grid, at most `most` of them.
    pub(super) fn around(&self, model: usize, cut: u32, most: usize) -> Vec<u32> {
        let cuts = &self.grids[model].cuts;
        let below = cuts.iter().rev().find(|&&other| other < cut).map_or(1, |&other| other + 1);
        let column = &self.columns[model];
        let distinct = column.levels.len() as u32;
        let above = cuts.iter().find(|&&other| other > cut).copied().unwrap_or(distinct).max(cut + 1);
        let step = ((above - below) as usize).div_ceil(most).max(1);
        let mut ranks: Vec<u32> =
            (below..above).step_by(step).chain([cut]).filter(|&rank| column.is_cut(rank)).collect();
        ranks.sort_unstable();
        ranks.dedup();
        ranks
    }

    /// Returns a score in words.
    #[must_use]
    pub fn cascade(&self, score: &Score) -> Cascade {
        let samples = self.records.samples().max(1) as f64;
        let last = usize::from(score.stages) - 1;
        let member = |place: usize| {
            let model = usize::from(score.models[place]);
            let exit_at = (place < last).then(|| self.columns[model].levels.threshold(score.cuts[place]));
            Member { model, exit_at }
        };
        let mut reach: Vec<f64> = score.reached[..=last].iter().map(|&count| f64::from(count) / samples).collect();
        reach[0] = 1.0;
        Cascade { members: (0..=last).map(member).collect(), accuracy: f64::from(score.right) / samples, reach }
    }

    fn blank(&self, sequence: &[usize]) -> Score {
        let mut score = Score { stages: sequence.len() as u8, ..Score::default() };
        score.reached[0] = self.records.samples() as u32;
        sequence.iter().zip(&mut score.models).for_each(|(&model, place)| *place = model as u8);
        score
    }

    fn single(&self, model: usize) -> Score {
        let right = self.columns[model].right.iter().sum();
        Score { right, helps: true, ..self.blank(&[model]) }
    }

    fn pairs(&self, sequence: &[usize], scores: &mut Vec<Score>) {
        let (first, second) = (&self.columns[sequence[0]], &self.columns[sequence[1]]);
        let mut of_rank = vec![(0, 0, 0); first.levels.len()];
        for ((&rank, own), other) in first.rank.iter().zip(&first.right).zip(&second.right) {
            let (samples, right, right_then) = &mut of_rank[rank as usize];
            *samples += 1;
            *right += own;
            *right_then += other;
        }
        let alone: u32 = first.right.iter().sum();
        let blank = self.blank(sequence);
        let (mut reached, mut right) = (0, alone);
        for (below, (samples, own, other)) in of_rank[..of_rank.len().saturating_sub(1)].iter().enumerate() {
            reached += samples;
            right = right + other - own;
            if !first.is_cut(below as u32 + 1) {
                continue;
            }
            let mut score = Score { right, helps: right > alone, ..blank };
            score.cuts[0] = below as u32 + 1;
            score.reached[1] = reached;
            scores.push(score);
        }
    }

    /// The first model's bins join the plane of the others one after another.
    fn fours(&self, sequence: &[usize], scores: &mut Vec<Score>) {
        let (first, bins) = (&self.columns[sequence[0]], &self.grids[sequence[0]]);
        let mut plane = Plane::empty(self, &sequence[1..], [&self.grids[sequence[1]], &self.grids[sequence[2]]]);
        let alone: u32 = first.right.iter().sum();
        let mut members = vec![Vec::new(); bins.width()];
        bins.bin.iter().enumerate().for_each(|(sample, &bin)| members[bin as usize].push(sample));
        let (mut left, mut of_three) = (alone, Vec::new());
        for (&cut, samples) in bins.cuts.iter().zip(&members) {
            for &sample in samples {
                plane.add(sample);
                left -= first.right[sample];
            }
            of_three.clear();
            plane.score(&mut of_three);
            scores.extend(of_three.iter().map(|three| {
                let mut score = self.blank(sequence);
                score.cuts = [cut, three.cuts[0], three.cuts[1]];
                score.reached[1..].copy_from_slice(&three.reached[..LONGEST - 1]);
                score.right = left + three.right;
                score.helps = three.helps && score.right > alone;
                score
            }));
        }
    }
}

/// Counts of samples by the bins of two models, with the right answers of both and of a third.
struct Plane<'a> {
    scorer: &'a Scorer<'a>,
    sequence: &'a [usize],
    bins: [&'a Bins; 2],
    samples: u32,
    /// Right answers of the first model, by its bin.
    first: Vec<u32>,
    /// In each cell the samples, then the right answers of the second and of the third model.
    cells: Vec<[u32; 4]>,
}

impl<'a> Plane<'a> {
    fn empty(scorer: &'a Scorer<'a>, sequence: &'a [usize], bins: [&'a Bins; 2]) -> Self {
        let (first, cells) = (vec![0; bins[0].width()], vec![[0; 4]; bins[0].width() * bins[1].width()]);
        Self { scorer, sequence, bins, samples: 0, first, cells }
    }

    fn new(scorer: &'a Scorer<'a>, sequence: &'a [usize], bins: [&'a Bins; 2]) -> Self {
        let mut plane = Self::empty(scorer, sequence, bins);
        let [one, two, three] = [0, 1, 2].map(|place| &scorer.columns[sequence[place]].right);
        let width = bins[1].width();
        let places = bins[0].bin.iter().zip(&bins[1].bin);
        for ((((&p, &q), one), two), three) in places.zip(one).zip(two).zip(three) {
            plane.first[p as usize] += one;
            let cell = &mut plane.cells[p as usize * width + q as usize];
            *cell = [cell[0] + 1, cell[1] + two, cell[2] + three, 0];
        }
        plane.samples = scorer.records.samples() as u32;
        plane
    }

    fn add(&mut self, sample: usize) {
        let [one, two, three] = [0, 1, 2].map(|place| self.scorer.columns[self.sequence[place]].right[sample]);
        let [p, q] = self.bins.map(|bins| bins.bin[sample] as usize);
        self.first[p] += one;
        let cell = &mut self.cells[p * self.bins[1].width() + q];
        *cell = [cell[0] + 1, cell[1] + two, cell[2] + three, 0];
        self.samples += 1;
    }

    /// Adds the scores at every pair of cuts.
    fn score(&self, scores: &mut Vec<Score>) {
        let width = self.bins[1].width();
        let mut blank = self.scorer.blank(self.sequence);
        blank.reached[0] = self.samples;
        let alone: u32 = self.first.iter().sum();
        let mut left = alone;
        // Sums over all rows so far, cell by cell; summed again along the row they are those of a rectangle.
        let mut column = vec![[0_u32; 4]; width];
        scores.reserve(self.bins[0].cuts.len() * self.bins[1].cuts.len());
        for ((&cut, own), row) in self.bins[0].cuts.iter().zip(&self.first).zip(self.cells.chunks_exact(width)) {
            left -= own;
            for (sum, cell) in column.iter_mut().zip(row) {
                *sum = add(*sum, *cell);
            }
            let all = column.iter().copied().fold([0; 4], add);
            blank.cuts[0] = cut;
            blank.reached[1] = all[0];
            let of_two = left + all[1];
            let mut below = [0; 4];
            scores.extend(self.bins[1].cuts.iter().zip(&column).map(|(&cut, cell)| {
                below = add(below, *cell);
                let mut score = blank;
                score.cuts[1] = cut;
                score.reached[2] = below[0];
                score.right = of_two - below[1] + below[2];
                score.helps = score.right > of_two.max(alone);
                score
            }));
        }
    }
}

fn add(a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Record, Records};
    use super::{Scorer, SearchGrid};
    use crate::stats::Dice;

    /// Records by chance: models of rising accuracy, whose certainties have many ties or few.
    pub(in super::super) fn by_chance(dice: &mut Dice, models: u32, samples: usize, levels: u32) -> Records {
        let hardness: Vec<f64> = (0..samples).map(|_| dice.unit()).collect();
        let mut record = |model: u32| {
            let skill = 0.4 + 0.5 * f64::from(model + 1) / f64::from(models);
            let mut record = Record { name: format!("m{model}"), ..Record::default() };
            for hard in &hardness {
                let sure = (skill + 0.3 * (dice.unit() - 0.5) - 0.5 * hard).clamp(0.0, 1.0);
                let right = dice.unit() < skill + 0.3 * (0.5 - hard);
                record.right.push(right);
                record.predicted.push(if right { 0 } else { 1 + dice.below(3) });
                record.certainty.push((sure * f64::from(levels)).round() / f64::from(levels));
            }
            record
        };
        Records { models: (0..models).map(&mut record).collect() }
    }

    #[test]
    fn every_score_is_that_of_counting_sample_by_sample() {
        let mut dice = Dice::new(1, 0);
        let mut seen = [0; super::LONGEST];
        for trial in 0..40 {
            let levels = [3, 7, 50, 100_000][trial % 4];
            let records = by_chance(&mut dice, 4, 20 + 10 * trial, levels);
            let search = SearchGrid { longest: 4, quantiles: 1 + trial % 6, even: trial % 4 };
            let scorer = Scorer::new(&records, search);
            let mut scores = Vec::new();
            scorer.sequences().iter().for_each(|sequence| scorer.score(sequence, &mut scores));
            for score in &scores {
                let fast = scorer.cascade(score);
                assert_eq!(fast, records.evaluate(&fast.members), "trial {trial}");
                let prefixes = (1..fast.members.len()).map(|stages| {
                    let mut members = fast.members[..stages].to_vec();
                    members[stages - 1].exit_at = None;
                    records.evaluate(&members).accuracy
                });
                let helps = prefixes.fold(0.0_f64, f64::max) < fast.accuracy || fast.members.len() == 1;
                assert_eq!(score.helps, helps, "trial {trial}: {fast:?}");
                seen[fast.members.len() - 1] += 1;
            }
        }
        assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
    }

    #[test]
    fn pairs_are_cut_between_all_distinct_certainties_and_grids_at_quantiles() {
        let mut dice = Dice::new(2, 0);
        let records = by_chance(&mut dice, 3, 5_000, 100_000);
        let search = SearchGrid { longest: 3, quantiles: 31, even: 0 };
        let scorer = Scorer::new(&records, search);
        let count = |sequence: &[usize]| {
            let mut scores = Vec::new();
            scorer.score(sequence, &mut scores);
            scores.len()
        };
        assert_eq!(count(&[0, 1]), scorer.columns[0].levels.len() - 1);
        assert_eq!(count(&[0, 1, 2]), 31 * 31);
        let most = scorer.grids[0].cuts.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(most.is_some_and(|most| most <= 5_000 / 31), "{most:?}");
        assert_eq!(scorer.sequences().len(), 3 + 6 + 6);
    }

    #[test]
    fn nothing_to_cut_is_no_cascade() {
        let flat = |name: &str| Record {
            name: name.into(),
            right: vec![true; 3],
            certainty: vec![1.0; 3],
            ..Record::default()
        };
        for records in [Records::default(), Records { models: vec![flat("a"), flat("b"), flat("c")] }] {
            let scorer = Scorer::new(&records, SearchGrid::default());
            let mut scores = Vec::new();
            scorer.sequences().iter().for_each(|sequence| scorer.score(sequence, &mut scores));
            assert_eq!(scores.len(), records.models.len(), "only single models");
        }
    }
}

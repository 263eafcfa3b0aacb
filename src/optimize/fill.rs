//! Our exact search: one dynamic programme answers every goal at every load at once.
//!
//! Given the cores, quotas fill the most accurate variant first. So with variants sorted by accuracy, the most answers
//! that can be right per second with at most `R` cores, as a function of the load `r` still to be placed, is
//!
//! ```text
//! H_j(R, r) = max over allotments (n, cap) of variant j:   a_j·r                              where r ≤ cap
//!                                                          a_j·cap + H_{j+1}(R − n, r − cap)  beyond
//! ```
//!
//! Each `H_j(R, ·)` is piecewise linear in the load, so the programme is run on whole functions: shift, then take the
//! upper envelope. Average accuracy is `H_1(R, λ) ÷ λ`, and every objective times λ is linear on each piece:
//!
//! ```text
//! weighted       λ·V = (w_acc·slope − w_res·R/B − w_load·L)·λ + w_acc·intercept    max over R and load-time level L
//! cheapest       λ·V = −(R/B)·λ   where H_1(R, λ) ≥ x·λ                            max over R
//! most accurate  λ·V = H_1(R, λ)                                                   max over R, fewest cores first
//! accuracy, then cores   as cheapest   where H_1(R, λ) ≥ H_1(B, λ) − tolerance·λ
//! cores, then accuracy   as most accurate   where R is at most the fewest cores that carry λ, and the tolerance
//! ```
//!
//! The upper envelope of these is the optimum at every load, and its corners are the exact breakpoints. The load-time
//! term is handled by levels: at level `L` only variants that load within `L` may start or resize, the others keep their
//! cores or go.

pub mod at_load;
pub(crate) mod cores;
mod window;

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{Instance, Objective, Solution};
use crate::base::rounding::{NOISE, ROUNDING};
use window::Window;

/// The optimum at every load up to the highest that can be carried.
#[derive(Debug, Clone)]
pub struct Ladder<'a> {
    instance: &'a Instance,
    order: Vec<usize>,
    levels: Vec<Level>,
    optimum: Function<Root>,
}

/// A range of loads over which the same cores are optimal and the same variant takes what is left.
#[derive(Debug, Clone, PartialEq)]
pub struct Rung {
    /// The range begins above this load.
    pub from: f64,
    /// The highest load of the range.
    pub to: f64,
    /// The optimum at `to`.
    pub solution: Solution,
    /// Average accuracy at a load λ of the range is `accuracy_slope + accuracy_intercept ÷ λ`.
    pub accuracy_slope: f64,
    /// See `accuracy_slope`; in answers per second.
    pub accuracy_intercept: f64,
}

impl Rung {
    /// Tells whether `next` keeps the cores and the order of filling.
    fn continues(&self, next: &Self) -> bool {
        // Accuracies are parts of one, answers per second parts of the load.
        self.solution.cores == next.solution.cores
            && (self.accuracy_slope - next.accuracy_slope).abs() <= ROUNDING
            && (self.accuracy_intercept - next.accuracy_intercept).abs() <= ROUNDING * next.to
    }
}

/// One run of the dynamic programme: which variants may start or resize.
#[derive(Debug, Clone)]
struct Level {
    /// For each variant in order of accuracy its allowed allotments.
    options: Vec<Vec<super::Allotment>>,
    /// `tables[j][R]` is H_j(R, ·); levels share what is the same in both.
    tables: Vec<Arc<Vec<Function<Choice>>>>,
}

/// Index into a variant's options plus one; 0 leaves the variant out.
type Choice = usize;

/// Where a piece of the optimum comes from: level and cores.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Root {
    level: usize,
    cores: usize,
}

/// A piecewise linear function of the load on (0, end], upper semicontinuous; undefined beyond its end.
#[derive(Debug, Clone, PartialEq)]
struct Function<T> {
    pieces: Vec<Piece<T>>,
}

/// `intercept + slope·load` up to and including `to`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece<T> {
    to: f64,
    slope: f64,
    intercept: f64,
    tag: T,
}

impl<'a> Ladder<'a> {
    /// Solves the instance for every load.
    #[must_use]
    pub fn solve(instance: &'a Instance) -> Self {
        Self::between(0.0, f64::INFINITY, instance)
    }

    /// Solves the instance for every load from `least` to `most`; what it says of other loads is not to be used.
    #[must_use]
    pub fn between(least: f64, most: f64, instance: &'a Instance) -> Self {
        Self::within(&Window::up_to(most, instance), least, most, instance)
    }

    /// Does so with no more cores than a window shows.
    fn within(window: &Window, least: f64, most: f64, instance: &'a Instance) -> Self {
        let order = instance.by_accuracy();
        let mut levels: Vec<Level> = Vec::new();
        let mut optimum = Function { pieces: Vec::new() };
        let mut scratch = Vec::new();
        for threshold in load_time_levels(instance) {
            let level = Level::solve(instance, window, (&order, threshold), least..=most, levels.last());
            for (cores, accuracy_mass) in level.tables[0].iter().enumerate() {
                let root = Root { level: levels.len(), cores };
                let goal = goal_function(instance, accuracy_mass, &level.tables[0], threshold, root);
                optimum.raise(0.0, goal.pieces.into_iter(), instance.objective.unit(), &mut scratch);
            }
            levels.push(level);
        }
        Self { instance, order, levels, optimum }
    }

    /// Returns the highest load that can be carried; 0 where none can.
    #[must_use]
    pub fn max_load(&self) -> f64 {
        self.optimum.pieces.last().map_or(0.0, |piece| piece.to)
    }

    /// Returns the optimum at a load, or `None` beyond the highest load.
    #[must_use]
    pub fn at(&self, load: f64) -> Option<Solution> {
        // At the very end of a piece rounding may break what the next one keeps.
        let first = self.optimum.first_at(load);
        let pieces = self.optimum.pieces[first..].iter().take(2);
        pieces.filter_map(|piece| self.instance.evaluate(&self.cores_of(piece.tag, load), load)).next()
    }

    /// Returns the instance that was solved.
    #[must_use]
    pub const fn instance(&self) -> &Instance {
        self.instance
    }

    /// Returns the proved upper bound on the objective at a load, or `None` beyond the highest load.
    #[must_use]
    pub fn bound_at(&self, load: f64) -> Option<f64> {
        self.optimum.piece_at(load).map(|piece| piece.value(load) / load)
    }

    /// Returns the ranges of loads up to `max_load` over which the optimum keeps its cores and its order of filling.
    #[must_use]
    pub fn rungs(&self, max_load: f64) -> Vec<Rung> {
        let mut rungs: Vec<Rung> = Vec::new();
        let mut from = 0.0;
        for piece in &self.optimum.pieces {
            let to = piece.to.min(max_load);
            // One number of cores may be best over loads at which different allotments of them are.
            let masses = &self.levels[piece.tag.level].tables[0][piece.tag.cores];
            let inside = masses.pieces.iter().filter(|mass| from < mass.to && mass.to < to).map(|mass| mass.to);
            for end in inside.chain([to]).collect::<Vec<_>>() {
                if end > from * (1.0 + ROUNDING)
                    && let Some(rung) = self.rung(piece.tag, masses, from, end)
                {
                    match rungs.last_mut() {
                        Some(last) if last.continues(&rung) => *last = Rung { from: last.from, ..rung },
                        _ => rungs.push(rung),
                    }
                    from = end;
                }
            }
        }
        rungs
    }

    fn rung(&self, root: Root, masses: &Function<Choice>, from: f64, to: f64) -> Option<Rung> {
        let solution = self.instance.evaluate(&self.cores_of(root, to), to)?;
        let mass = masses.piece_at(to)?;
        Some(Rung { from, to, solution, accuracy_slope: mass.slope, accuracy_intercept: mass.intercept })
    }

    /// Follows the choices of the dynamic programme from the root down.
    fn cores_of(&self, root: Root, load: f64) -> Vec<u32> {
        let level = &self.levels[root.level];
        let mut cores = vec![0; self.instance.items.len()];
        let (mut budget, mut left) = (root.cores, load);
        for (position, &index) in self.order.iter().enumerate() {
            if left <= load * ROUNDING {
                break;
            }
            let Some(piece) = level.tables[position][budget].piece_at(left) else { break };
            if piece.tag > 0 {
                let option = level.options[position][piece.tag - 1];
                cores[index] = option.cores;
                budget -= option.cores as usize;
                left -= option.capacity.min(left);
            }
        }
        cores
    }
}

/// Returns the thresholds of the load-time term, increasing; one that allows everything where the term does not count.
fn load_time_levels(instance: &Instance) -> Vec<f64> {
    let counts = matches!(instance.objective, Objective::Weighted { loading, .. } if loading > 0.0);
    if !counts {
        return vec![f64::INFINITY];
    }
    let mut levels: Vec<f64> = instance.items.iter().map(|item| item.load_time).chain([0.0]).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    levels
}

/// Returns λ × the objective as a function of the load λ, for plans within a number of cores and a load-time level.
fn goal_function(
    instance: &Instance,
    mass: &Function<Choice>,
    masses: &[Function<Choice>],
    threshold: f64,
    root: Root,
) -> Function<Root> {
    let used = root.cores as f64 / f64::from(instance.budget);
    let retag = |slope: f64, intercept: f64, to: f64| Piece { to, slope, intercept, tag: root };
    let pieces = mass.pieces.iter();
    match instance.objective {
        Objective::MostAccurate => Function { pieces: pieces.map(|p| retag(p.slope, p.intercept, p.to)).collect() },
        Objective::Weighted { accuracy, resource, loading } => {
            let scale = instance.longest_load();
            let load = if threshold.is_finite() && scale > 0.0 { loading * threshold / scale } else { 0.0 };
            let fixed = resource * used + load;
            let weigh = |p: &Piece<Choice>| retag(accuracy * p.slope - fixed, accuracy * p.intercept, p.to);
            Function { pieces: pieces.map(weigh).collect() }
        }
        Objective::AccuracyThenCores { tolerance } => {
            let most = masses.last().expect("a budget of 0 has a table too");
            Function { pieces: near_the_most(mass, most, tolerance, |to, slope| retag(slope - used, 0.0, to)) }
        }
        Objective::CoresThenAccuracy { tolerance } => {
            // Up to here fewer cores do, by more than the tolerance.
            let fewer = (root.cores as i64) - i64::from(tolerance) - 1;
            let fewer = usize::try_from(fewer).ok().and_then(|fewer| masses[fewer].pieces.last());
            let forbidden = fewer.map_or(0.0, |piece| piece.to);
            let mut kept = Vec::new();
            for piece in pieces {
                if kept.last().map_or(0.0, |last: &Piece<Root>| last.to) < forbidden {
                    push(&mut kept, retag(-NEVER, 0.0, piece.to.min(forbidden)));
                }
                if piece.to > forbidden {
                    push(&mut kept, retag(piece.slope, piece.intercept, piece.to));
                }
            }
            Function { pieces: kept }
        }
        Objective::Cheapest { accuracy_at_least } => {
            let mut kept = Vec::new();
            for piece in &mass.pieces {
                // slope + intercept ÷ λ ≥ x holds up to the λ of equality; accuracy only falls with load. No slack here:
                // what is best at a border must still pass `evaluate`, which has some.
                let short = accuracy_at_least - piece.slope;
                let until = if short <= 0.0 { piece.to } else { piece.to.min(piece.intercept / short) };
                if until > kept.last().map_or(0.0, |last: &Piece<Root>| last.to) {
                    kept.push(retag(-used, 0.0, until));
                }
                if until < piece.to {
                    break;
                }
            }
            Function { pieces: kept }
        }
    }
}

/// What a value loses where an earlier level forbids it: more than any value differs from another.
const NEVER: f64 = 10.0;

/// Cuts a function into pieces, made from their end and a slope: 0 where it is below another by at most so much a unit of load,
/// −[`NEVER`] elsewhere. The other is nowhere below it and ends no earlier.
fn near_the_most(
    own: &Function<Choice>,
    most: &Function<Choice>,
    tolerance: f64,
    piece: impl Fn(f64, f64) -> Piece<Root>,
) -> Vec<Piece<Root>> {
    let mut kept = Vec::new();
    let mut from = 0.0;
    let mut others = most.pieces.iter().peekable();
    for line in &own.pieces {
        while from < line.to {
            while others.next_if(|other| other.to <= from).is_some() {}
            let Some(other) = others.peek() else { break };
            let to = line.to.min(other.to);
            let short = |load: f64| other.value(load) - (tolerance + NOISE) * load - line.value(load);
            let (at_from, at_to) = (short(from), short(to));
            let slope = |short: f64| if short <= 0.0 { 0.0 } else { -NEVER };
            if (at_from <= 0.0) != (at_to <= 0.0) {
                let crossing = (from + (to - from) * (at_from / (at_from - at_to))).clamp(from, to);
                if crossing > from {
                    push(&mut kept, piece(crossing, slope(at_from)));
                }
            }
            if kept.last().is_none_or(|last: &Piece<Root>| last.to < to) {
                push(&mut kept, piece(to, slope(at_to)));
            }
            from = to;
        }
    }
    kept
}

impl Level {
    /// Runs the programme for some loads. `lower` is the level below, if any.
    fn solve(
        instance: &Instance,
        window: &Window,
        (order, threshold): (&[usize], f64),
        loads: RangeInclusive<f64>,
        lower: Option<&Self>,
    ) -> Self {
        let most = *loads.end();
        let of_item = |&index: &usize| {
            let mut options = worth_looking_at(instance, index, threshold, most);
            options.retain(|option| option.cores <= window.of_item[index]);
            options
        };
        let options: Vec<Vec<_>> = order.iter().map(of_item).collect();
        let budgets = window.budget as usize + 1;
        let mut tables = vec![Arc::new(vec![Function { pieces: Vec::new() }; budgets])];
        let mut same = lower;
        for (position, &index) in order.iter().enumerate().rev() {
            // From the least accurate variant on, tables are those of the level below until an option differs.
            same = same.filter(|lower| lower.options[position] == options[position]);
            tables.push(same.map_or_else(
                || {
                    let accuracy = instance.items[index].accuracy;
                    let rest = tables.last().expect("begins with one");
                    // Only the first variant sees the load itself; the others see what is left of it, however little.
                    let loads = if position == 0 { loads.clone() } else { 0.0..=most };
                    let at = |budget| bellman(accuracy, &options[position], rest, budget, &loads);
                    Arc::new((0..budgets).into_par_iter().map(at).collect())
                },
                |lower| Arc::clone(&lower.tables[position]),
            ));
        }
        tables.reverse();
        Self { options, tables }
    }
}

/// Returns the allotments of a variant at a load-time level; one that carries `most` makes all larger ones useless.
fn worth_looking_at(instance: &Instance, index: usize, threshold: f64, most: f64) -> Vec<super::Allotment> {
    let item = &instance.items[index];
    let allowed = |n: u32| n <= instance.budget && (item.load_time <= threshold || n == item.current_cores);
    let options = item.options.iter().copied().filter(|option| allowed(option.cores) && option.capacity > 0.0);
    let mut kept: Vec<super::Allotment> = Vec::new();
    for option in options {
        match kept.last() {
            Some(last) if last.capacity >= most => break,
            // Measured capacities may fall; more cores that carry less are of no use.
            Some(last) if option.capacity < last.capacity => {}
            _ => kept.push(option),
        }
    }
    kept
}

/// Returns H_j(budget, ·) from H_{j+1}, for some loads.
fn bellman(
    accuracy: f64,
    options: &[super::Allotment],
    rest: &[Function<Choice>],
    budget: usize,
    loads: &RangeInclusive<f64>,
) -> Function<Choice> {
    let least = loads.start() * (1.0 - ROUNDING);
    let within = &options[..options.partition_point(|option| option.cores as usize <= budget)];
    let alone = within.last().is_some_and(|option| option.capacity >= *loads.end());
    if alone && rest[budget].pieces.iter().all(|piece| piece.slope < accuracy) {
        // The most accurate one left carries every load by itself.
        let piece = |(index, option): (usize, &super::Allotment)| Piece {
            to: option.capacity.min(*loads.end()),
            slope: accuracy,
            intercept: 0.0,
            tag: index + 1,
        };
        let pieces = within.iter().enumerate().map(piece).filter(|piece| piece.to >= least);
        return Function { pieces: pieces.collect() };
    }
    let own = rest[budget].pieces.iter().filter(|piece| piece.to >= least);
    let mut best = Function { pieces: own.map(|piece| piece.retagged(0)).collect() };
    let mut scratch = Vec::new();
    // Up to here every answer is the variant's own, the most accurate one left: no larger allotment does better.
    let mut settled = 0.0;
    for (index, option) in within.iter().enumerate() {
        let after = &rest[budget - option.cores as usize];
        let filled = after.behind(option.capacity, accuracy, index + 1, *loads.end());
        best.raise(settled, filled.skip_while(|piece| piece.to < least), 1.0, &mut scratch);
        settled = option.capacity;
    }
    best
}

impl<T: Copy + PartialEq> Function<T> {
    /// Returns the piece that holds `load`, with slack for loads that are sums of capacities.
    fn piece_at(&self, load: f64) -> Option<&Piece<T>> {
        self.pieces.get(self.first_at(load))
    }

    fn first_at(&self, load: f64) -> usize {
        self.pieces.partition_point(|piece| piece.to < load - load.abs() * ROUNDING)
    }

    /// Returns the pieces of the function that first fills `capacity` at `accuracy`, then goes on with this one, for loads
    /// up to `most`.
    fn behind<U: Copy>(&self, capacity: f64, accuracy: f64, tag: U, most: f64) -> impl Iterator<Item = Piece<U>> {
        let first = Piece { to: capacity.min(most), slope: accuracy, intercept: 0.0, tag };
        let reached = first.to;
        let later = self.pieces.iter().scan(reached, move |reached, piece| {
            let from = std::mem::replace(reached, (piece.to + capacity).min(most));
            let intercept = piece.intercept + (accuracy - piece.slope) * capacity;
            (from < most).then_some(Piece { to: *reached, slope: piece.slope, intercept, tag })
        });
        std::iter::once(first).chain(later)
    }

    /// Becomes the upper envelope of this function and another beyond the load `settled`; this one wins where they are
    /// equal. `unit` is what slopes are made of, `scratch` lends its memory.
    fn raise(&mut self, settled: f64, other: impl Iterator<Item = Piece<T>>, unit: f64, scratch: &mut Vec<Piece<T>>) {
        let kept = self.pieces.partition_point(|piece| piece.to <= settled);
        scratch.clear();
        scratch.extend(self.pieces.drain(kept..));
        let mut from = self.pieces.last().map_or(0.0, |piece| piece.to);
        let ends = scratch.len();
        scratch.extend(other.skip_while(move |piece| piece.to <= from));
        let (own, other) = scratch.split_at(ends);
        let (mut next, mut rival) = (0, 0);
        while let (Some(a), Some(b)) = (own.get(next), other.get(rival)) {
            let to = a.to.min(b.to);
            push_larger(&mut self.pieces, a, b, from..to, unit);
            from = to;
            next += usize::from(a.to <= to);
            rival += usize::from(b.to <= to);
        }
        for piece in own[next..].iter().chain(&other[rival..]) {
            push(&mut self.pieces, *piece);
        }
    }
}

impl<T: Copy + PartialEq> Piece<T> {
    fn value(&self, load: f64) -> f64 {
        self.intercept + self.slope * load
    }

    fn retagged<U>(&self, tag: U) -> Piece<U> {
        Piece { to: self.to, slope: self.slope, intercept: self.intercept, tag }
    }
}

/// Appends a piece, or lengthens the last one where it goes on with the same line and tag.
///
/// Without this every envelope would keep the cuts of the functions that lost, and the number of pieces would explode.
fn push<T: Copy + PartialEq>(pieces: &mut Vec<Piece<T>>, piece: Piece<T>) {
    match pieces.last_mut() {
        Some(last) if (last.slope, last.intercept, last.tag) == (piece.slope, piece.intercept, piece.tag) => {
            last.to = piece.to;
        }
        _ => pieces.push(piece),
    }
}

/// Pushes the larger of two lines on (from, to], cut in two where they cross inside.
fn push_larger<T: Copy + PartialEq>(
    pieces: &mut Vec<Piece<T>>,
    a: &Piece<T>,
    b: &Piece<T>,
    Range { start: from, end: to }: Range<f64>,
    unit: f64,
) {
    // Differences below this are rounding: the lines count as equal, and `a` wins.
    let noise = NOISE * unit * to;
    let ahead = |load: f64| b.value(load) - a.value(load);
    let (at_from, at_to) = (ahead(from), ahead(to));
    let cut = |piece: &Piece<T>, to: f64| Piece { to, ..*piece };
    match (at_from > noise, at_to > noise) {
        (false, false) => push(pieces, cut(a, to)),
        (true, true) => push(pieces, cut(b, to)),
        (b_first, _) => {
            let crossing = (from + (to - from) * (at_from / (at_from - at_to))).clamp(from, to);
            let (first, second) = if b_first { (b, a) } else { (a, b) };
            if crossing > from {
                push(pieces, cut(first, crossing));
            }
            if to > crossing {
                push(pieces, cut(second, to));
            }
        }
    }
}

//! Distributions with few atoms, each a time with its probability.

use crate::base::rounding::SUMS;
use crate::stats::Distribution;

/// Where few atoms stand for many: fine at the top, where quantiles are asked for.
pub const FINE: &[f64] = &[
    0.04, 0.08, 0.12, 0.16, 0.2, 0.24, 0.28, 0.32, 0.36, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.84, 0.87,
    0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.9825, 0.985, 0.9875, 0.99, 0.9925, 0.995, 0.9975, 0.999,
];
/// The same for what is added up many times.
pub const USUAL: &[f64] = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995];
/// The same for what seldom counts.
pub const ROUGH: &[f64] = &[0.3, 0.7, 0.95];

/// Most by which the times that one atom stands for may differ: rare long calls keep an atom of their own, however few they are.
const WIDEST: f64 = 1.3;

/// Returns a distribution with few atoms, those between two cuts of its distribution function put together at their mean where they
/// are alike.
pub fn few(of: &Distribution, cuts: &[f64]) -> Vec<(f64, f64)> {
    if of.atoms().len() <= cuts.len() + 1 {
        return of.atoms().to_vec();
    }
    let mut few = Vec::with_capacity(cuts.len() + 1);
    let (mut sum, mut mass, mut reached) = (0.0, 0.0, 0.0);
    let mut cuts = cuts.iter().peekable();
    let mut next = of.atoms().iter().skip(1);
    let mut first = of.atoms()[0].0;
    for &(ms, p) in of.atoms() {
        (sum, mass, reached) = (sum + ms * p, mass + p, reached + p);
        let is_cut = cuts.next_if(|cut| reached >= **cut).is_some();
        while cuts.next_if(|cut| reached >= **cut).is_some() {}
        let Some(&(following, _)) = next.next() else { break };
        if is_cut || following > first * WIDEST {
            few.push((sum / mass, mass));
            (sum, mass, first) = (0.0, 0.0, following);
        }
    }
    if mass > 0.0 {
        few.push((sum / mass, mass));
    }
    few
}

/// Returns the distribution of the end of the last of one call that begins now and others that began so much earlier.
pub fn latest(own: &[(f64, f64)], others: &[(f64, f64)], earlier: &[f64]) -> Vec<(f64, f64)> {
    let ends = earlier.iter().flat_map(|&ms| others.iter().map(move |atom| atom.0 - ms)).filter(|&end| end > 0.0);
    let mut ends: Vec<f64> = own.iter().map(|atom| atom.0).chain(ends).collect();
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    let by =
        |atoms: &[(f64, f64)], ms: f64| atoms.iter().take_while(|atom| atom.0 <= ms).map(|atom| atom.1).sum::<f64>();
    let mut before = 0.0;
    let mass = |end: f64| {
        // A little later, so that rounding loses no atom.
        let at = end * (1.0 + SUMS);
        let now = earlier.iter().map(|ms| by(others, at + ms)).product::<f64>() * by(own, at);
        (end, now - std::mem::replace(&mut before, now))
    };
    ends.into_iter().map(mass).filter(|atom| atom.1 > 0.0).collect()
}

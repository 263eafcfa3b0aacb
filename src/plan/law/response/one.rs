//! One replica that serves one call at a time: exact, however rare and long its longest calls are.
//!
//! ```text
//! wait = Σ of N residual times,   P(N = n) = (1 − ρ)·ρⁿ        (Pollaczek 1930, Khinchine 1932)
//! ```
//!
//! The residual time of a call has the density P(S > t) ÷ E S. On a grid, the sum over N is the recursion
//! `w_k = (1 − ρ)·[k = 0] + ρ Σ_j r_j w_{k−j}`: no atom stands for several, so no tail is lost.

use super::Station;
use crate::stats::{Bins, Distribution, Grid};

/// Returns the distribution of responses of a replica that is busy for a part `busy` of the time.
pub fn responses(station: &Station, busy: f64, grid: Grid) -> Bins {
    let service = station.full();
    let mut waits = waits(service, busy, grid);
    let left = station.queue_left();
    waits.iter_mut().for_each(|p| *p *= left);
    waits[0] += 1.0 - left;
    grid.sum(&waits, service.atoms())
}

fn waits(service: &Distribution, busy: f64, grid: Grid) -> Bins {
    let residual = residual(service, grid);
    let mut waits = grid.empty();
    for step in 0..waits.len() {
        let behind: f64 = residual[1..=step].iter().zip(waits[..step].iter().rev()).map(|(r, w)| r * w).sum();
        let at_once = if step == 0 { 1.0 - busy } else { 0.0 };
        waits[step] = (at_once + busy * behind) / (1.0 - busy * residual[0]);
    }
    waits
}

/// Returns the residual time of a call, shared out so that its mean stays: a step takes the second difference of
/// `E (S − t)₊² ÷ (2 E S)`, the integral over the residual's tail.
fn residual(service: &Distribution, grid: Grid) -> Bins {
    let beyond = |ms: f64| {
        let of_atom = |&(t, p): &(f64, f64)| p * (t - ms).max(0.0).powi(2);
        service.atoms().iter().rev().take_while(|atom| atom.0 > ms).map(of_atom).sum::<f64>()
            / (2.0 * service.mean_ms())
    };
    let at: Vec<f64> = (0..=grid.steps + 1).map(|step| beyond(grid.step_ms * step as f64)).collect();
    let inner = (1..=grid.steps).map(|step| (at[step - 1] - 2.0 * at[step] + at[step + 1]) / grid.step_ms);
    // Before 0 the integral is a line: its slope is that of a tail of 1.
    let first = 1.0 + (at[1] - at[0]) / grid.step_ms;
    std::iter::once(first).chain(inner).map(|p| p.max(0.0)).collect()
}

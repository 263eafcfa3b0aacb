//! Distributions of response times together with what they take on machines: the search then keeps within both.

use std::sync::Arc;

use super::Delay;
use super::labels::{Label, keep_undominated_pairwise};
use crate::optimize::fleet::FleetKind;
use crate::optimize::fleet::shape::{Shapes, fits_in};
use crate::optimize::pack::{self, Size};
use crate::stats::GridDistribution;

/// Sizes of replicas that may occur, and the fleet that they must pack onto.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Kind and size of each class of replicas; their counts are not looked at.
    pub classes: Vec<(usize, Size)>,
    /// Kinds of machines.
    pub kinds: Vec<FleetKind>,
    /// Machines of each kind.
    pub fleet: Vec<u32>,
    /// What dominance looks at.
    pub shapes: Shapes,
}

impl Site {
    /// Tells whether so many replicas of each class pack onto the fleet.
    #[must_use]
    pub fn packs(&self, counts: &[u32]) -> bool {
        (0..self.kinds.len()).all(|kind| {
            let sizes = self.sizes(kind, counts);
            pack::fewest(&sizes, self.kinds[kind].space, self.fleet[kind]).is_some()
        })
    }

    /// Tells whether they may pack, by their sums; quick, and never wrongly no.
    fn may_pack(&self, counts: &[u32]) -> bool {
        (0..self.kinds.len())
            .all(|kind| pack::at_least(&self.sizes(kind, counts), self.kinds[kind].space) <= self.fleet[kind])
    }

    fn sizes(&self, kind: usize, counts: &[u32]) -> Vec<Size> {
        let here = self.classes.iter().zip(counts).filter(|((on, _), count)| *on == kind && **count > 0);
        here.map(|((_, size), &count)| Size { count, ..*size }).collect()
    }
}

/// A distribution of response times, and the replicas behind it.
#[derive(Debug, Clone)]
pub struct Placed {
    responses: GridDistribution,
    counts: Vec<u32>,
    shape: Vec<u32>,
    site: Arc<Site>,
}

impl Placed {
    /// Returns the responses of replicas of some classes.
    #[must_use]
    pub fn new(responses: GridDistribution, replicas: &[(usize, u32)], site: Arc<Site>) -> Self {
        let (mut counts, mut shape) = (vec![0; site.classes.len()], vec![0; site.shapes.dimensions]);
        for &(class, count) in replicas {
            counts[class] += count;
            site.shapes.add(class, count, &mut shape);
        }
        Self { responses, counts, shape, site }
    }

    /// Returns the same on another fleet.
    #[must_use]
    pub fn on(&self, site: &Arc<Site>) -> Self {
        Self { site: Arc::clone(site), ..self.clone() }
    }

    fn with(&self, responses: GridDistribution, other: &Self, join: fn(u32, u32) -> u32) -> Self {
        let joined =
            |own: &[u32], other: &[u32]| own.iter().zip(other).map(|(&own, &other)| join(own, other)).collect();
        Self {
            responses,
            counts: joined(&self.counts, &other.counts),
            shape: joined(&self.shape, &other.shape),
            site: Arc::clone(&self.site),
        }
    }
}

/// The limit is the part of responses that must be there by the end of the grid; the fleet is one more.
impl Delay for Placed {
    fn then(&self, next: &Self) -> Self {
        self.with(self.responses.then(&next.responses), next, u32::saturating_add)
    }

    fn beside(&self, other: &Self) -> Self {
        self.with(self.responses.beside(&other.responses), other, u32::saturating_add)
    }

    fn fits(&self, limit: f64) -> bool {
        Delay::fits(&self.responses, limit) && self.site.packs(&self.counts)
    }

    fn fits_before(&self, rest: &Self, limit: f64) -> bool {
        let together: Vec<u32> = self.counts.iter().zip(&rest.counts).map(|(own, rest)| own + rest).collect();
        self.site.may_pack(&together) && Delay::fits_before(&self.responses, &rest.responses, limit)
    }

    fn earliest(&self, other: &Self) -> Self {
        self.with(self.responses.earliest(&other.responses), other, u32::min)
    }

    fn additive(&self) -> Option<f64> {
        None
    }

    fn keep_undominated(labels: &mut Vec<Label<Self>>) {
        let no_later = |own: &Self, other: &Self| {
            fits_in(&own.shape, &other.shape) && own.responses.no_later_than(&other.responses)
        };
        keep_undominated_pairwise(labels, no_later);
    }
}

//! Distributions of response times together with what they take on machines: the search then keeps within both.

use std::sync::Arc;

use super::Delay;
use super::labels::{Label, keep_undominated_pairwise};
use crate::base::rounding::keeps_within;
use crate::optimize::fleet::FleetKind;
use crate::optimize::fleet::shape::{Shapes, fits_in};
use crate::optimize::fleet::weights::Weights;
use crate::optimize::pack::{self, Size};
use crate::stats::GridDistribution;

/// Sizes of replicas that may occur, and the fleet that they must pack onto.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Kind and size of each class of replicas; their counts are not looked at.
    classes: Vec<(usize, Size)>,
    kinds: Vec<FleetKind>,
    /// Machines of each kind.
    fleet: Vec<u32>,
    /// What dominance looks at.
    shapes: Shapes,
    /// What bounds look at.
    weights: Vec<Weights>,
    /// What the fleet holds, by each of the weights.
    holds: Vec<f64>,
}

impl Site {
    /// Returns the fleet of everything within stock, for classes that are each on a kind.
    #[must_use]
    pub fn new(classes: Vec<(usize, Size)>, kinds: Vec<FleetKind>) -> Self {
        let (shapes, weights) = (Shapes::new(&classes, &kinds), Weights::all(&classes, &kinds));
        let all: Vec<u32> = kinds.iter().map(|kind| kind.at_most).collect();
        Self { classes, kinds, fleet: Vec::new(), shapes, weights, holds: Vec::new() }.with_fleet(&all)
    }

    /// Returns the same with another fleet.
    #[must_use]
    pub fn with_fleet(&self, fleet: &[u32]) -> Self {
        Self { fleet: fleet.to_vec(), holds: self.held_by(fleet), ..self.clone() }
    }

    /// Returns the kinds of machines.
    pub(crate) fn kinds(&self) -> &[FleetKind] {
        &self.kinds
    }

    /// Returns what a fleet holds, by each of the weights.
    pub(crate) fn held_by(&self, fleet: &[u32]) -> Vec<f64> {
        self.weights.iter().map(|weights| weights.held_by(fleet)).collect()
    }

    /// Returns what so many replicas of a class weigh, by the first of the weights.
    pub(crate) fn weight(&self, class: usize, count: u32) -> f64 {
        self.weights[0].of(class, count)
    }

    /// Returns the index of a class of replicas.
    pub(crate) fn class(&self, kind: usize, size: Size) -> Option<usize> {
        self.classes.iter().position(|(on, of)| (*on, of.cores, of.memory) == (kind, size.cores, size.memory))
    }

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
    /// By each of the site's weights.
    weighs: Vec<f64>,
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
        let sum = |weights: &Weights| replicas.iter().map(|&(class, count)| weights.of(class, count)).sum();
        let weighs = site.weights.iter().map(sum).collect();
        Self { responses, counts, shape, weighs, site }
    }

    /// Returns the same on another fleet.
    #[must_use]
    pub fn on(&self, site: &Arc<Site>) -> Self {
        Self { site: Arc::clone(site), ..self.clone() }
    }

    /// Returns the weights of the replicas, by each of the site's.
    pub(crate) fn weighs(&self) -> &[f64] {
        &self.weighs
    }

    /// Tells whether the replicas may pack onto the fleet, by their sums; quick, and never wrongly no.
    pub(crate) fn may_pack(&self) -> bool {
        self.weighs.iter().zip(&self.site.holds).all(|(own, holds)| keeps_within(*own, *holds))
            && self.site.may_pack(&self.counts)
    }

    fn together(&self, responses: GridDistribution, other: &Self) -> Self {
        Self {
            responses,
            counts: joined(&self.counts, &other.counts, |own, other| own + other),
            shape: joined(&self.shape, &other.shape, |own, other| own + other),
            weighs: joined(&self.weighs, &other.weighs, |own, other| own + other),
            site: Arc::clone(&self.site),
        }
    }
}

fn joined<T: Copy>(own: &[T], other: &[T], join: impl Fn(T, T) -> T) -> Vec<T> {
    own.iter().zip(other).map(|(&own, &other)| join(own, other)).collect()
}

/// The limit is the part of responses that must be there by the end of the grid; the fleet is one more.
impl Delay for Placed {
    fn then(&self, next: &Self) -> Self {
        self.together(self.responses.then(&next.responses), next)
    }

    fn beside(&self, other: &Self) -> Self {
        self.together(self.responses.beside(&other.responses), other)
    }

    fn fits(&self, limit: f64) -> bool {
        Delay::fits(&self.responses, limit) && self.site.packs(&self.counts)
    }

    fn fits_before(&self, rest: &Self, limit: f64) -> bool {
        // What is left of the responses is worked out last: it takes longest.
        self.together(GridDistribution::at_once(0), rest).may_pack()
            && Delay::fits_before(&self.responses, &rest.responses, limit)
    }

    fn earliest(&self, other: &Self) -> Self {
        Self {
            responses: self.responses.earliest(&other.responses),
            counts: joined(&self.counts, &other.counts, u32::min),
            shape: joined(&self.shape, &other.shape, u32::min),
            weighs: joined(&self.weighs, &other.weighs, f64::min),
            site: Arc::clone(&self.site),
        }
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

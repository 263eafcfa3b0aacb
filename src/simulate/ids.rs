//! Typed indices, so that a lane is never looked up with a pool's number.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// An index that belongs to one kind of thing.
pub trait Id: Copy {
    /// Returns the plain number.
    fn index(self) -> usize;
    /// Returns the id of that number.
    fn of(index: usize) -> Self;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl Id for $name {
            #[inline]
            fn index(self) -> usize {
                self.0 as usize
            }
            #[inline]
            fn of(index: usize) -> Self {
                Self(u32::try_from(index).expect("fewer than 2^32 things of a kind"))
            }
        }
    )+};
}

ids!(
    /// A variant, in the order of [`variants_of`](super::variants_of).
    VariantId,
    /// A pool, in the order of the placement.
    PoolId,
    /// A gear, in the order of the plan.
    GearId,
    /// A stage, counted through all gears.
    StageId,
    /// A lane, counted through all stages of all gears.
    LaneId,
    /// A cell of counts: the requests of one window and gear.
    CellId,
    /// A request under way.
    RequestId,
    /// Calls that are served together.
    BatchId,
);

/// A list that only its own kind of index opens.
#[derive(Debug, Clone)]
pub struct Table<I, T>(pub Vec<T>, PhantomData<I>);

impl<I: Id, T> Table<I, T> {
    /// Returns an empty table.
    pub const fn new() -> Self {
        Self(Vec::new(), PhantomData)
    }

    /// Adds a thing and returns its index.
    pub fn push(&mut self, item: T) -> I {
        self.0.push(item);
        I::of(self.0.len() - 1)
    }

    /// Returns every index in order.
    pub fn ids(&self) -> impl Iterator<Item = I> + use<I, T> {
        (0..self.0.len()).map(I::of)
    }
}

impl<I, T> FromIterator<T> for Table<I, T> {
    fn from_iter<S: IntoIterator<Item = T>>(items: S) -> Self {
        Self(items.into_iter().collect(), PhantomData)
    }
}

impl<I: Id, T> Index<I> for Table<I, T> {
    type Output = T;
    #[inline]
    fn index(&self, id: I) -> &T {
        &self.0[id.index()]
    }
}

impl<I: Id, T> IndexMut<I> for Table<I, T> {
    #[inline]
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.0[id.index()]
    }
}

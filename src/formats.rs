//! The registry of the formats that are published.

use serde_json::Value;

use crate::base::codec::{Document, schema};
use crate::plan::Plan;
use crate::problem::Problem;
use crate::profile::{ModelList, Profile};
use crate::replay::load::LoadTest;
use crate::review::Manifest;
use crate::rooms::Frontiers;
use crate::simulate::Report;

/// A format whose schema is published.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// What people call it, like `plan`.
    pub noun: &'static str,
    /// Makes its JSON Schema.
    pub schema: fn() -> Value,
}

impl Published {
    const fn of<T: Document>() -> Self {
        Self { noun: T::NOUN, schema: schema::<T> }
    }

    /// Returns the name of the schema's file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.schema.json", self.noun)
    }
}

/// Every format: a new one is one line here.
pub const SCHEMAS: &[Published] = &[
    Published::of::<LoadTest>(),
    Published::of::<ModelList>(),
    Published::of::<Profile>(),
    Published::of::<Problem>(),
    Published::of::<Plan>(),
    Published::of::<Report>(),
    Published::of::<Manifest>(),
    Published::of::<Frontiers>(),
];

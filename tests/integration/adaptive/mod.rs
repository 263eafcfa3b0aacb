//! Measuring less, judged by grids that were measured in full.

pub mod experiment;

//! Plans ML inference serving offline: measured facts in, a checked and tried plan out.
//!
//! ```text
//! Profile ──▶ Problem ──▶ Plan ──▶ Report
//! measured    asked       to do    what would happen
//! ```
//!
//! ```no_run
//! use planner::facts::Facts;
//! use planner::base::codec::load;
//! use planner::problem::Problem;
//! use planner::rooms::{Answer, Context, solve};
//!
//! let problem = load::<Problem>("problems/digits.toml".as_ref())?.document;
//! let facts = Facts::load(&["profiles/digits.json".into()])?;
//! match solve(&problem, &facts, Context::default())? {
//!     Answer::Plan(plan) => println!("{} gears carry {} requests/s", plan.gears.len(), plan.max_rps()),
//!     Answer::Infeasible(conflict) => println!("{conflict}"),
//! }
//! # Ok::<(), planner::Error>(())
//! ```
//!
//! The library returns data; it never prints, exits, or reads the environment. The binary does.

pub mod base;
#[doc(hidden)]
pub mod cli;
pub mod facts;
pub mod formats;
#[cfg(feature = "polars")]
pub mod frames;
pub mod measure;
pub mod optimize;
pub mod page;
pub mod papers;
pub mod plan;
pub mod planners;
pub mod problem;
pub mod profile;
pub mod replay;
pub mod review;
pub mod rooms;
pub mod simulate;
pub mod stats;
pub mod tensor;
pub mod workload;

pub use base::error::Error;
pub use base::finding::{Code, Finding, Findings, Severity};

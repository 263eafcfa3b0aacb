//! Plans ML inference serving offline: measured facts in, a checked and tried plan out.
//!
//! ```text
//! Profile ──▶ Problem ──▶ Plan ──▶ Report
//! measured    asked       to do    what would happen
//! ```
//!
//! ```no_run
//! use planner::facts::Facts;
//! use planner::format::load;
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

pub mod error;
pub mod facts;
pub mod finding;
pub mod format;
#[cfg(feature = "polars")]
pub mod frames;
pub mod near;
pub mod optimize;
pub mod paths;
pub mod plan;
pub mod plot;
pub mod problem;
pub mod profile;
pub mod replay;
pub mod report;
pub mod review;
pub mod rooms;
pub mod simulate;
pub mod units;

pub use error::Error;
pub use finding::{Code, Finding, Findings, Severity};

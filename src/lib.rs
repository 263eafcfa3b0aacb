//! Plans ML inference serving offline: measured facts in, a checked and tried plan out.
//!
//! ```text
//! Profile ──▶ Problem ──▶ Plan ──▶ Report
//! measured    asked       to do    what would happen
//! ```
//!
//! The four nouns are documents: [`load`] reads and validates one, [`to_bytes`] writes it. The verbs stand between them:
//! [`solve`] makes a plan, [`explain`], [`frontier`] and [`schedule`] ask more of the same search, [`simulate()`] and [`replicate`]
//! try a plan, [`check`] recomputes its claims, and [`diff`] compares two.
//!
//! ```
//! use planner::{Answer, Context, Facts, Problem, load, solve};
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
//! The exact searches stand by themselves in [`optimize`], for whoever wants those alone. What is not shown on this page may
//! change in any version.
//!
//! The library returns data; it never prints, exits, or reads the environment. The binary does.

#[doc(hidden)]
pub mod base;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod facts;
#[doc(hidden)]
pub mod formats;
#[cfg(feature = "polars")]
#[doc(hidden)]
pub mod frames;
#[doc(hidden)]
pub mod measure;
pub mod optimize;
#[doc(hidden)]
pub mod page;
#[doc(hidden)]
pub mod papers;
#[doc(hidden)]
pub mod plan;
#[doc(hidden)]
pub mod planners;
#[doc(hidden)]
pub mod problem;
#[doc(hidden)]
pub mod profile;
#[doc(hidden)]
pub mod replay;
#[doc(hidden)]
pub mod review;
#[doc(hidden)]
pub mod rooms;
#[doc(hidden)]
pub mod simulate;
#[doc(hidden)]
pub mod stats;
#[doc(hidden)]
pub mod tensor;
#[doc(hidden)]
pub mod workload;

pub use base::codec::{Document, Loaded, load, to_bytes};
pub use base::error::Error;
pub use base::finding::{Code, Finding, Findings, Severity};
pub use base::watch::Watch;
pub use facts::Facts;
pub use plan::{Gear, Lane, Plan, PlanDiff, Pool, Stage, Tolerance, diff};
pub use planners::{explain, frontier, schedule, solve};
pub use problem::{Goal, Inventory, Problem, RoomSettings, Slo, Workload};
pub use profile::{Point, Profile, Variant};
pub use rooms::{Answer, Conflict, ConflictingLimit, Context, Explanation, FrontierPoint};
pub use simulate::{Measured, Report, Settings, World, check, replicate, simulate};
pub use workload::{Arrivals, RecordedLoad};

//! Every plan is tried before anybody depends on it: an event simulation of any plan, whatever room it came from.

mod report;

pub use report::{Change, GearReport, PoolReport, Report, ReportFormat, ResponseTimes, Source, Summary, Window};

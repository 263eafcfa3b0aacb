//! Every closed form once: what a queue carries, how long responses take, how requests pass stages with exits.

pub mod cycle;
pub mod estimate;
pub mod flow;
mod passage;
pub mod response;
mod turns;

pub use passage::Passage;
pub use turns::Turns;

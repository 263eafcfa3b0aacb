//! Tests from the outside, one module a theme.

#[path = "integration/samples.rs"]
mod samples;
#[path = "integration/schemas.rs"]
mod schemas;
#[path = "integration/theory.rs"]
mod theory;

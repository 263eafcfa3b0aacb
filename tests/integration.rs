//! Tests from the outside, one module a theme.

#[path = "integration/plot.rs"]
mod plot;
#[path = "integration/schemas.rs"]
mod schemas;

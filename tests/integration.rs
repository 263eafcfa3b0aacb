//! Tests from the outside, one module a theme.

#[path = "integration/schemas.rs"]
mod schemas;

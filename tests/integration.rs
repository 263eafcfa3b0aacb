//! Tests from the outside, one module a theme.

#[path = "integration/profile.rs"]
mod profile;
#[path = "integration/schemas.rs"]
mod schemas;

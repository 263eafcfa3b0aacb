//! Tests from the outside, one module a theme.

#[path = "integration/profile.rs"]
mod profile;
#[path = "integration/schemas.rs"]
mod schemas;
#[path = "integration/theory.rs"]
mod theory;
#[path = "integration/variant_set.rs"]
mod variant_set;

//! Tests from the outside, one module a theme.

#[path = "integration/schemas.rs"]
mod schemas;
#[path = "integration/variant_set.rs"]
mod variant_set;

//! Tests from the outside, one module a theme.

#[path = "integration/errors_page.rs"]
mod errors_page;
#[path = "integration/plot.rs"]
mod plot;
#[path = "integration/schemas.rs"]
mod schemas;
#[path = "integration/variant_set.rs"]
mod variant_set;

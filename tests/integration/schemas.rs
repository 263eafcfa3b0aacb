//! The published JSON Schemas are those of the types.
//! `UPDATE_SCHEMAS=1 cargo test schemas` writes them anew.

use planner::format::{Document, schema, to_bytes};
use planner::plan::Plan;
use planner::problem::Problem;
use planner::profile::load::LoadTest;
use planner::profile::{ModelList, Profile};
use planner::review::Manifest;
use planner::simulate::Report;

fn is_fresh<T: Document>() {
    let path = format!("{}/docs/schema/{}.schema.json", env!("CARGO_MANIFEST_DIR"), T::NOUN);
    let derived = to_bytes(&schema::<T>());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &derived).expect("docs/schema is writable");
    }
    let committed = std::fs::read(&path).unwrap_or_default();
    assert!(committed == derived, "{path} is stale: run `UPDATE_SCHEMAS=1 cargo test schemas`");
}

#[test]
fn schemas_are_fresh() {
    is_fresh::<LoadTest>();
    is_fresh::<ModelList>();
    is_fresh::<Profile>();
    is_fresh::<Problem>();
    is_fresh::<Plan>();
    is_fresh::<Report>();
    is_fresh::<Manifest>();
}

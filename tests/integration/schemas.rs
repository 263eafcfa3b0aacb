//! The published JSON Schemas are those of the types.
//! `UPDATE_SCHEMAS=1 cargo test schemas` writes them anew.

use planner::base::codec::to_bytes;
use planner::formats::SCHEMAS;

#[test]
fn schemas_are_fresh() {
    for published in SCHEMAS {
        let path = format!("{}/docs/schema/{}", env!("CARGO_MANIFEST_DIR"), published.file_name());
        let derived = to_bytes(&(published.schema)());
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &derived).expect("docs/schema is writable");
        }
        let committed = std::fs::read(&path).unwrap_or_default();
        assert!(committed == derived, "{path} is stale: run `UPDATE_SCHEMAS=1 cargo test schemas`");
    }
}

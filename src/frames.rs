//! Profiles as polars data frames and Parquet files, for people who live in data frames.
//!
//! Behind the feature `polars`, which is off by default because of what it costs to build.

use std::io::Write;

use polars::prelude::{Column, DataFrame, NamedFrom, ParquetWriter, PolarsResult, Series};

use crate::profile::Profile;
use crate::profile::export::{Values, columns};

/// Returns the points of a profile, one row each in file order, with the units in the column names.
///
/// The columns are those of [`columns`]; a number that was not measured is null.
///
/// # Errors
/// What polars says; none is expected, because all columns have one value a point.
pub fn profile_points(profile: &Profile) -> PolarsResult<DataFrame> {
    let series = columns(profile).into_iter().map(|column| series(&column.name, column.values));
    DataFrame::new(profile.points.len(), series.collect())
}

fn series(name: &str, values: Values) -> Column {
    match values {
        Values::Texts(texts) => Series::new(name.into(), texts),
        Values::Counts(counts) => Series::new(name.into(), counts),
        Values::Numbers(numbers) => Series::new(name.into(), numbers),
        Values::Flags(flags) => Series::new(name.into(), flags),
    }
    .into()
}

/// Writes a data frame as Parquet and returns its size in bytes.
///
/// # Errors
/// What polars says where the writer refuses.
pub fn write_parquet(frame: &mut DataFrame, writer: impl Write) -> PolarsResult<u64> {
    ParquetWriter::new(writer).finish(frame)
}

#[cfg(test)]
mod tests {
    use super::{profile_points, write_parquet};
    use crate::base::codec::load;
    use crate::profile::Profile;
    use std::path::Path;

    #[test]
    fn a_profile_becomes_a_frame_and_a_parquet_file() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
        let profile = load::<Profile>(&path).expect("the shipped profile").document;
        let mut frame = profile_points(&profile).expect("columns of one length");
        assert_eq!(frame.shape(), (profile.points.len(), 37));
        let first = frame.column("p50_ms").expect("a column").f64().expect("of numbers").get(0);
        assert_eq!(first, Some(profile.points[0].latency.p50.value_ms.get()));
        let mut bytes = Vec::new();
        let size = write_parquet(&mut frame, &mut bytes).expect("a vector takes everything");
        assert!(size > 0 && bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    }
}

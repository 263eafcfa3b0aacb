//! Profiles as polars data frames and Parquet files, for people who live in data frames.
//!
//! Behind the feature `polars`, which is off by default because of what it costs to build.

use std::io::Write;

use polars::prelude::{Column, DataFrame, NamedFrom, ParquetWriter, PolarsResult, Series};

use crate::profile::{Point, Profile};

/// Returns the points of a profile, one row each in file order, with the units in the column names.
///
/// `accuracy` repeats the variant's; a missing CPU time is null.
///
/// # Errors
/// What polars says; none is expected, because all columns have one value a point.
pub fn profile_points(profile: &Profile) -> PolarsResult<DataFrame> {
    let points = &profile.points;
    let accuracy = |point: &Point| profile.variant(&point.variant).map(|variant| variant.accuracy.value.get());
    DataFrame::new(
        points.len(),
        vec![
            texts("variant", points, |point| &point.variant),
            texts("device", points, |point| &point.device),
            counts("batch", points, |point| u64::from(point.batch)),
            counts("cores", points, |point| u64::from(point.cores)),
            counts("count", points, |point| point.count),
            numbers("mean_ms", points, |point| Some(point.latency.mean_ms.get())),
            numbers("p50_ms", points, |point| Some(point.latency.p50.value_ms.get())),
            numbers("p90_ms", points, |point| Some(point.latency.p90.value_ms.get())),
            numbers("p95_ms", points, |point| Some(point.latency.p95.value_ms.get())),
            numbers("p99_ms", points, |point| Some(point.latency.p99.value_ms.get())),
            numbers("p999_ms", points, |point| Some(point.latency.p999.value_ms.get())),
            numbers("throughput_rps", points, |point| Some(point.throughput_rps.get())),
            numbers("cpu_ms", points, |point| point.cpu_ms.map(f64::from)),
            numbers("accuracy", points, accuracy),
        ],
    )
}

/// Writes a data frame as Parquet and returns its size in bytes.
///
/// # Errors
/// What polars says where the writer refuses.
pub fn write_parquet(frame: &mut DataFrame, writer: impl Write) -> PolarsResult<u64> {
    ParquetWriter::new(writer).finish(frame)
}

fn texts(name: &str, points: &[Point], of: impl Fn(&Point) -> &String) -> Column {
    Series::new(name.into(), points.iter().map(|point| of(point).clone()).collect::<Vec<_>>()).into()
}

fn counts(name: &str, points: &[Point], of: impl Fn(&Point) -> u64) -> Column {
    Series::new(name.into(), points.iter().map(of).collect::<Vec<_>>()).into()
}

fn numbers(name: &str, points: &[Point], of: impl Fn(&Point) -> Option<f64>) -> Column {
    Series::new(name.into(), points.iter().map(of).collect::<Vec<_>>()).into()
}

#[cfg(test)]
mod tests {
    use super::{profile_points, write_parquet};
    use crate::format::load;
    use crate::profile::Profile;
    use std::path::Path;

    #[test]
    fn a_profile_becomes_a_frame_and_a_parquet_file() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
        let profile = load::<Profile>(&path).expect("the shipped profile").document;
        let mut frame = profile_points(&profile).expect("columns of one length");
        assert_eq!(frame.shape(), (profile.points.len(), 14));
        let first = frame.column("p50_ms").expect("a column").f64().expect("of numbers").get(0);
        assert_eq!(first, Some(profile.points[0].latency.p50.value_ms.get()));
        let mut bytes = Vec::new();
        let size = write_parquet(&mut frame, &mut bytes).expect("a vector takes everything");
        assert!(size > 0 && bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    }
}

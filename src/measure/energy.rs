//! What calls cost in energy, where something counts it: RAPL for processors, NVML for NVIDIA's accelerators.
//!
//! Both count all that the package or the card uses, idle power included, and nobody's share of it in particular.

use std::fs;
use std::path::{Path, PathBuf};

use crate::profile::EnergySource;

const POWERCAP: &str = "/sys/class/powercap";

/// A counter of energy.
#[derive(Debug)]
pub struct Meter {
    counter: Counter,
}

#[derive(Debug)]
enum Counter {
    Rapl(Vec<Package>),
    #[cfg(feature = "ort")]
    Nvml(Box<nvml_wrapper::Nvml>, u32),
}

/// One processor package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Package {
    energy_uj: PathBuf,
    /// The counter begins again from 0 beyond this.
    most_uj: u64,
}

/// What the counters showed at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading(Vec<u64>);

impl Meter {
    /// Returns the counter for a device, like `cpu` or `cuda:0`, where there is one that may be read.
    #[must_use]
    pub fn of(device: &str) -> Option<Self> {
        let counter = if device == crate::profile::cpu() {
            Counter::Rapl(packages(Path::new(POWERCAP)))
        } else {
            accelerator(device)?
        };
        let meter = Self { counter };
        meter.read().filter(|reading| !reading.0.is_empty())?;
        Some(meter)
    }

    /// Returns what counts.
    #[must_use]
    pub const fn source(&self) -> EnergySource {
        match self.counter {
            Counter::Rapl(_) => EnergySource::Rapl,
            #[cfg(feature = "ort")]
            Counter::Nvml(..) => EnergySource::Nvml,
        }
    }

    /// Reads the counter.
    #[must_use]
    pub fn read(&self) -> Option<Reading> {
        match &self.counter {
            Counter::Rapl(packages) => {
                packages.iter().map(|package| number(&package.energy_uj)).collect::<Option<Vec<_>>>()
            }
            #[cfg(feature = "ort")]
            Counter::Nvml(library, index) => {
                // NVML counts millijoules since the driver was loaded.
                let millijoules = library.device_by_index(*index).and_then(|card| card.total_energy_consumption());
                millijoules.ok().map(|millijoules| vec![millijoules.saturating_mul(1000)])
            }
        }
        .map(Reading)
    }

    /// Returns the joules between two readings; none where a counter cannot be right.
    #[must_use]
    pub fn joules(&self, before: &Reading, after: &Reading) -> Option<f64> {
        let most = |at: usize| match &self.counter {
            Counter::Rapl(packages) => packages[at].most_uj,
            #[cfg(feature = "ort")]
            Counter::Nvml(..) => 0,
        };
        let pairs = before.0.iter().zip(&after.0).enumerate();
        let used = |(at, (&before, &after)): (usize, (&u64, &u64))| {
            after.checked_sub(before).or_else(|| (after + most(at)).checked_sub(before))
        };
        let microjoules = pairs.map(used).sum::<Option<u64>>()?;
        // Between two moments apart a counter that stands still counts nothing.
        (microjoules > 0).then_some(microjoules as f64 / 1e6)
    }
}

#[cfg(feature = "ort")]
fn accelerator(device: &str) -> Option<Counter> {
    let (kind, number) = device.split_once(':')?;
    let index = number.parse().ok().filter(|_| ["cuda", "tensorrt"].contains(&kind))?;
    Some(Counter::Nvml(Box::new(nvml_wrapper::Nvml::init().ok()?), index))
}

#[cfg(not(feature = "ort"))]
fn accelerator(_: &str) -> Option<Counter> {
    None
}

/// Returns the packages that powercap lists; their parts (core, dram) are counted in them or not comparable.
fn packages(powercap: &Path) -> Vec<Package> {
    let entries = fs::read_dir(powercap).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_package = |folder: &PathBuf| {
        let name = fs::read_to_string(folder.join("name")).unwrap_or_default();
        name.starts_with("package-")
    };
    let package = |folder: PathBuf| {
        let most_uj = number(&folder.join("max_energy_range_uj"))?;
        Some(Package { energy_uj: folder.join("energy_uj"), most_uj })
    };
    let mut found: Vec<Package> = entries.filter(is_package).filter_map(package).collect();
    found.sort_by(|a, b| a.energy_uj.cmp(&b.energy_uj));
    found
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Counter, Meter, Reading, packages};
    use std::fs;

    /// Two packages with a part each, as powercap shows them.
    fn powercap() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (zone, name, energy) in [
            ("intel-rapl:0", "package-0", 1_000_000),
            ("intel-rapl:0:0", "core", 700_000),
            ("intel-rapl:1", "package-1", 9_500_000),
        ] {
            let zone = folder.path().join(zone);
            fs::create_dir(&zone).expect("writable");
            for (file, text) in [
                ("name", name.to_owned()),
                ("energy_uj", energy.to_string()),
                ("max_energy_range_uj", "10000000".into()),
            ] {
                fs::write(zone.join(file), text + "\n").expect("writable");
            }
        }
        folder
    }

    #[test]
    fn packages_are_summed_and_counters_may_begin_again() {
        let folder = powercap();
        let meter = Meter { counter: Counter::Rapl(packages(folder.path())) };
        let before = meter.read().expect("readable");
        assert_eq!(before, Reading(vec![1_000_000, 9_500_000]), "packages only");
        fs::write(folder.path().join("intel-rapl:0/energy_uj"), "3000000").expect("writable");
        fs::write(folder.path().join("intel-rapl:1/energy_uj"), "500000").expect("writable");
        let after = meter.read().expect("readable");
        assert_eq!(meter.joules(&before, &after), Some(3.0), "2 J, and 1 J over the edge");
        assert_eq!(meter.joules(&before, &before), None, "absent, never zero");
    }

    #[test]
    fn there_is_no_meter_where_nothing_counts() {
        assert!(Meter::of("abacus:0").is_none());
        let empty = tempfile::tempdir().expect("a temporary folder");
        assert!(packages(empty.path()).is_empty());
    }
}

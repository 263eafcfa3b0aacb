//! What only a process of its own can tell: a busy neighbour is seen, a quiet host is not accused, and memory is counted.
#![cfg(feature = "rten")]

use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

use planner::Error;
use planner::base::units::{Millis, Share};
use planner::measure::engines::rten::Rten;
use planner::measure::host::{allowed_cores, memory_of_family, reset_peak_of_family};
use planner::measure::{Attendant, Here, MeasureContext, MeasureEvent, MeasureSettings, measure};
use planner::profile::{CertaintyMeasure, Conditions, Family, Profile};

/// The tests of this file would be each other's neighbours.
static ALONE: Mutex<()> = Mutex::new(());

/// Times that a quiet moment is waited for: whether the host is quiet is not ours to say.
const TRIES: usize = 10;

/// Starts a busy process on the first core after the first block, where asked to, and ends it with the measurement.
struct Neighbourhood {
    disturbs: Option<usize>,
    busy: Option<Child>,
}

impl Attendant for Neighbourhood {
    fn tell(&mut self, event: MeasureEvent<'_>) {
        if let (Some(core), MeasureEvent::Began(_)) = (self.disturbs, event) {
            let core = core.to_string();
            let busy = Command::new("taskset").args(["-c", &core, "sh", "-c", "while :; do :; done"]).spawn();
            self.busy = Some(busy.expect("taskset and sh are there"));
        }
    }

    fn save(&mut self, _: &Profile) -> Result<(), Error> {
        Ok(())
    }
}

impl Drop for Neighbourhood {
    fn drop(&mut self) {
        if let Some(busy) = &mut self.busy {
            busy.kill().and_then(|()| busy.wait()).expect("it can be killed");
        }
    }
}

/// Measures one point in two blocks of 300 ms.
fn conditions(disturbs: Option<usize>) -> Conditions {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits/models.toml");
    let mut family = Family::load(&list).expect("the shipped list is sound");
    family.list.variants.retain(|variant| variant.name == "cnn_l");
    // Few samples: what is answered is not looked at here.
    family.samples = family.samples.chosen(&[0, 1, 2]);
    family.calibration = None;
    let settings = MeasureSettings {
        batches: vec![1],
        cores: vec![1],
        co_runners: vec![0],
        precision: Share::ZERO,
        tail_precision: None,
        blocks: 2,
        budget: Millis::new(600.0).expect("a time"),
        certainty: CertaintyMeasure::default(),
        seed: 42,
        retry_contended: false,
        context: MeasureContext::default(),
    };
    let mut neighbourhood = Neighbourhood { disturbs, busy: None };
    let (profile, _) =
        measure(&family, &Here::new(&family, &Rten), &settings, None, &mut neighbourhood).expect("measurable");
    profile.points[0].conditions
}

#[test]
fn a_busy_neighbour_that_comes_half_way_makes_a_point_contended_and_nobody_does_not() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Point by point on the first core, so that a neighbour on the last one shares caches only, where there are two.
    for core in [allowed_cores().first(), allowed_cores().last()] {
        let disturbed = conditions(core.copied());
        assert!(disturbed.contended, "core {core:?}: {disturbed:?}");
    }
    // Where this machine is not quiet, the kernel must say who else was there.
    let is_explained = |conditions: &Conditions| {
        !conditions.contended || conditions.others_busy.is_some_and(|others| others.get() > 0.05)
    };
    let mut alone = Vec::new();
    while alone.len() < TRIES && !alone.iter().any(is_explained) {
        alone.push(conditions(None));
    }
    assert!(alone.iter().any(is_explained), "{alone:#?}");
}

#[test]
fn memory_is_seen_and_peaks_begin_again() {
    const BYTES: usize = 300_000_000;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = memory_of_family();
    let block = std::hint::black_box(vec![1_u8; BYTES]);
    let gained = memory_of_family().gained_since(before);
    assert!(gained.resident.get() > 200.0 && gained.peak.get() > 200.0, "{gained:?}");
    drop(block);
    assert!(memory_of_family().peak.get() > before.resident.get() + 200.0, "the peak stays");
    reset_peak_of_family();
    assert!(memory_of_family().peak.get() < before.resident.get() + 200.0, "until it is reset");
}

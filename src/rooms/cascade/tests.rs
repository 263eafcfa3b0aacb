//! The search over placements against independent truths on small random problems, and against laws.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::envelope::{self, LoadShares};
use super::latency::{Device, Speed, Speeds};
use super::placement::{Rated, Slot, Yard, slots};
use super::search::{PlacementAim, PlacementSearch};
use crate::base::units::Usd;
use crate::plan::law::cycle::Visit;
use crate::problem::Resource;
use crate::rooms::enumerated::draws;
use crate::rooms::exits::{Cascade, Member};

/// A small random problem.
#[derive(Clone)]
struct Small {
    devices: Vec<Device>,
    memory_mb: Vec<f64>,
    /// For each device and model the line over its times: start-up and time a call, in milliseconds.
    lines: Vec<Vec<(f64, f64)>>,
    slo_ms: f64,
    cascades: Vec<Cascade>,
    load: LoadShares,
    aim: PlacementAim,
}

/// A problem worked out as the planner does.
struct Worked {
    slots: Vec<Slot>,
    rated: Vec<Rated>,
    devices: Vec<(u32, f64)>,
}

impl Small {
    fn random(dice: &mut ChaCha8Rng) -> Self {
        let models = dice.random_range(2..=4_usize);
        let kinds = dice.random_range(1..=2_usize);
        let memory_mb: Vec<f64> = (0..models).map(|_| f64::from(dice.random_range(1..=5_u32))).collect();
        let devices = (0..kinds).map(|kind| {
            let price = f64::from(dice.random_range(1..=4_u32));
            Device {
                name: format!("kind-{kind}"),
                on: Resource::Cores { cores: 1, price_usd_per_core_hour: Usd::saturating(price) },
                memory_mb: f64::from(dice.random_range(4..=12_u32)),
                at_most: dice.random_range(1..=3),
                price,
            }
        });
        let devices: Vec<Device> = devices.collect();
        let line = |dice: &mut ChaCha8Rng, model: usize| {
            let scale = 1.8_f64.powi(model as i32);
            (dice.random_range(0.5..2.0) * scale, dice.random_range(0.1..0.6) * scale)
        };
        let lines = devices.iter().map(|_| (0..models).map(|model| line(dice, model)).collect()).collect();
        let cascades = (0..dice.random_range(3..=8)).map(|_| cascade(dice, models)).collect();
        let mut rate = 0.0;
        let mut rates: Vec<(f64, f64)> = (0..dice.random_range(2..=5))
            .map(|_| {
                rate += dice.random_range(50.0..700.0);
                (rate, dice.random_range(0.1..1.0))
            })
            .collect();
        let sum: f64 = rates.iter().map(|(_, weight)| weight).sum();
        rates.iter_mut().for_each(|(_, weight)| *weight /= sum);
        let aim = if dice.random_bool(0.5) {
            PlacementAim::MostAccurate
        } else {
            PlacementAim::Cheapest { accuracy_at_least: dice.random_range(0.6..0.85) }
        };
        let slo_ms = dice.random_range(20.0..120.0);
        Self { devices, memory_mb, lines, slo_ms, cascades, load: LoadShares { rates }, aim }
    }

    fn speeds(&self, visits: usize) -> Speeds {
        let turn_ms = self.slo_ms / (2.0 * visits as f64);
        let speed = |(start, each): &(f64, f64)| {
            let visit = Visit { batch: 64, first_ms: start + each, each_ms: *each, full_ms: each + start / 64.0 };
            (visit.first_ms < turn_ms).then_some(Speed { visit, each_ms: *each })
        };
        Speeds::given(turn_ms, self.lines.iter().map(|of| of.iter().map(speed).collect()).collect())
    }

    fn worked(&self) -> Worked {
        let speeds: Vec<Speeds> = (1..=3).map(|visits| self.speeds(visits)).collect();
        let used = (1_u32 << self.memory_mb.len()) - 1;
        let slots = slots(&self.devices, &self.memory_mb, used);
        let parts = vec![1.0; self.memory_mb.len()];
        let yard = Yard { devices: &self.devices, slots: &slots, speeds: &speeds, parts: &parts };
        let rate = |(index, cascade)| yard.rate(index, cascade);
        let mut rated: Vec<Rated> = self.cascades.iter().enumerate().filter_map(rate).collect();
        rated.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
        let devices = self.devices.iter().map(|device| (device.at_most, device.price)).collect();
        Worked { slots, rated, devices }
    }

    fn search<'a>(&'a self, worked: &'a Worked) -> PlacementSearch<'a> {
        PlacementSearch {
            rated: &worked.rated,
            slots: &worked.slots,
            devices: &worked.devices,
            load: &self.load,
            gears_at_most: None,
            aim: self.aim,
            most_scores: f64::INFINITY,
        }
    }

    /// The value of the aim: the price, or the accuracy.
    fn value(&self, worked: &Worked) -> Option<f64> {
        let found = self.search(worked).solve()?;
        assert!(found.is_exact);
        Some(if self.aim == PlacementAim::MostAccurate { found.accuracy } else { found.price })
    }
}

/// A random cascade; longer ones are more often right and send on a random part.
fn cascade(dice: &mut ChaCha8Rng, models: usize) -> Cascade {
    let length = dice.random_range(1..=models.min(3));
    let mut order: Vec<usize> = (0..models).collect();
    for place in 0..length {
        let other = dice.random_range(place..models);
        order.swap(place, other);
    }
    let mut reach = vec![1.0];
    for _ in 1..length {
        reach.push(reach[reach.len() - 1] * dice.random_range(0.1..0.8));
    }
    let best = order[..length].iter().max().copied().unwrap_or(0) as f64;
    let member = |(place, &model): (usize, &usize)| Member { model, exit_at: (place + 1 < length).then_some(0.5) };
    Cascade {
        members: order[..length].iter().enumerate().map(member).collect(),
        accuracy: 0.6 + 0.08 * best + dice.random_range(0.0..0.05),
        reach,
    }
}

fn problems(count: u64) -> impl Iterator<Item = (u64, Small)> {
    (0..count * u64::from(draws(1))).map(|seed| (seed, Small::random(&mut ChaCha8Rng::seed_from_u64(seed))))
}

/// Calls `look` with every vector of counts.
fn every_vector(slots: &[Slot], devices: &[(u32, f64)], counts: &mut Vec<u32>, look: &mut impl FnMut(&[u32])) {
    if counts.len() == slots.len() {
        return look(counts);
    }
    let device = slots[counts.len()].device;
    let taken: u32 = counts.iter().zip(slots).filter(|(_, slot)| slot.device == device).map(|(count, _)| count).sum();
    for count in 0..=devices[device].0 - taken {
        counts.push(count);
        every_vector(slots, devices, counts, look);
        counts.pop();
    }
}

#[test]
fn cuts_tell_what_flows_do() {
    let mut compared = 0;
    for (seed, small) in problems(120) {
        let worked = small.worked();
        every_vector(&worked.slots, &worked.devices, &mut Vec::new(), &mut |counts| {
            for rated in worked.rated.iter().filter(|rated| rated.moves.is_some()) {
                let by_flow = rated.moves.as_ref().map_or(0.0, |moves| moves.flow(counts).0);
                let carried = rated.carries_moving(counts);
                assert!((carried - by_flow).abs() <= 1e-9 * by_flow.max(1.0), "{seed}: {carried} {by_flow} {counts:?}");
                let of_device: Vec<u32> = (0..worked.devices.len())
                    .map(|kind| {
                        let own = worked.slots.iter().zip(counts).filter(|(slot, _)| slot.device == kind);
                        own.map(|(_, count)| count).sum()
                    })
                    .collect();
                assert!(rated.carries(counts) <= rated.at_most(&of_device) * (1.0 + 1e-9), "{seed}: the ceiling holds");
                compared += 1;
            }
        });
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn the_search_is_as_good_as_every_placement_and_every_choice_of_gears() {
    let (mut solved, mut refused) = (0, 0);
    for (seed, small) in problems(300) {
        let worked = small.worked();
        let mut best: Option<f64> = None;
        every_vector(&worked.slots, &worked.devices, &mut Vec::new(), &mut |counts| {
            // At each rate the most accurate that carries it, looked for anew.
            let at = |rate: f64| {
                let enough = worked.rated.iter().filter(|rated| rated.carries(counts) >= rate);
                enough.map(|rated| rated.accuracy).fold(f64::NEG_INFINITY, f64::max)
            };
            let accuracy: f64 = small.load.rates.iter().map(|&(rate, weight)| weight * at(rate)).sum();
            let devices = worked.slots.iter().zip(counts);
            let price: f64 = devices.map(|(slot, &count)| worked.devices[slot.device].1 * f64::from(count)).sum();
            let value = match small.aim {
                PlacementAim::MostAccurate => (accuracy > 0.0).then_some(accuracy),
                PlacementAim::Cheapest { accuracy_at_least } => (accuracy >= accuracy_at_least).then_some(-price),
            };
            if value > best {
                best = value;
            }
        });
        let found = small.value(&worked);
        let best = best.map(f64::abs);
        assert!(
            match (found, best) {
                (Some(found), Some(best)) => (found - best).abs() < 1e-9,
                (None, None) => true,
                _ => false,
            },
            "{seed}: found {found:?}, best {best:?}"
        );
        *if found.is_some() { &mut solved } else { &mut refused } += 1;
    }
    assert!(solved >= 100 && refused >= 20, "{solved} solved, {refused} refused");
}

#[cfg(feature = "milp")]
#[test]
fn one_integer_program_over_placement_gears_and_flows_agrees() {
    use crate::optimize::milp::{Gears, Way, solve_gears};
    for (seed, small) in problems(200) {
        let worked = small.worked();
        let speeds: Vec<Speeds> = (1..=3).map(|visits| small.speeds(visits)).collect();
        let mut ways = Vec::new();
        for cascade in &small.cascades {
            for visits in [1, cascade.members.len()] {
                let speeds = &speeds[visits - 1];
                // Worked out from the definitions, beside the planner's own tables.
                let held =
                    |slot: &Slot, model: usize| speeds.of(slot.device, model).filter(|_| slot.holds >> model & 1 == 1);
                let usable = |slot: &Slot| {
                    let first = cascade.members.iter().filter_map(|member| held(slot, member.model));
                    (1.0 - first.map(|speed| speed.visit.first_ms).sum::<f64>() / speeds.turn_ms).max(0.0)
                };
                let need = |slot: &Slot, place: usize| {
                    let speed = held(slot, cascade.members[place].model);
                    let work = speed.map_or(f64::INFINITY, |speed| cascade.reach[place] * speed.each_ms / 1e3);
                    if usable(slot) > 0.0 { work / usable(slot) } else { f64::INFINITY }
                };
                let of_slot = |place| worked.slots.iter().map(|slot| need(slot, place)).collect::<Vec<f64>>();
                let mut needs: Vec<Vec<f64>> = (0..cascade.members.len()).map(of_slot).collect();
                if visits == 1 {
                    // All calls of a request go to the same device.
                    needs = vec![(0..worked.slots.len()).map(|slot| needs.iter().map(|of| of[slot]).sum()).collect()];
                }
                ways.push(Way { accuracy: cascade.accuracy, needs });
            }
        }
        let program = Gears {
            rates: small.load.rates.clone(),
            ways,
            slots: worked.slots.iter().map(|slot| slot.device).collect(),
            devices: worked.devices.clone(),
            accuracy_at_least: match small.aim {
                PlacementAim::MostAccurate => None,
                PlacementAim::Cheapest { accuracy_at_least } => Some(accuracy_at_least),
            },
        };
        let (found, highs) = (small.value(&worked), solve_gears(&program).expect("HiGHS ends"));
        let agree = match (found, highs) {
            (Some(found), Some(highs)) => (found - highs).abs() < 1e-6,
            (found, highs) => found.is_none() && highs.is_none(),
        };
        assert!(agree, "{seed}: found {found:?}, HiGHS {highs:?}");
    }
}

#[test]
fn a_local_search_states_no_gap_below_the_true_one() {
    let mut gaps = 0;
    for (seed, small) in problems(300) {
        let worked = small.worked();
        let exact = small.search(&worked).solve();
        let local = PlacementSearch { most_scores: 0.0, ..small.search(&worked) }.solve();
        let Some(exact) = exact else {
            assert!(local.is_none(), "{seed}");
            continue;
        };
        // A climb may miss a plan that exists; where it finds one, the bound holds.
        let Some(local) = local else { continue };
        match small.aim {
            PlacementAim::MostAccurate => {
                let (true_gap, stated) = (exact.accuracy - local.accuracy, local.accuracy_bound - local.accuracy);
                assert!(stated >= true_gap - 1e-12, "{seed}: stated {stated}, true {true_gap}");
                gaps += u32::from(true_gap > 1e-9);
            }
            PlacementAim::Cheapest { .. } => {
                let (true_gap, stated) = (local.price - exact.price, local.price - local.price_bound);
                assert!(stated >= true_gap - 1e-12, "{seed}: stated {stated}, true {true_gap}");
                gaps += u32::from(true_gap > 1e-9);
            }
        }
    }
    // A test of gaps that are all 0 would say nothing.
    assert!(gaps > 0, "every local optimum was the best");
}

#[test]
fn more_devices_more_memory_and_more_time_never_hurt() {
    let not_worse = |aim: PlacementAim, before: Option<f64>, after: Option<f64>| match (aim, before, after) {
        (_, None, _) => true,
        (_, Some(_), None) => false,
        (PlacementAim::MostAccurate, Some(before), Some(after)) => after >= before - 1e-12,
        (PlacementAim::Cheapest { .. }, Some(before), Some(after)) => after <= before + 1e-12,
    };
    // A device that holds more is taken to start more visits in a turn, which is safe and may cost moving requests something;
    // memory never hurts those that stay.
    let staying = |small: &Small| {
        let mut worked = small.worked();
        worked.rated.iter_mut().for_each(|rated| rated.moves = None);
        small.value(&worked)
    };
    for (seed, small) in problems(200) {
        let before = small.value(&small.worked());
        let mut more = [small.clone(), small.clone()];
        more[0].devices[0].at_most += 1;
        more[1].slo_ms *= 1.3;
        for (law, more) in more.iter().enumerate() {
            let after = more.value(&more.worked());
            assert!(not_worse(small.aim, before, after), "{seed}, law {law}: {before:?} became {after:?}");
        }
        let mut larger = small.clone();
        larger.devices[0].memory_mb += 3.0;
        let (before, after) = (staying(&small), staying(&larger));
        assert!(not_worse(small.aim, before, after), "{seed}, memory: {before:?} became {after:?}");
    }
}

#[test]
fn fewer_gears_lose_the_least() {
    for (seed, small) in problems(100) {
        let worked = small.worked();
        let Some(found) = small.search(&worked).solve() else { continue };
        let capped = PlacementSearch { gears_at_most: Some(1), ..small.search(&worked) }.solve();
        let Some(capped) = capped else { continue };
        assert_eq!(capped.steps.len(), 1, "{seed}");
        if small.aim == PlacementAim::MostAccurate {
            assert!(capped.accuracy <= found.accuracy + 1e-12, "{seed}");
            let last = capped.steps[0];
            assert!((envelope::accuracy_of(&capped.steps, &small.load) - last.accuracy).abs() < 1e-9, "{seed}");
        }
    }
}

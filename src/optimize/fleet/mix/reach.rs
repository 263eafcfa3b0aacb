//! How much load all machines carry: a choice with a bound that is mostly close above it, and a search between the two.
//!
//! The highest load with an average accuracy of at least x is a linear program but for whole replicas. Its row of accuracy is
//! priced out at ν ≥ 0 (Lagrange) and packing is left out, so that it falls apart by kinds:
//!
//! ```text
//! load = Σ q      where q ≤ cap of what is picked, and Σ (a − x)·q ≥ 0
//! load ≤ Σ_k max over options of items on kind k within its cores:  Σ max(0, 1 + ν·(a − x))·cap        for every ν
//! ```
//!
//! A low ν picks what carries much, a high one what is accurate. The bound is convex in ν, and least where the one turns into
//! the other. There some kinds may pick like the one and some like the other, and whatever packs of these is a choice.

use super::{AtLoad, Looks, Mix, Priced, Squad, Tables};
use crate::base::rounding::{NOISE, SUMS};
use crate::optimize::{Highest, Reach};

/// Prices of accuracy that are tried at most; the search for the best one ends by itself after a few.
const MOST_PRICES: usize = 64;
/// Part of the bound that counts as no load.
const NOTHING: f64 = 1e-9;
/// Part of the gap below the bound that is searched first.
const CLOSE: f64 = 1.0 / 16.0;
/// Part of the highest load to which it is sought.
const FINE: f64 = 1e-6;

/// A load that is carried, and one that is not.
#[derive(Debug, Clone)]
struct Reached {
    load: f64,
    /// For each item 0 where it is left out, else the index of its option plus one.
    picks: Vec<usize>,
    /// No choice carries more.
    bound: f64,
    /// The tables of the bound, as those of a multiplier of the load row; absent where accuracy does not bind.
    priced: Option<Priced>,
}

impl Reached {
    fn offer(&mut self, mix: &Mix, picks: &[usize], least: f64) {
        let load = mix.load_of(picks, least);
        if load > self.load {
            (self.load, self.picks) = (load, picks.to_vec());
        }
    }
}

/// What is picked at one price of accuracy.
struct AtPrice {
    /// Picks that pack.
    picks: Vec<usize>,
    /// The bound is `carried + price·excess`: load, and right answers beyond the least accuracy.
    carried: f64,
    excess: f64,
}

impl AtPrice {
    fn bound(&self, price: f64) -> f64 {
        self.carried + price * self.excess
    }
}

impl Mix {
    /// Tells whether all machines carry a load with an average accuracy of at least this.
    #[must_use]
    pub fn reaches(&self, load: f64, accuracy_at_least: f64, mut looks: Looks) -> Reach {
        let least = slackened(accuracy_at_least);
        let reached = self.reached(least);
        match self.at(load).reach(&reached, least, &mut looks) {
            Some(_) => Reach::Carried,
            None if looks.are_spent() => Reach::Unknown,
            None => Reach::NotCarried,
        }
    }

    /// Returns about the highest load up to `most` that all machines carry with an average accuracy of at least this.
    #[must_use]
    pub fn highest_load(&self, most: f64, accuracy_at_least: f64, mut looks: Looks) -> Highest {
        let least = slackened(accuracy_at_least);
        let reached = self.reached(least);
        let (mut low, mut high) = (reached.load.min(most), reached.bound.min(most));
        // Few labels reach close to the bound, so the search begins there.
        let mut part = CLOSE;
        while high - low > FINE * high && high > NOTHING * reached.bound && !looks.are_spent() {
            let load = high - part * (high - low);
            match self.at(load).reach(&reached, least, &mut looks) {
                Some(picks) => low = self.load_of(&picks, least).clamp(load, high),
                None if looks.are_spent() => {}
                None => (high, part) = (load, (2.0 * part).min(0.5)),
            }
        }
        Highest { load: low, is_proved: !looks.are_spent() }
    }

    /// Brackets the highest load: where the tangents of both sides cross is the next price to try (Kelley's cuts), until the
    /// crossing is on the bound itself.
    fn reached(&self, least: f64) -> Reached {
        let mut low = self.at_price(least, 0.0);
        let mut best = Reached { load: 0.0, picks: Vec::new(), bound: low.carried, priced: None };
        best.offer(self, &low.picks, least);
        if low.excess >= 0.0 {
            return best;
        }
        let mut price = 1.0;
        let mut high = self.at_price(least, price);
        while high.excess < 0.0 {
            (price, low) = (4.0 * price, high);
            high = self.at_price(least, price);
        }
        for _ in 0..MOST_PRICES {
            self.offer_between(&mut best, &low, &high, least);
            price = (high.carried - low.carried) / (low.excess - high.excess);
            let (next, crossing) = (self.at_price(least, price), low.bound(price));
            best.bound = best.bound.min(next.bound(price));
            let is_least = next.bound(price) <= crossing * (1.0 + NOISE);
            if next.excess < 0.0 {
                low = next
            } else {
                high = next
            }
            if is_least {
                break;
            }
        }
        self.offer_between(&mut best, &low, &high, least);
        Reached { priced: Some(self.priced(least - price.recip())), ..best }
    }

    /// Offers what is picked on both sides of a price, and each mixture in which the first kinds pick by the one.
    fn offer_between(&self, best: &mut Reached, low: &AtPrice, high: &AtPrice, least: f64) {
        let mut picks = high.picks.clone();
        best.offer(self, &picks, least);
        for kind in 0..self.kinds.len() {
            for item in (0..picks.len()).filter(|&item| self.items[item].kind == kind) {
                picks[item] = low.picks[item];
            }
            best.offer(self, &picks, least);
        }
    }

    fn at_price(&self, least: f64, price: f64) -> AtPrice {
        let (mut picks, mut carried, mut excess) = (vec![0; self.items.len()], 0.0, 0.0);
        let worth = |accuracy: f64| 1.0 + price * (accuracy - least);
        for (kind, tables) in self.tables(&worth).iter().enumerate() {
            let followed = |cores: usize| self.followed(tables, &worth, (kind, cores));
            let most = tables[0].len() - 1;
            for (index, pick) in followed(most).into_iter().enumerate().filter(|(_, pick)| *pick > 0) {
                let (item, capacity) = (&self.items[index], self.items[index].options[pick - 1].capacity);
                carried += capacity;
                excess += (item.accuracy - least) * capacity;
            }
            // What takes fewer cores packs at some point.
            let packs = |picks: &Vec<usize>| self.packed(picks, kind, self.kinds[kind].at_most).is_some();
            let packed = (0..=most).rev().map(followed).find(packs).unwrap_or_default();
            picks.iter_mut().zip(packed).for_each(|(all, of_kind)| *all = (*all).max(of_kind));
        }
        AtPrice { picks, carried, excess }
    }

    /// Returns the picks that are worth most on a kind within so many cores.
    fn followed(&self, tables: &Tables, worth: &dyn Fn(f64) -> f64, (kind, cores): (usize, usize)) -> Vec<usize> {
        let (mut picks, mut left) = (vec![0; self.items.len()], cores);
        for (&index, pair) in self.order.iter().zip(tables.windows(2)) {
            let (item, best, rest) = (&self.items[index], pair[0][left], &pair[1]);
            if item.kind != kind || best == rest[left] {
                continue;
            }
            let makes_it = |option: &Squad| {
                let rest = left.checked_sub(option.cores() as usize).map(|left| rest[left]);
                rest.is_some_and(|rest| rest + worth(item.accuracy) * option.capacity == best)
            };
            let pick = item.options.iter().position(makes_it).expect("the table is made of options");
            picks[index] = pick + 1;
            left -= item.options[pick].cores() as usize;
        }
        picks
    }

    /// Returns the highest load that picks carry with an average accuracy of at least this: the most accurate carry all that
    /// they can, the others as much as that makes up for.
    fn load_of(&self, picks: &[usize], least: f64) -> f64 {
        let (mut load, mut excess) = (0.0, 0.0);
        for &index in &self.order {
            let Some(pick) = picks[index].checked_sub(1) else { continue };
            let (item, beyond) = (&self.items[index], self.items[index].accuracy - least);
            let capacity = item.options[pick].capacity;
            let taken = if beyond >= 0.0 { capacity } else { capacity.min(excess / -beyond) };
            load += taken;
            excess += beyond * taken;
        }
        load
    }
}

impl AtLoad<'_> {
    /// Returns picks that carry the load with an average accuracy of at least this; `None` where none do, or the looks are spent.
    fn reach(&self, reached: &Reached, least: f64, looks: &mut Looks) -> Option<Vec<usize>> {
        if self.needed() > reached.bound {
            return None;
        }
        if self.needed() <= reached.load {
            return Some(reached.picks.clone());
        }
        let all: Vec<u32> = self.mix.kinds.iter().map(|kind| kind.at_most).collect();
        let (prices, floor) = (Vec::from_iter(&reached.priced), least * self.load);
        self.search(&all, &prices, floor, floor, looks)
    }
}

/// Returns the least accuracy that counts as so much: sums may fall short by rounding. Answers are never less than wrong.
fn slackened(accuracy: f64) -> f64 {
    accuracy.max(0.0) - SUMS
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::{FleetItem, Looks, Mix, Squad};
    use super::slackened;
    use crate::optimize::Reach;
    use crate::optimize::fleet::FleetKind;
    use crate::optimize::pack::{Size, Space};

    fn drawn(dice: &mut ChaCha8Rng) -> Mix {
        let kind = |dice: &mut ChaCha8Rng| FleetKind {
            space: Space { cores: dice.random_range(1..=5), memory: if dice.random_bool(0.7) { u64::MAX } else { 10 } },
            at_most: dice.random_range(1..=3),
            price: 1.0,
        };
        let kinds: Vec<FleetKind> = (0..dice.random_range(1..=2)).map(|_| kind(dice)).collect();
        let option = |cores: u32, dice: &mut ChaCha8Rng| Squad {
            size: Size {
                cores: dice.random_range(1..=cores),
                memory: dice.random_range(0..=5),
                count: dice.random_range(1..=4),
            },
            capacity: dice.random_range(1.0..20.0),
        };
        let item = |dice: &mut ChaCha8Rng| {
            let kind = dice.random_range(0..kinds.len());
            let options = (0..dice.random_range(1..=4)).map(|_| option(kinds[kind].space.cores, dice)).collect();
            FleetItem { accuracy: dice.random_range(0.5..1.0), kind, options }
        };
        Mix::new((0..dice.random_range(1..=4)).map(|_| item(dice)).collect(), kinds.clone())
    }

    /// Tries everything that packs.
    fn enumerated(mix: &Mix, accuracy: f64) -> f64 {
        let mut all = vec![Vec::new()];
        for item in mix.items() {
            let picks = 0..=item.options.len();
            all = all
                .iter()
                .flat_map(|of: &Vec<usize>| picks.clone().map(move |pick| [&of[..], &[pick]].concat()))
                .collect();
        }
        let packs = |picks: &&Vec<usize>| {
            let kinds = mix.kinds().iter().enumerate();
            kinds.into_iter().all(|(kind, of)| mix.packed(picks, kind, of.at_most).is_some())
        };
        all.iter().filter(packs).map(|picks| mix.load_of(picks, slackened(accuracy))).fold(0.0, f64::max)
    }

    #[test]
    fn the_highest_load_is_that_of_enumeration_and_never_above_where_it_is_cut_short() {
        let mut dice = ChaCha8Rng::seed_from_u64(90);
        let mut open = 0;
        for round in 0..600 {
            let mix = drawn(&mut dice);
            let accuracy = [0.0, dice.random_range(0.5..1.0)][dice.random_range(0..2)];
            let truth = enumerated(&mix, accuracy);
            let reached = mix.reached(slackened(accuracy));
            assert!(
                reached.load <= truth && truth <= reached.bound * (1.0 + 1e-9),
                "round {round}: {reached:?} {truth}"
            );
            let highest = mix.highest_load(1e9, accuracy, Looks::UNLIMITED);
            assert!(
                highest.is_proved && (highest.load - truth).abs() <= 2e-6 * truth,
                "round {round}: {highest:?} {truth}"
            );
            for (part, expected) in [(0.9999, Reach::Carried), (1.0001, Reach::NotCarried)] {
                let found = mix.reaches(truth * part, accuracy, Looks::UNLIMITED);
                assert!(found == expected || truth <= 0.0, "round {round}: {found:?} of {part} of {truth}");
                let short = mix.reaches(truth * part, accuracy, Looks::at_most(3));
                assert!(short == expected || short == Reach::Unknown || truth <= 0.0, "round {round}: {short:?}");
            }
            let short = mix.highest_load(1e9, accuracy, Looks::at_most(3));
            assert!(short.load <= truth * (1.0 + 1e-9), "round {round}: {short:?} {truth}");
            assert!(!short.is_proved || short.load >= truth * (1.0 - 2e-6), "round {round}: {short:?} {truth}");
            open += u32::from(!short.is_proved);
        }
        assert!(open > 20, "{open} searches were cut short");
    }
}

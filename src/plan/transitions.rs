//! What a change of gear needs at once: until all that the next gear needs is up, the old one serves.

use super::{Plan, Pool};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::problem::{Inventory, Problem, Resource};

/// A change of gear that needs more at once than the inventory has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Index of the gear that serves.
    pub from: usize,
    /// Index of the next gear.
    pub to: usize,
    /// Cores that are up at once; with a kind, the fewest machines of it that have so many cores.
    pub needs: u32,
    /// What the inventory has.
    pub has: u32,
    /// The kind of machine; the host's cores where there is none.
    pub kind: Option<String>,
}

impl Plan {
    /// Returns the changes of gear that may come: those between periods that follow each other, or else from every gear to every
    /// higher one. A change back needs as much.
    #[must_use]
    pub fn changes(&self) -> Vec<(usize, usize)> {
        if self.periods.is_empty() {
            let count = self.gears.len();
            return (0..count).flat_map(|from| (from + 1..count).map(move |to| (from, to))).collect();
        }
        let pairs = self.periods.windows(2).map(|pair| (pair[0].gear, pair[1].gear));
        let mut changes: Vec<(usize, usize)> = pairs.filter(|(from, to)| from != to).collect();
        changes.sort_unstable();
        changes.dedup();
        changes
    }

    /// Returns the changes of gear that need more at once than an inventory has: a pool that both gears use is up with as many
    /// replicas as the one that needs more. How replicas are packed onto machines is not looked at.
    #[must_use]
    pub fn overlaps(&self, inventory: &Inventory) -> Vec<Overlap> {
        self.changes().into_iter().flat_map(|change| self.overlaps_of(change, inventory)).collect()
    }

    fn overlaps_of(&self, (from, to): (usize, usize), inventory: &Inventory) -> Vec<Overlap> {
        let up = |pool: &Pool| {
            let most = self.gears[from].replicas_of(pool).max(self.gears[to].replicas_of(pool));
            most * pool.on.cores()
        };
        let mut overlaps = Vec::new();
        if !inventory.rents_whole() {
            let on_host = |pool: &&Pool| pool.machine.is_none() && matches!(pool.on, Resource::Cores { .. });
            let needs = self.placement.iter().filter(on_host).map(up).sum();
            overlaps.push(Overlap { from, to, needs, has: inventory.cores, kind: None });
        }
        for kind in &inventory.machines {
            let here = |pool: &&Pool| pool.machine.as_ref() == Some(&kind.name);
            let cores: u32 = self.placement.iter().filter(here).map(up).sum();
            let needs = cores.div_ceil(kind.cores.max(1));
            overlaps.push(Overlap { from, to, needs, has: kind.at_most, kind: Some(kind.name.clone()) });
        }
        overlaps.retain(|overlap| overlap.needs > overlap.has);
        overlaps
    }

    /// Finds changes of gear that need more at once than a problem's inventory has: an error where the problem forbids them, else
    /// a warning.
    #[must_use]
    pub fn transitions(&self, problem: &Problem) -> Findings {
        let overlaps = self.overlaps(&problem.inventory);
        let Some(worst) = overlaps.iter().max_by_key(|overlap| overlap.needs - overlap.has) else {
            return Findings::default();
        };
        let Overlap { from, to, needs, has, kind } = worst;
        let what = kind.as_ref().map_or_else(|| "cores".to_owned(), |kind| format!("machines `{kind}`"));
        let more = match overlaps.len() - 1 {
            0 => String::new(),
            1 => ", and 1 other change needs too many".to_owned(),
            others => format!(", and {others} other changes need too many"),
        };
        let cause = format!(
            "switching between gears {from} and {to} briefly needs {needs} {what}; the inventory has {has}{more}"
        );
        let key = format!("gears[{to}]");
        Findings::from(if problem.goal.strict_transitions {
            Finding::error(Code::LimitBroken, key, cause, "solve again")
        } else {
            let action = "set `goal.strict_transitions`, or keep that much free beside the plan";
            Finding::error(Code::TransientResources, key, cause, action).with_severity(Severity::Warning)
        })
    }
}

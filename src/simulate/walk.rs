//! A plan with names turned into indices: the fixed part of a simulation.

use std::collections::BTreeMap;

use super::ids::{GearId, Id, LaneId, PoolId, StageId, Table, VariantId};
use super::world::{World, variants_of};
use crate::plan::{Dispatch, Exit, Gear, Lane, Plan, Stage, Watch};
use crate::problem::{Billing, Machine, Resource};

/// The whole plan.
#[derive(Debug)]
pub struct Walk {
    pub gears: Table<GearId, GearWalk>,
    pub stages: Table<StageId, StageWalk>,
    pub lanes: Table<LaneId, LaneWalk>,
    pub pools: Table<PoolId, PoolWalk>,
    /// Most stages of any gear whose requests must be followed stage by stage; 0 where none must.
    pub stride: usize,
    /// Whether any stage looks at how long calls will take.
    pub expects_time: bool,
    /// Time on the way in nanoseconds: for every pool (and first, from outside) to every pool. Empty where there is none.
    transfers: Vec<u64>,
    /// The kinds of machines of the plan.
    pub kinds: Vec<KindWalk>,
}

/// What a request of one gear passes.
#[derive(Debug)]
pub struct GearWalk {
    pub stages: Vec<StageId>,
    /// Stages that wait for no other.
    pub first: Vec<StageId>,
    /// Whether a stage waits for several others, or for several calls.
    pub is_followed: bool,
    pub replicas: Table<PoolId, u32>,
    pub uses: Table<PoolId, bool>,
    /// Machines of each kind of the plan.
    pub machines: Vec<u32>,
    /// For each kind of machine, how many of them hold which pools with how many replicas.
    holds: Vec<BTreeMap<Held, u32>>,
}

/// The replicas on one machine.
type Held = Vec<(PoolId, u32)>;

/// One stage.
#[derive(Debug)]
pub struct StageWalk {
    pub id: StageId,
    /// Position in its gear.
    pub position: usize,
    pub waits_for: u32,
    pub then: Vec<StageId>,
    pub calls: u32,
    /// Chance of one call more.
    pub one_more: f64,
    pub dispatch: Dispatch,
    pub lanes: Vec<LaneId>,
    /// Shares of the lanes, summed up from the first.
    pub shares: Vec<f64>,
    pub exit: Option<Exit>,
    pub watch: Option<Watch>,
}

/// One lane.
#[derive(Debug)]
pub struct LaneWalk {
    pub id: LaneId,
    pub stage: StageId,
    pub variant: VariantId,
    pub pool: PoolId,
    pub batch: u32,
    pub hold_ns: u64,
    pub queue_limit: usize,
    pub drop_after_ns: u64,
    /// Mean time of a call of one, two, … samples, in nanoseconds.
    pub mean_ns: Vec<f64>,
    /// What one call in a full batch asks of a replica, in nanoseconds.
    pub work_ns: f64,
    /// Whether its pool is on cores of the machine.
    pub on_cores: bool,
    /// Of its pool, where that is a function.
    pub function: Option<FunctionWalk>,
}

/// One pool.
#[derive(Debug)]
pub struct PoolWalk {
    pub name: String,
    pub on: Resource,
    pub lanes: Vec<LaneId>,
    /// Time until a replica that was asked for can serve, in nanoseconds.
    pub ready_ns: u64,
    /// The kind of machine that its replicas are packed onto, where they are.
    pub kind: Option<usize>,
    function: Option<FunctionWalk>,
}

/// One kind of machine that is rented whole.
#[derive(Debug)]
pub struct KindWalk {
    /// Price of one for an hour.
    pub usd_per_hour: f64,
    pub boot_ns: u64,
    pub billing: Option<Billing>,
}

/// How a function keeps its instances.
#[derive(Debug, Clone, Copy)]
pub struct FunctionWalk {
    pub cold_ns: u64,
    pub keep_ns: u64,
}

impl StageWalk {
    /// Tells whether a request can wait here for several stages.
    #[inline]
    pub const fn joins(&self) -> bool {
        self.waits_for > 1
    }

    /// Tells whether a request may make other than one call here.
    #[inline]
    pub const fn fans_out(&self) -> bool {
        self.calls != 1 || self.one_more > 0.0
    }
}

fn stages_of(plan: &Plan) -> impl Iterator<Item = &Stage> {
    plan.gears.iter().flat_map(|gear| &gear.stages)
}

impl Walk {
    pub fn new<W: World>(plan: &Plan, world: &W) -> Self {
        let mut walk = Self {
            gears: Table::new(),
            stages: Table::new(),
            lanes: Table::new(),
            pools: pools_of(plan, world),
            transfers: transfers_of(plan),
            kinds: plan.machines.iter().map(kind_walk).collect(),
            stride: 0,
            expects_time: stages_of(plan).any(|stage| stage.dispatch == Dispatch::Deadline),
        };
        let names = Names::of(plan);
        for gear in &plan.gears {
            walk.add_gear(plan, gear, &names, world);
        }
        walk
    }

    fn add_gear<W: World>(&mut self, plan: &Plan, gear: &Gear, names: &Names<'_>, world: &W) {
        let first = self.stages.0.len();
        let before = gear.predecessors();
        for (position, stage) in gear.stages.iter().enumerate() {
            let mut walk = stage_walk(stage, StageId::of(self.stages.0.len()), position);
            walk.waits_for = u32::try_from(before[position].len()).expect("few stages");
            let follows = |later: &usize| before[*later].contains(&position);
            walk.then = (0..before.len()).filter(follows).map(|later| StageId::of(first + later)).collect();
            let id = self.stages.push(walk);
            for lane in &stage.lanes {
                self.add_lane(lane, id, names, world);
            }
        }
        let stages: Vec<_> = (first..self.stages.0.len()).map(StageId::of).collect();
        let used = |pool: PoolId| {
            stages.iter().flat_map(|&stage| &self.stages[stage].lanes).any(|&lane| self.lanes[lane].pool == pool)
        };
        let uses = self.pools.ids().map(used).collect();
        let replicas = plan.placement.iter().map(|pool| gear.replicas_of(pool)).collect();
        let first = stages.iter().copied().filter(|&stage| self.stages[stage].waits_for == 0).collect();
        let is_followed = stages.iter().any(|&stage| self.stages[stage].joins() || self.stages[stage].fans_out());
        if is_followed {
            self.stride = self.stride.max(stages.len());
        }
        let machines = plan.machines.iter().map(|kind| {
            let rented = gear.packing.iter().filter(|packed| packed.machine == kind.name);
            rented.map(|packed| packed.count).sum()
        });
        let machines = machines.collect();
        let holds = plan.machines.iter().map(|kind| held(gear, &kind.name, names)).collect();
        self.gears.push(GearWalk { stages, first, is_followed, replicas, uses, machines, holds });
    }

    fn add_lane<W: World>(&mut self, lane: &Lane, stage: StageId, names: &Names<'_>, world: &W) {
        let (variant, pool) = (names.variants[lane.variant.as_str()], names.pools[lane.pool.as_str()]);
        let full_ns = world.mean_service_ns(variant, pool, lane.batch);
        let id = LaneId::of(self.lanes.0.len());
        self.lanes.push(LaneWalk {
            id,
            stage,
            variant,
            pool,
            batch: lane.batch,
            hold_ns: nanos(lane.hold_ms.duration()),
            queue_limit: lane.queue_limit.map_or(usize::MAX, |limit| limit as usize),
            drop_after_ns: lane.drop_after_ms.map_or(u64::MAX, |limit| nanos(limit.duration())),
            mean_ns: (1..=lane.batch).map(|batch| world.mean_service_ns(variant, pool, batch)).collect(),
            work_ns: full_ns / f64::from(lane.batch),
            on_cores: matches!(self.pools[pool].on, Resource::Cores { .. }),
            function: self.pools[pool].function,
        });
        self.stages[stage].lanes.push(id);
        self.pools[pool].lanes.push(id);
    }

    /// Returns the time until a replica that one gear needs more than another can serve, in nanoseconds. Where the gear needs
    /// more machines of the kind, it comes up on one that boots first.
    pub fn ready_ns(&self, pool: PoolId, from: GearId, to: GearId) -> u64 {
        let grows = |kind: &usize| self.gears[to].machines[*kind] > self.gears[from].machines[*kind];
        let PoolWalk { ready_ns, kind, .. } = &self.pools[pool];
        ready_ns + kind.filter(grows).map_or(0, |kind| self.kinds[kind].boot_ns)
    }

    /// Returns the time until replicas that only move onto more machines can serve there, in nanoseconds: these machines boot
    /// first. Where some replica of a kind starts, the machines boot for that one.
    pub fn moved_ns(&self, from: GearId, to: GearId, starts: impl Fn(PoolId) -> bool) -> u64 {
        let of_kind = |kind: usize| {
            let (before, after) = (&self.gears[from], &self.gears[to]);
            let starts_one = self.pools.ids().any(|pool| self.pools[pool].kind == Some(kind) && starts(pool));
            if starts_one || after.machines[kind] <= before.machines[kind] {
                return 0;
            }
            let known = |held: &Held| before.holds[kind].get(held).copied().unwrap_or(0);
            let new = after.holds[kind].iter().filter(|(held, count)| **count > known(held));
            let loads = new.flat_map(|(held, _)| held).map(|(pool, _)| self.pools[*pool].ready_ns);
            self.kinds[kind].boot_ns + loads.max().unwrap_or(0)
        };
        (0..self.kinds.len()).map(of_kind).max().unwrap_or(0)
    }

    /// Returns the longest time until a replica of any pool can serve, in nanoseconds.
    pub fn slowest_ready_ns(&self) -> u64 {
        let boot_ns = |pool: &PoolWalk| pool.kind.map_or(0, |kind| self.kinds[kind].boot_ns);
        self.pools.0.iter().map(|pool| pool.ready_ns + boot_ns(pool)).max().unwrap_or(0)
    }

    /// Returns the time on the way from a pool, or from outside, to a pool, in nanoseconds.
    #[inline]
    pub fn transfer_ns(&self, from: Option<PoolId>, to: PoolId) -> u64 {
        if self.transfers.is_empty() {
            return 0;
        }
        self.transfers[way(self.pools.0.len(), from, to)]
    }
}

/// Returns how many machines of a kind hold which replicas in a gear.
fn held(gear: &Gear, kind: &str, names: &Names<'_>) -> BTreeMap<Held, u32> {
    let mut machines = BTreeMap::new();
    for packed in gear.packing.iter().filter(|packed| packed.machine == kind) {
        let held = packed.replicas.iter().map(|(pool, &count)| (names.pools[pool.as_str()], count)).collect();
        *machines.entry(held).or_default() += packed.count;
    }
    machines
}

fn way(pools: usize, from: Option<PoolId>, to: PoolId) -> usize {
    from.map_or(0, |pool| pool.index() + 1) * pools + to.index()
}

fn transfers_of(plan: &Plan) -> Vec<u64> {
    if plan.transfers.is_empty() {
        return Vec::new();
    }
    let (names, pools) = (Names::of(plan), plan.placement.len());
    let mut transfers = vec![0; (pools + 1) * pools];
    for transfer in &plan.transfers {
        let from = transfer.from.as_ref().map(|name| names.pools[name.as_str()]);
        transfers[way(pools, from, names.pools[transfer.to.as_str()])] = nanos(transfer.ms.duration());
    }
    transfers
}

/// Returns nanoseconds; five hundred years are enough.
pub fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

struct Names<'a> {
    variants: BTreeMap<&'a str, VariantId>,
    pools: BTreeMap<&'a str, PoolId>,
}

impl<'a> Names<'a> {
    fn of(plan: &'a Plan) -> Self {
        let variants = variants_of(plan).into_iter().enumerate().map(|(index, name)| (name, VariantId::of(index)));
        let pools = plan.placement.iter().enumerate().map(|(index, pool)| (pool.name.as_str(), PoolId::of(index)));
        Self { variants: variants.collect(), pools: pools.collect() }
    }
}

fn stage_walk(stage: &Stage, id: StageId, position: usize) -> StageWalk {
    let mut sum = 0.0;
    let mut summed = |share: f64| {
        sum += share;
        sum
    };
    StageWalk {
        id,
        position,
        waits_for: 0,
        then: Vec::new(),
        calls: stage.calls.get().floor() as u32,
        one_more: stage.calls.get().fract(),
        dispatch: stage.dispatch,
        lanes: Vec::new(),
        shares: stage.lanes.iter().map(|lane| summed(lane.share.map_or(0.0, f64::from))).collect(),
        exit: stage.exit,
        watch: stage.watch,
    }
}

fn kind_walk(kind: &Machine) -> KindWalk {
    KindWalk {
        usd_per_hour: kind.price_usd_per_hour.get(),
        boot_ns: nanos(kind.boot_ms.unwrap_or_default().duration()),
        billing: kind.billing,
    }
}

fn pools_of<W: World>(plan: &Plan, world: &W) -> Table<PoolId, PoolWalk> {
    let names = Names::of(plan);
    let of_pool = |pool: &crate::plan::Pool| {
        let load = pool.hosts.iter().map(|host| world.load_ns(names.variants[host.as_str()])).max().unwrap_or(0);
        let (ready_ns, function) = match &pool.on {
            Resource::Cores { .. } | Resource::Gpu { .. } | Resource::Vm { .. } => {
                (load + nanos(pool.on.boot_ms().duration()), None)
            }
            Resource::Function { cold_start_ms, keep_alive_ms, .. } => {
                let cold_ns = nanos(cold_start_ms.duration());
                (0, Some(FunctionWalk { cold_ns, keep_ns: nanos(keep_alive_ms.duration()) }))
            }
        };
        let kind = plan.machines.iter().position(|kind| pool.machine.as_ref() == Some(&kind.name));
        PoolWalk { name: pool.name.clone(), on: pool.on.clone(), lanes: Vec::new(), ready_ns, kind, function }
    };
    plan.placement.iter().map(of_pool).collect()
}

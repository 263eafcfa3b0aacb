//! What may be used: an inventory lists kinds of hardware, and this file alone says what each kind is to a plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Function, Machine, Problem, Resource, RoomName};
use crate::base::units::Usd;

/// What may be used, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Cores for all variants together; left out where `machines` say what there is.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 1, max = 4096))]
    pub cores: u32,
    /// Price of one core for an hour.
    #[serde(default)]
    pub price_usd_per_core_hour: Usd,
    /// Fewest cores that a deployed variant gets.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub min_cores_per_variant: u32,
    /// Kinds of machines with their prices and how many there are, in place of `cores`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<Machine>,
    /// Kinds of functions, paid by the call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Function>,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(cores: &u32) -> bool {
    *cores == 0
}

/// A kind of hardware in an inventory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HardwareKind<'a> {
    /// Cores of a host that is there anyway.
    Cores {
        /// How many there are.
        count: u32,
        /// Price of one core for an hour.
        price_usd_per_core_hour: Usd,
    },
    /// An accelerator, rented whole.
    Device(&'a Machine),
    /// A machine with cores, rented whole.
    Machine(&'a Machine),
    /// A function, paid by the call.
    Function(&'a Function),
}

/// What kinds of hardware have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HardwareFamily {
    /// Cores of a host.
    Cores,
    /// Accelerators.
    Devices,
    /// Machines rented whole.
    Machines,
    /// Functions.
    Functions,
}

impl HardwareFamily {
    /// Returns the family's name in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cores => "cores",
            Self::Devices => "devices",
            Self::Machines => "machines",
            Self::Functions => "functions",
        }
    }

    /// Returns the key under which an inventory lists the family.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Cores => "inventory.cores",
            Self::Devices | Self::Machines => "inventory.machines",
            Self::Functions => "inventory.functions",
        }
    }
}

impl HardwareKind<'_> {
    /// Returns what it has in common with other kinds.
    #[must_use]
    pub const fn family(&self) -> HardwareFamily {
        match self {
            Self::Cores { .. } => HardwareFamily::Cores,
            Self::Device(_) => HardwareFamily::Devices,
            Self::Machine(_) => HardwareFamily::Machines,
            Self::Function(_) => HardwareFamily::Functions,
        }
    }

    /// Returns the cores of everything there is of it; an accelerator counts those that its kind names, a function has none.
    #[must_use]
    pub const fn all_cores(&self) -> u32 {
        match self {
            Self::Cores { count, .. } => *count,
            Self::Device(machine) | Self::Machine(machine) => machine.all_cores(),
            Self::Function(_) => 0,
        }
    }

    /// Returns the price of everything there is of it for an hour; a function costs nothing until it is called.
    #[must_use]
    pub fn usd_per_hour(&self) -> f64 {
        match self {
            Self::Cores { count, price_usd_per_core_hour } => f64::from(*count) * price_usd_per_core_hour.get(),
            Self::Device(machine) | Self::Machine(machine) => {
                f64::from(machine.at_most) * machine.price_usd_per_hour.get()
            }
            Self::Function(_) => 0.0,
        }
    }

    /// Returns what a replica with so many cores of it runs on. A part of something rented whole costs nothing by itself: the
    /// machines that replicas are packed onto are paid.
    #[must_use]
    pub fn part(&self, cores: u32) -> Resource {
        match *self {
            Self::Cores { price_usd_per_core_hour, .. } => Resource::Cores { cores, price_usd_per_core_hour },
            Self::Machine(_) => Resource::Cores { cores, price_usd_per_core_hour: Usd::ZERO },
            Self::Device(machine) => {
                let device = machine.device.clone();
                Resource::Gpu { device, price_usd_per_hour: Usd::ZERO, boot_ms: None, billing: None }
            }
            Self::Function(function) => function.with_cores(cores),
        }
    }

    /// Returns what a replica that has one of it to itself runs on, at its price; of cores it has one.
    #[must_use]
    pub fn whole(&self) -> Resource {
        match *self {
            Self::Cores { .. } => self.part(1),
            Self::Function(_) => self.part(u32::MAX),
            Self::Device(machine) => Resource::Gpu {
                device: machine.device.clone(),
                price_usd_per_hour: machine.price_usd_per_hour,
                boot_ms: machine.boot_ms,
                billing: machine.billing,
            },
            Self::Machine(machine) if machine.boot_ms.is_some() || machine.billing.is_some() => Resource::Vm {
                cores: machine.cores,
                boot_ms: machine.boot_ms.unwrap_or_default(),
                price_usd_per_hour: machine.price_usd_per_hour,
                billing: machine.billing,
            },
            Self::Machine(machine) => {
                let of_core = machine.price_usd_per_hour.get() / f64::from(machine.cores);
                Resource::Cores { cores: machine.cores, price_usd_per_core_hour: Usd::saturating(of_core) }
            }
        }
    }
}

impl Inventory {
    /// Returns every kind that there is, in file order: the host's cores or, in place of them, machines; then functions.
    pub fn kinds(&self) -> impl Iterator<Item = HardwareKind<'_>> {
        let is_host = self.cores > 0 && !self.rents_whole();
        let machines = self.machines.iter().map(Machine::kind);
        let functions = self.functions.iter().map(HardwareKind::Function);
        is_host.then(|| self.host()).into_iter().chain(machines).chain(functions)
    }

    /// Returns the kind that a replica is on: that of the name, or the host's cores where it names none.
    #[must_use]
    pub fn kind(&self, name: Option<&str>) -> HardwareKind<'_> {
        let machine = |name: &str| self.machines.iter().find(|machine| machine.name == name).map(Machine::kind);
        let function = |name: &str| self.functions.iter().find(|function| function.name == name);
        let named = |name: &str| machine(name).or_else(|| function(name).map(HardwareKind::Function));
        name.and_then(named).unwrap_or_else(|| self.host())
    }

    fn host(&self) -> HardwareKind<'_> {
        HardwareKind::Cores { count: self.cores, price_usd_per_core_hour: self.price_usd_per_core_hour }
    }

    /// Tells whether machines are rented whole, so that replicas are packed onto them and money is what counts; else a plan
    /// takes cores of one host.
    #[must_use]
    pub fn rents_whole(&self) -> bool {
        !self.machines.is_empty()
    }

    /// Returns the cores that there are: those of all machines, or those of the host where there are no machines.
    #[must_use]
    pub fn all_cores(&self) -> u32 {
        self.kinds().map(|kind| kind.all_cores()).sum()
    }

    /// Returns the price of everything there is for an hour.
    #[must_use]
    pub fn usd_per_hour(&self) -> f64 {
        self.kinds().map(|kind| kind.usd_per_hour()).sum()
    }

    /// Returns the lowest price of a core for an hour in the inventory's unit; machines are divided by their cores.
    #[must_use]
    pub fn cheapest_core_price(&self) -> f64 {
        if !self.rents_whole() {
            return self.core_price();
        }
        let of_kind = |kind: &Machine| kind.price_usd_per_hour.get() / f64::from(kind.cores);
        self.machines.iter().map(of_kind).fold(f64::INFINITY, f64::min)
    }

    /// Returns the price of everything there is for an hour in the inventory's unit: as many as the host has cores where no price
    /// is given.
    #[must_use]
    pub fn whole_price(&self) -> f64 {
        if self.rents_whole() { self.usd_per_hour() } else { f64::from(self.cores) * self.core_price() }
    }

    /// Returns the price of one of the host's cores for an hour in the inventory's unit: 1 core where no price is given.
    #[must_use]
    pub fn core_price(&self) -> f64 {
        if self.prices_cores() { self.price_usd_per_core_hour.get() } else { 1.0 }
    }

    /// Tells whether the host's cores have a price.
    #[must_use]
    pub fn prices_cores(&self) -> bool {
        self.price_usd_per_core_hour.get() > 0.0
    }
}

impl Problem {
    /// Returns the cores that the goal may use: the inventory, or less where the goal says so.
    #[must_use]
    pub fn core_budget(&self) -> u32 {
        let all = self.inventory.all_cores();
        self.goal.cores_at_most.map_or(all, |most| most.min(all))
    }

    /// Returns all that the goal may spend: dollars an hour where machines are rented whole, else cores.
    #[must_use]
    pub fn budget(&self) -> f64 {
        if self.inventory.rents_whole() { self.inventory.usd_per_hour() } else { f64::from(self.core_budget()) }
    }

    /// Returns the families of hardware that its room and formulation plan on.
    #[must_use]
    pub fn plans_on(&self) -> &'static [HardwareFamily] {
        use HardwareFamily::{Cores, Devices, Functions, Machines};
        match self.room.name() {
            RoomName::VariantSet | RoomName::Pipeline if self.room.is_published() => &[Cores],
            RoomName::VariantSet | RoomName::Pipeline | RoomName::Cascade => &[Cores, Machines, Devices],
            RoomName::Dropout => &[Cores],
            RoomName::Offload => &[Cores, Machines, Functions],
        }
    }
}

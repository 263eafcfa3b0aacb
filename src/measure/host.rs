//! The machine that measures: its fingerprint, its clocks, and pinning to its cores.

use std::fs;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::{get_timerslack, set_timerslack};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::base::error::Error;
use crate::base::units::{Factor, Megabytes, Share};
use crate::measure::quota;
use crate::profile::Host;

/// Instruction sets that change how fast inference is.
const FLAGS: &[&str] = &[
    "amx_bf16",
    "amx_int8",
    "amx_tile",
    "asimd",
    "avx",
    "avx2",
    "avx512_bf16",
    "avx512_vnni",
    "avx512bw",
    "avx512f",
    "avx_vnni",
    "f16c",
    "fma",
    "sse4_2",
    "sve",
];

/// Returns the fingerprint of this machine.
#[must_use]
pub fn fingerprint(libraries: Vec<String>, thread_variables: Vec<String>) -> Host {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let siblings = field(&cpuinfo, "siblings").and_then(|text| text.parse::<u32>().ok());
    let cores = field(&cpuinfo, "cpu cores").and_then(|text| text.parse::<u32>().ok());
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory_kb = field(&meminfo, "MemTotal").and_then(leading_number).unwrap_or(0.0);
    let load = fs::read_to_string("/proc/loadavg").ok().and_then(|text| leading_number(&text));
    Host {
        cpu: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
        cpu_flags: flags(&cpuinfo),
        cores_visible: cpuinfo.lines().filter(|line| line.starts_with("processor")).count() as u32,
        cores_allowed: usable_cores().len() as u32,
        threads_per_core: siblings.zip(cores).filter(|&(_, cores)| cores > 0).map(|(s, c)| s / c),
        numa_nodes: numa_nodes(),
        governor: fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
            .ok()
            .map(|text| text.trim().to_owned()),
        memory_mb: Megabytes::saturating(memory_kb * 1024.0 / 1e6),
        kernel: kernel(),
        libraries: sorted(libraries),
        thread_variables: sorted(thread_variables),
        load_average: load.map(Factor::saturating),
        steal: None,
    }
}

/// Returns the numbers of the cores that this process can keep busy: those of its affinity mask, or as many of them as the
/// quota of its container gives.
#[must_use]
pub fn usable_cores() -> Vec<usize> {
    let mut cores = allowed_cores();
    cores.truncate(quota::cores().unwrap_or(usize::MAX));
    cores
}

/// Returns the numbers of the cores that this thread may use, increasing.
#[must_use]
pub fn allowed_cores() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect()
}

/// Keeps the thread, and those it creates, on some cores until dropped.
#[derive(Debug)]
pub struct Pinned {
    before: CpuSet,
}

/// Pins this thread to the first `cores` allowed cores; threads created meanwhile inherit that.
///
/// # Errors
/// [`Error::Unsupported`] where fewer cores are allowed or the system refuses.
pub fn pin(cores: u32) -> Result<Pinned, Error> {
    let allowed = allowed_cores();
    if cores as usize > allowed.len() || cores == 0 {
        return Err(Error::Unsupported {
            what: format!("cannot measure on {cores} cores: this process may use {}", allowed.len()),
            hint: format!("ask for 1 to {} with --cores, or widen the affinity mask (taskset)", allowed.len()),
        });
    }
    pin_to(&allowed[..cores as usize])
}

/// Pins this thread to the cores of these numbers; threads created meanwhile inherit that.
///
/// # Errors
/// [`Error::Unsupported`] where the system refuses.
pub fn pin_to(cores: &[usize]) -> Result<Pinned, Error> {
    let refused = |error: nix::Error| Error::Unsupported {
        what: format!("the system does not let this process pin itself: {error}"),
        hint: "run where sched_setaffinity is allowed".to_owned(),
    };
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).map_err(refused)?;
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core).map_err(refused)?;
    }
    sched_setaffinity(this, &set).map_err(refused)?;
    Ok(Pinned { before })
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The mask was in force a moment ago; where it is refused now, nobody can do anything about it.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}

/// Wakes the thread on time until dropped.
#[derive(Debug)]
pub struct OnTime {
    before: i32,
}

/// Asks the kernel to end this thread's sleeps on time, in place of up to 50 µs late as it does to save energy.
///
/// Where the kernel refuses, sleeps end as they did.
#[must_use]
pub fn on_time() -> OnTime {
    let before = get_timerslack().unwrap_or(0);
    // A slack of 0 would mean the default.
    let _ = set_timerslack(1);
    OnTime { before }
}

impl Drop for OnTime {
    fn drop(&mut self) {
        let _ = set_timerslack(u64::try_from(self.before).unwrap_or(0));
    }
}

/// Counters of process and machine at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counters {
    /// CPU time of all threads of the process.
    pub cpu: Duration,
    /// Involuntary context switches of the process.
    pub involuntary: u64,
    /// Microseconds in which some runnable thread of the machine waited (PSI).
    pub pressure_us: Option<f64>,
    /// Clock ticks of all processors of the machine.
    pub ticks: Option<Ticks>,
}

/// Clock ticks of all processors of the machine since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Ticks {
    /// In which a program or the kernel ran.
    pub busy: f64,
    /// Taken by the hypervisor.
    pub stolen: f64,
    /// In all.
    pub all: f64,
    /// Number of processors.
    pub processors: f64,
}

impl Ticks {
    /// Returns those that have passed since an earlier moment.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let (busy, stolen) = (self.busy - before.busy, self.stolen - before.stolen);
        Self { busy, stolen, all: self.all - before.all, processors: self.processors }
    }
}

impl Counters {
    /// Reads the counters.
    #[must_use]
    pub fn now() -> Self {
        let involuntary = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.involuntary_context_switches());
        let pressure = fs::read_to_string("/proc/pressure/cpu").ok();
        Self {
            cpu: cpu_time(),
            involuntary: involuntary.max(0) as u64,
            pressure_us: pressure.and_then(|text| text.lines().next()?.split("total=").nth(1)?.trim().parse().ok()),
            ticks: fs::read_to_string("/proc/stat").ok().and_then(|text| ticks_of(&text)),
        }
    }
}

impl Counters {
    /// Returns the part of the machine's time that the hypervisor has stolen since an earlier moment.
    #[must_use]
    pub fn steal_since(&self, before: &Self) -> Option<Share> {
        let ticks = self.ticks_since(before)?;
        (ticks.all > 0.0).then(|| Share::saturating(ticks.stolen / ticks.all))
    }

    /// Returns the clock ticks of the machine since an earlier moment.
    #[must_use]
    pub fn ticks_since(&self, before: &Self) -> Option<Ticks> {
        self.ticks.zip(before.ticks).map(|(now, then)| now.since(then))
    }

    /// Returns the microseconds in which some thread has waited since an earlier moment.
    #[must_use]
    pub fn pressure_us_since(&self, before: &Self) -> Option<f64> {
        self.pressure_us.zip(before.pressure_us).map(|(now, then)| now - then)
    }

    /// Returns how often the kernel has taken the processor away since an earlier moment.
    #[must_use]
    pub const fn involuntary_since(&self, before: &Self) -> u64 {
        self.involuntary.saturating_sub(before.involuntary)
    }
}

/// Returns the CPU time of all threads of this process.
#[must_use]
pub fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Resident memory at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryNow {
    /// Now.
    pub resident: Megabytes,
    /// The most since the peak was reset.
    pub peak: Megabytes,
}

impl MemoryNow {
    /// Returns what was gained since an earlier moment.
    #[must_use]
    pub fn gained_since(self, before: Self) -> Self {
        let gained = |now: Megabytes| Megabytes::saturating(now.get() - before.resident.get());
        Self { resident: gained(self.resident), peak: gained(self.peak) }
    }
}

/// Returns the resident memory of this process and all that it has started.
#[must_use]
pub fn memory_of_family() -> MemoryNow {
    let statuses: Vec<_> = family_of(std::process::id())
        .iter()
        .filter_map(|id| fs::read_to_string(format!("/proc/{id}/status")).ok())
        .collect();
    let sum = |name: &str| {
        let kilobytes = statuses.iter().filter_map(|status| field(status, name).and_then(leading_number));
        Megabytes::saturating(kilobytes.sum::<f64>() * 1024.0 / 1e6)
    };
    MemoryNow { resident: sum("VmRSS"), peak: sum("VmHWM") }
}

/// Lets the peaks of this process and all that it has started begin again; where the kernel refuses, they stay.
pub fn reset_peak_of_family() {
    for id in family_of(std::process::id()) {
        let _ = fs::write(format!("/proc/{id}/clear_refs"), "5");
    }
}

/// Returns the numbers of a process and of all that it has started.
pub fn family_of(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(id) = found.get(next).copied() {
        next += 1;
        let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        let lists: Vec<String> = children.collect();
        found.extend(lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|id| id.parse::<u32>().ok()));
    }
    found
}

fn ticks_of(stat: &str) -> Option<Ticks> {
    let ticks: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|t| t.parse().ok()).collect();
    // Guest times, which follow, are part of user already.
    let [user, nice, system, idle, waiting, irq, soft_irq, stolen] = *ticks.get(..8)? else { return None };
    let busy = user + nice + system + irq + soft_irq;
    // A line for all, then one for each: cpu0, cpu1, …
    let processors = stat.lines().filter(|line| line.starts_with("cpu")).count() - 1;
    Some(Ticks { busy, stolen, all: busy + idle + waiting + stolen, processors: processors as f64 })
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

fn leading_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

fn flags(cpuinfo: &str) -> Vec<String> {
    let present = field(cpuinfo, "flags").or_else(|| field(cpuinfo, "Features")).unwrap_or_default();
    let known = present.split_whitespace().filter(|flag| FLAGS.contains(flag));
    sorted(known.map(str::to_owned).collect())
}

fn numa_nodes() -> Option<u32> {
    let entries = fs::read_dir("/sys/devices/system/node").ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_node = |name: &String| name.strip_prefix("node").is_some_and(|number| number.parse::<u32>().is_ok());
    Some(names.filter(is_node).count() as u32)
}

fn kernel() -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {}", read("ostype").trim(), read("osrelease").trim())
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words
}

#[cfg(test)]
mod tests {
    use super::{Ticks, allowed_cores, pin, ticks_of};

    #[test]
    fn pins_and_lets_go_again() {
        let before = allowed_cores();
        let pinned = pin(1).expect("one core is always allowed");
        assert_eq!(allowed_cores(), before[..1]);
        drop(pinned);
        assert_eq!(allowed_cores(), before);
    }

    #[test]
    fn refuses_cores_that_are_not_there() {
        assert!(pin(100_000).expect_err("no machine is that large").to_string().contains("100000 cores"));
    }

    #[test]
    fn reads_ticks() {
        let read = ticks_of("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 1\ncpu1 0 1\nintr 5\n");
        assert_eq!(read, Some(Ticks { busy: 19.0, stolen: 8.0, all: 36.0, processors: 2.0 }));
        assert_eq!(ticks_of("cpu  1 2 3\n"), None);
    }
}

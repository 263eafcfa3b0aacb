//! The pools as a picture: what is up at the highest load, and how many replicas at every load.

use super::formatting::{counted, length, listed, ms, resource, rps};
use super::svg::{Anchor, Canvas, WIDTH, width};
use super::{Block, Figure, Given, text};
use crate::plan::{Gear, Plan, Pool};
use crate::problem::Resource;

/// Kinds of pools that are told apart by colour.
const COLOURS: usize = 7;
/// Side of the square of one core.
const CORE: f64 = 11.0;
/// Room around the cores of a replica, and between replicas.
const ROOM: f64 = 3.0;
/// Where replicas begin: names stand left of it.
const LEFT: f64 = 158.0;
/// Most replicas of a pool, and cores of a replica, that are drawn.
const MOST: u32 = 64;
const MOST_CORES: u32 = 16;

pub(crate) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let plan = given.plan;
    let mut figures = Vec::new();
    if let Some(last) = plan.gears.last() {
        figures.push(Figure {
            finding: format!("At {}: {}", rps(plan.max_rps()), total(plan, last)),
            note: "Each square is a core, each frame a replica; dashed replicas are down at this load.".to_owned(),
            described: format!("{}.", super::gears::up(plan, last)),
            svg: draw_replicas(plan, last),
        });
    }
    if plan.gears.len() > 1 {
        figures.push(Figure {
            finding: format!("Running replicas in each of {}", length(&plan.gears, "gear")),
            note: "A stronger colour means that more of the pool is running.".to_owned(),
            described: grid_in_words(plan),
            svg: draw_grid(plan),
        });
    }
    let mut blocks = vec![text("The placement is fixed; gears change how many replicas of each pool run.")];
    blocks.push(Block::Figures(figures));
    blocks.push(Block::Terms(plan.placement.iter().map(|pool| (pool.name.clone(), pool_in_words(pool))).collect()));
    if !plan.transfers.is_empty() {
        blocks.push(Block::Terms(plan.transfers.iter().map(transfer).collect()));
    }
    blocks
}

fn total(plan: &Plan, gear: &Gear) -> String {
    let up = |kind: fn(&Resource) -> bool| -> (u32, u32) {
        let pools = plan.placement.iter().filter(|pool| kind(&pool.on));
        pools.fold((0, 0), |(all, cores), pool| {
            let up = gear.replicas_of(pool);
            (all + up, cores + up * pool.on.cores())
        })
    };
    let (on_cores, cores) = up(|on| matches!(on, Resource::Cores { .. }));
    let (machines, _) = up(|on| matches!(on, Resource::Vm { .. }));
    let (gpus, _) = up(|on| matches!(on, Resource::Gpu { .. }));
    let (functions, _) = up(|on| matches!(on, Resource::Function { .. }));
    let mut words = Vec::new();
    if on_cores > 0 {
        words.push(format!("{} on {}", counted(on_cores, "replica"), counted(cores, "core")));
    }
    for (count, noun) in [(machines, "machine"), (gpus, "accelerator")] {
        if count > 0 {
            words.push(counted(count, noun));
        }
    }
    if functions > 0 {
        words.push(format!("up to {}", counted(functions, "function instance")));
    }
    listed(&words)
}

fn pool_in_words(pool: &Pool) -> String {
    let hosts = listed(&pool.hosts);
    match &pool.on {
        Resource::Function { .. } => {
            format!("up to {} at once of {}, hosting {hosts}", counted(pool.replicas, "instance"), resource(&pool.on))
        }
        on if pool.replicas == 1 => format!("1 replica on {}, hosting {hosts}", resource(on)),
        on => format!("up to {} on {} each, hosting {hosts}", counted(pool.replicas, "replica"), resource(on)),
    }
}

fn transfer(transfer: &crate::plan::Transfer) -> (String, String) {
    let from = transfer.from.as_deref().unwrap_or("arrival");
    (format!("{from} → {}", transfer.to), format!("transfer time {}", ms(transfer.ms.get())))
}

fn draw_replicas(plan: &Plan, gear: &Gear) -> String {
    let mut canvas = Canvas::default();
    let mut y = 4.0;
    for (index, pool) in plan.placement.iter().enumerate() {
        canvas.fitted("strong", (0.0, y + 13.0), Anchor::Start, &pool.name, LEFT - 8.0);
        canvas.fitted("faint", (0.0, y + 29.0), Anchor::Start, &up(gear, pool), LEFT - 8.0);
        y = draw_pool(&mut canvas, pool, gear.replicas_of(pool), index, y).max(y + 34.0) + 10.0;
    }
    canvas.finish(y - 4.0, &format!("{} at {}", super::gears::up(plan, gear), rps(gear.up_to_rps.get())))
}

/// Returns what of a pool is up, in few letters.
fn up(gear: &Gear, pool: &Pool) -> String {
    let up = gear.replicas_of(pool);
    match &pool.on {
        _ if up == 0 => "down".to_owned(),
        Resource::Function { .. } => format!("up to {up} calls"),
        Resource::Gpu { device, .. } => format!("{up} up, {device}"),
        on => format!("{up} up, {}{}", counted(on.cores(), "core"), if up == 1 { "" } else { " each" }),
    }
}

/// Draws the replicas of a pool in rows and returns where they end.
fn draw_pool(canvas: &mut Canvas, pool: &Pool, up: u32, index: usize, top: f64) -> f64 {
    let cores = pool.on.cores().clamp(1, MOST_CORES);
    let columns = cores.min(8);
    let rows = cores.div_ceil(columns);
    let side = |count: u32| f64::from(count) * (CORE + 2.0) - 2.0 + 2.0 * ROOM;
    let (wide, high) = (side(columns), side(rows));
    let (mut x, mut y) = (LEFT, top);
    let drawn = pool.replicas.min(MOST);
    for replica in 0..drawn {
        if x + wide > WIDTH {
            (x, y) = (LEFT, y + high + ROOM);
        }
        let is_up = replica < up;
        canvas.rect(if is_up { "up" } else { "down" }, [x + 0.5, y + 0.5, wide - 1.0, high - 1.0], 3.0);
        if is_up {
            for core in 0..cores {
                let place = |count: u32| ROOM + f64::from(count) * (CORE + 2.0);
                let corner = (x + place(core % columns), y + place(core / columns));
                canvas.rect(&format!("s{}", index % COLOURS), [corner.0, corner.1, CORE, CORE], 1.5);
            }
        }
        x += wide + ROOM;
    }
    if pool.replicas > drawn {
        canvas.text("faint", (LEFT, y + high + 14.0), Anchor::Start, &format!("and {} more", pool.replicas - drawn));
        return y + high + 18.0;
    }
    y + high
}

/// Draws a row a pool and a column a gear.
fn draw_grid(plan: &Plan) -> String {
    let names = plan.placement.iter().map(|pool| width(&pool.name)).fold(30.0, f64::max).min(LEFT - 20.0) + 8.0;
    let cell = ((WIDTH - names) / plan.gears.len() as f64).min(34.0);
    let row = 24.0;
    let mut canvas = Canvas::default();
    canvas.text("faint", (0.0, 12.0), Anchor::Start, "gear");
    let every = (0.9 * width("00") / cell).ceil().max(1.0) as usize;
    for index in (0..plan.gears.len()).step_by(every) {
        let x = names + (index as f64 + 0.5) * cell;
        canvas.text("faint", (x, 12.0), Anchor::Middle, &index.to_string());
    }
    for (line, pool) in plan.placement.iter().enumerate() {
        let y = 20.0 + line as f64 * row;
        canvas.fitted("", (0.0, y + 15.0), Anchor::Start, &pool.name, names - 8.0);
        for (index, gear) in plan.gears.iter().enumerate() {
            let (up, x) = (gear.replicas_of(pool), names + index as f64 * cell);
            let place = [x + 0.5, y, (cell - 1.0).max(0.5), row - 2.0];
            canvas.rect("band", place, 2.0);
            if up > 0 {
                // Three tints, so that numbers on them stay readable in light and dark.
                let tint = (3 * up).div_ceil(pool.replicas.max(1)).clamp(1, 3);
                canvas.rect(&format!("s{} t{tint}", line % COLOURS), place, 2.0);
                if width(&up.to_string()) <= cell {
                    canvas.text("", (x + 0.5 * cell, y + 15.0), Anchor::Middle, &up.to_string());
                }
            }
        }
    }
    canvas.finish(22.0 + plan.placement.len() as f64 * row, &grid_in_words(plan))
}

fn grid_in_words(plan: &Plan) -> String {
    let of_pool = |pool: &Pool| {
        let up: Vec<String> = plan.gears.iter().map(|gear| gear.replicas_of(pool).to_string()).collect();
        format!("{}: {}", pool.name, up.join(", "))
    };
    format!("Running replicas by gear: {}.", plan.placement.iter().map(of_pool).collect::<Vec<_>>().join("; "))
}

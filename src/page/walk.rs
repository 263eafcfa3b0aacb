//! The path of a request through each gear, as a picture.

use super::formatting::{about, counted, length, ms, rounded, rps};
use super::gears::FEW;
use super::svg::{Anchor, Canvas, WIDTH, width};
use super::{Block, Figure, Given, Seen, text};
use crate::plan::{Dispatch, Gear, Lane, Plan, Stage};

const ROW: f64 = 34.0;
const HEAD: f64 = 24.0;
/// Room between what follows each other, for the arrow.
const STEP: f64 = 26.0;
/// The same where requests leave.
const EXIT_STEP: f64 = 46.0;
const GAP: f64 = 10.0;

pub(crate) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let plan = given.plan;
    let count = plan.gears.len();
    if count <= FEW {
        return vec![Block::Figures((0..count).map(|index| figure(given, index)).collect())];
    }
    vec![
        text("The path at the highest load; the paths of the other gears are under Gears."),
        Block::Figures(vec![figure(given, count - 1)]),
    ]
}

fn name(plan: &Plan, index: usize) -> String {
    format!("Gear {index}, up to {}", rps(plan.gears[index].up_to_rps.get()))
}

/// Draws the walk of one gear.
pub(crate) fn figure(given: &Given<'_>, index: usize) -> Figure {
    let gear = &given.plan.gears[index];
    let seen = given.simulated.ok().and_then(|trials| trials.gear(index));
    Figure {
        finding: format!("{}: {}", name(given.plan, index), shape(gear)),
        note: if exits(gear) == 0 {
            ""
        } else {
            "To the right: the share of the requests that exit early, with enough certainty."
        }
        .to_owned(),
        described: super::gears::does(given.plan, gear, seen).join(" "),
        svg: draw(given.plan, gear, seen),
    }
}

fn shape(gear: &Gear) -> String {
    let lanes: usize = gear.stages.iter().map(|stage| stage.lanes.len()).sum();
    let lanes = counted(lanes as u64, "lane");
    let exits = if exits(gear) == 0 { String::new() } else { ", early exits".to_owned() };
    format!("{}, {lanes}{exits}", length(&gear.stages, "stage"))
}

fn exits(gear: &Gear) -> usize {
    gear.stages.iter().filter(|stage| stage.exit.is_some()).count()
}

/// Where a stage stands.
#[derive(Clone, Copy)]
struct Place {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Place {
    fn top(self) -> (f64, f64) {
        (self.x + 0.5 * self.width, self.y)
    }

    fn bottom(self) -> (f64, f64) {
        (self.x + 0.5 * self.width, self.y + self.height)
    }
}

fn draw(plan: &Plan, gear: &Gear, seen: Option<&Seen>) -> String {
    let mut canvas = Canvas::default();
    let middle = 0.5 * WIDTH;
    let bottom = pill(&mut canvas, (middle, 2.0), "a request arrives");
    let (before, levels) = levels(gear);
    let mut places: Vec<Option<Place>> = vec![None; gear.stages.len()];
    let mut y = bottom + STEP;
    for level in &levels {
        let height = level.iter().map(|&stage| height(&gear.stages[stage])).fold(0.0, f64::max);
        let wide = (WIDTH - GAP * (level.len() - 1) as f64) / level.len() as f64;
        for (column, &stage) in level.iter().enumerate() {
            let x = column as f64 * (wide + GAP);
            let place = Place { x, y, width: wide, height: self::height(&gear.stages[stage]) };
            places[stage] = Some(place);
            draw_stage(&mut canvas, plan, gear, &gear.stages[stage], place);
            draw_exit(&mut canvas, (stage, &gear.stages[stage]), place, seen);
        }
        let exits = level.iter().any(|&stage| gear.stages[stage].exit.is_some());
        y += height + if exits { EXIT_STEP } else { STEP };
    }
    let placed = |stage: usize| places[stage].expect("every stage is in a level");
    for (stage, waits_for) in before.iter().enumerate() {
        if waits_for.is_empty() {
            canvas.arrow(&[(placed(stage).top().0, bottom), placed(stage).top()]);
        }
        for &earlier in waits_for {
            canvas.arrow(&[placed(earlier).bottom(), placed(stage).top()]);
        }
    }
    let end = (middle, y);
    let last = |stage: &usize| !before.iter().flatten().any(|earlier| earlier == stage);
    for stage in (0..gear.stages.len()).filter(last) {
        canvas.arrow(&[placed(stage).bottom(), end]);
    }
    let bottom = pill(&mut canvas, end, "answered");
    canvas.finish(bottom + 2.0, &super::gears::does(plan, gear, seen).join(" "))
}

/// Returns what each stage waits for, and the stages by how many others must have gone before.
fn levels(gear: &Gear) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let before = gear.predecessors();
    let mut depth = vec![0; gear.stages.len()];
    // Validation lets stages wait for earlier ones only.
    for (stage, waits_for) in before.iter().enumerate() {
        depth[stage] = waits_for.iter().map(|&earlier| depth[earlier] + 1).max().unwrap_or(0);
    }
    let deepest = depth.iter().copied().max().unwrap_or(0);
    let of = |level: usize| (0..depth.len()).filter(|&stage| depth[stage] == level).collect();
    (before, (0..=deepest).map(of).collect())
}

fn height(stage: &Stage) -> f64 {
    HEAD + ROW * stage.lanes.len() as f64 + 4.0
}

/// Draws a rounded text whose top middle is at a point, and returns where it ends.
fn pill(canvas: &mut Canvas, (x, y): (f64, f64), text: &str) -> f64 {
    let wide = width(text) + 24.0;
    canvas.rect("pill", [x - 0.5 * wide, y, wide, 24.0], 12.0);
    canvas.text("", (x, y + 16.0), Anchor::Middle, text);
    y + 24.0
}

fn draw_stage(canvas: &mut Canvas, plan: &Plan, gear: &Gear, stage: &Stage, place: Place) {
    canvas.rect("box", [place.x + 0.5, place.y, place.width - 1.0, place.height], 8.0);
    let (left, right) = (place.x + 12.0, place.x + place.width - 12.0);
    let rule = rule(stage);
    canvas.fitted("strong", (left, place.y + 17.0), Anchor::Start, &stage.name, right - left - width(&rule) - 8.0);
    canvas.fitted("faint", (right, place.y + 17.0), Anchor::End, &rule, right - left);
    for (index, lane) in stage.lanes.iter().enumerate() {
        let y = place.y + HEAD + ROW * index as f64;
        canvas.line("grid", &[(left, y), (right, y)]);
        let share = share(stage, index);
        let pool = plan.placement.iter().position(|pool| pool.name == lane.pool).unwrap_or(0);
        canvas.rect(&format!("s{}", pool % 7), [left, y + 6.0, 4.0, ROW - 11.0], 2.0);
        let room = right - left - 12.0;
        canvas.fitted("strong", (left + 12.0, y + 15.0), Anchor::Start, &lane.variant, room - width(&share) - 6.0);
        canvas.text("", (right, y + 15.0), Anchor::End, &share);
        canvas.fitted("faint", (left + 12.0, y + 29.0), Anchor::Start, &runs(plan, gear, lane), room);
    }
}

fn rule(stage: &Stage) -> String {
    let calls = stage.calls.get();
    let calls = if calls == 1.0 { String::new() } else { format!("{} calls a request", rounded(calls)) };
    let rule = match (stage.lanes.len(), stage.dispatch) {
        (1, _) => "",
        (_, Dispatch::Share) => "by share",
        (_, Dispatch::Stay) => "same pool as before",
        (_, Dispatch::Spill) => "first free",
        (_, Dispatch::Deadline) => "first within the SLO",
    };
    [calls, rule.to_owned()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn share(stage: &Stage, index: usize) -> String {
    match (stage.lanes.len(), stage.dispatch) {
        (1, _) => String::new(),
        (_, Dispatch::Share | Dispatch::Stay) => {
            stage.lanes[index].share.map_or_else(String::new, |share| about(share.get()))
        }
        _ => format!("{}.", index + 1),
    }
}

fn runs(plan: &Plan, gear: &Gear, lane: &Lane) -> String {
    let up = plan.pool(&lane.pool).map_or(0, |pool| gear.replicas_of(pool));
    let batch = match (lane.batch, lane.hold_ms.get()) {
        (1, _) => String::new(),
        (batch, 0.0) => format!(", batch ≤ {batch}"),
        (batch, hold) => format!(", batch ≤ {batch}, timeout {}", ms(hold)),
    };
    format!("{} × {up}{batch}", lane.pool)
}

/// Draws where requests leave a stage early.
fn draw_exit(canvas: &mut Canvas, (index, stage): (usize, &Stage), place: Place, seen: Option<&Seen>) {
    let Some(exit) = stage.exit else { return };
    let part = seen.and_then(|seen| seen.exits.get(index)).map_or_else(|| "exit".to_owned(), |part| about(*part));
    let text = format!("≥ {} certain: {part}", exit.certainty_at_least);
    let wide = (width(&text) + 20.0).min(0.5 * place.width - 8.0);
    let (x, y) = (place.x + place.width - 0.5 * wide, place.y + place.height);
    canvas.arrow(&[(x, y), (x, y + 15.0)]);
    canvas.rect("pill", [x - 0.5 * wide, y + 15.0, wide, 22.0], 11.0);
    canvas.fitted("", (x, y + 30.0), Anchor::Middle, &text, wide - 8.0);
}

//! Which planner answers a problem, and what can be asked of it.
//!
//! Each verb looks the planner up, our own or a paper's, and hands over to what [`rooms`] writes once for all.

use crate::base::error::Error;
use crate::facts::{Facts, Parts};
use crate::papers::cascadeserve::CascadeServeRoom;
use crate::papers::infadapter::InfAdapterRoom;
use crate::papers::ipa::IpaRoom;
use crate::plan::Plan;
use crate::problem::{Problem, RoomSettings};
use crate::profile::Bound;
use crate::rooms::{
    self, Answer, Baseline, BaselineKind, BaselineRules, Cascades, Context, Explanation, FrontierPoint, Frontiers,
    Pipeline, PointKey, Relevance, Room, VariantSet,
};
use crate::workload::RecordedLoad;

/// Returns the planner that answers a problem.
///
/// # Errors
/// [`Error::Unsupported`] for rooms that do not plan yet.
pub fn room_of(problem: &Problem) -> Result<&'static dyn Room, Error> {
    let published = problem.room.is_published();
    Ok(match &problem.room {
        RoomSettings::VariantSet(_) if published => &InfAdapterRoom,
        RoomSettings::VariantSet(_) => &VariantSet,
        RoomSettings::Pipeline(_) if published => &IpaRoom,
        RoomSettings::Pipeline(_) => &Pipeline,
        RoomSettings::Cascade(_) if published => &CascadeServeRoom,
        RoomSettings::Cascade(_) => &Cascades,
        RoomSettings::Dropout | RoomSettings::Offload => {
            return Err(Error::Unsupported {
                what: format!("the room `{}` does not plan yet", problem.room.name().as_str()),
                hint: "`variant-set`, `pipeline` and `cascade` do; plans of every room can be simulated".to_owned(),
            });
        }
    })
}

/// Solves a problem with its planner.
///
/// ```
/// use planner::{Answer, Context, Facts, Problem, load, solve};
///
/// let problem = load::<Problem>("problems/digits.toml".as_ref())?.document;
/// let facts = Facts::load(&["profiles/digits.json".into()])?;
/// let Answer::Plan(plan) = solve(&problem, &facts, Context::default())? else { panic!("infeasible") };
/// assert_eq!(plan.max_rps(), problem.workload.max_rps.get());
/// // What cannot be carried is answered with the limits in conflict.
/// let mut beyond = problem.clone();
/// beyond.workload.max_rps = 1e9.try_into().expect("a rate");
/// let Answer::Infeasible(conflict) = solve(&beyond, &facts, Context::default())? else { panic!("feasible") };
/// assert!(conflict.limits.iter().any(|limit| limit.key == "workload.max_rps"));
/// # Ok::<(), planner::Error>(())
/// ```
///
/// # Errors
/// As [`rooms::solve`] and [`room_of`].
pub fn solve(problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error> {
    facts.require_accuracies(problem)?;
    rooms::solve(room_of(problem)?, problem, facts, context)
}

/// Explains one gear of a plan by solving its problem again at the gear's highest load.
///
/// ```
/// use planner::{Facts, Plan, Problem, explain, load};
///
/// let problem = load::<Problem>("problems/digits.toml".as_ref())?.document;
/// let facts = Facts::load(&["profiles/digits.json".into()])?;
/// let plan = load::<Plan>("plans/digits.json".as_ref())?.document;
/// for limit in explain(&plan, &problem, &facts, 0)?.limits {
///     println!("{} is worth loosening", limit.key);
/// }
/// # Ok::<(), planner::Error>(())
/// ```
///
/// # Errors
/// As [`rooms::explain`] and [`room_of`].
pub fn explain(plan: &Plan, problem: &Problem, facts: &Facts, gear: usize) -> Result<Explanation, Error> {
    rooms::explain(room_of(problem)?, plan, problem, facts, &[gear])?.remove(0)
}

/// Explains every gear of a plan, each as [`explain`] does; the facts are worked in once.
///
/// # Errors
/// As [`explain`], for all gears together where it is for none in particular.
pub fn explain_all(plan: &Plan, problem: &Problem, facts: &Facts) -> Result<Vec<Result<Explanation, Error>>, Error> {
    rooms::explain(room_of(problem)?, plan, problem, facts, &(0..plan.gears.len()).collect::<Vec<_>>())
}

/// Returns the choices at a load that no other beats in both price and accuracy, the cheapest first.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use planner::{Facts, Problem, frontier, load};
///
/// let problem = load::<Problem>("problems/digits.toml".as_ref())?.document;
/// let facts = Facts::load(&["profiles/digits.json".into()])?;
/// let points = frontier(&problem, &facts, &BTreeMap::new(), 100.0)?;
/// assert!(points.is_sorted_by(|cheap, dear| cheap.cores < dear.cores && cheap.accuracy < dear.accuracy));
/// # Ok::<(), planner::Error>(())
/// ```
///
/// # Errors
/// As [`rooms::frontier`] and [`room_of`].
pub fn frontier(problem: &Problem, facts: &Facts, parts: &Parts, load_rps: f64) -> Result<Vec<FrontierPoint>, Error> {
    rooms::frontier(room_of(problem)?, problem, facts, parts, load_rps)
}

/// Returns the frontier at each of these loads, with what rivals choose.
///
/// # Errors
/// As [`frontier`].
pub fn frontiers(problem: &Problem, facts: &Facts, parts: &Parts, loads: &[f64]) -> Result<Frontiers, Error> {
    // The papers know cores only.
    let published = problem.room.as_published().filter(|_| !problem.inventory.rents_whole());
    let paper = published.map(|room| room_of(&Problem { room, ..problem.clone() })).transpose()?;
    Frontiers::new((room_of(problem)?, paper), problem, facts, parts, loads)
}

/// Returns the baselines of a kind for the peak that a plan carries: our own planner of the room with a freedom taken away, also
/// where the plan is a paper's.
///
/// # Errors
/// As [`rooms::baselines`] and [`room_of`].
pub fn baselines(
    kind: BaselineKind,
    plan: &Plan,
    problem: &Problem,
    facts: &Facts,
    rules: BaselineRules,
) -> Result<Vec<Baseline>, Error> {
    let ours = Problem { room: problem.room.tail_aware(), ..problem.clone() };
    rooms::baselines(room_of(&ours)?, kind, plan, problem, facts, rules)
}

/// Says which of the asked points of a device must be measured for a problem.
///
/// # Errors
/// As [`rooms::relevance`] and [`room_of`].
pub fn relevance(
    problem: &Problem,
    facts: &Facts,
    asked: (&[PointKey], &str),
    bound: Bound,
    context: Context<'_>,
) -> Result<Relevance, Error> {
    rooms::relevance(room_of(problem)?, problem, facts, asked, bound, context)
}

/// Returns the best plan for a recorded day, with a gear for each period.
///
/// ```
/// use planner::{Facts, Problem, RecordedLoad, load, schedule};
///
/// let problem = load::<Problem>("problems/digits.toml".as_ref())?.document;
/// let facts = Facts::load(&["profiles/digits.json".into()])?;
/// let day = RecordedLoad::of_rates(vec![20.0, 60.0, 40.0], 3600.0);
/// let plan = schedule(&problem, &facts, &day, 3600.0)?.expect("every hour can be carried");
/// assert_eq!(plan.periods.len(), 3);
/// # Ok::<(), planner::Error>(())
/// ```
///
/// # Errors
/// As [`rooms::schedule`] and [`room_of`].
pub fn schedule(problem: &Problem, facts: &Facts, day: &RecordedLoad, period_s: f64) -> Result<Option<Plan>, Error> {
    rooms::schedule(room_of(problem)?, problem, facts, day, period_s)
}

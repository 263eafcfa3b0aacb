//! The two files as text, with a comment for each key.

use std::path::Path;

use super::survey::{Files, Model, Survey};
use crate::profile::{Extent, Feed, JudgeKind};
use crate::tensor::Port;

/// Name of the model list.
pub const MODELS: &str = "models.toml";
/// Name of the problem.
pub const PROBLEM: &str = "problem.toml";
/// Folder of the schemas.
pub const SCHEMAS: &str = ".planner";
/// Name of the profile that the problem rests on, once it is measured.
const PROFILE: &str = "profile.json";
/// Name of the plan.
const PLAN: &str = "plan.json";

/// Returns the model list.
pub fn models(survey: &Survey) -> String {
    let name = quoted(&survey.name);
    let head = format!(
        r#"#:schema {SCHEMAS}/models.schema.json
# The models to measure, found by `planner init`. Paths are relative to this file. Next:
#   planner profile {MODELS} -o {PROFILE}

# The format and its version.
format = "planner.models/1"
# What the variants do, in a word; variants of one task can stand in for each other.
task = {name}

"#
    );
    let variants: String = survey.models.iter().map(variant).collect();
    head + &data(survey) + VARIANTS + &variants
}

/// Explains the keys of a variant once, not at each.
const VARIANTS: &str = r#"
# Each variant:
#   name      the name used everywhere else; unique
#   file      the ONNX file
#   output    the output that is judged, where there are several
#   inputs    names of inputs that the data call otherwise: { ids = "input_ids" }
#   exits     in place of output: outputs of an early-exit network, the first exit first; each becomes a variant
#   stages    in place of file: the files of an early-exit network that is cut into stages (docs/formats/models.md)
#   accuracy  where nothing here judges: { right = 90, of = 100, source = "who counted, and what counts as right" }
"#;

fn data(survey: &Survey) -> String {
    let some = survey.variants().next().map_or("NAME", |model| model.name.as_str());
    let mut text = "[data]\n".to_owned();
    let calibration = survey.data.as_ref().and_then(|data| data.calibration.as_ref());
    match &survey.data {
        Some(data) => {
            text += &inputs(&data.test);
            let hidden = if data.test.labels.is_some() { "" } else { "# " };
            let labels = data.test.labels.as_deref().unwrap_or(Path::new("labels.npy"));
            text += "# The label of each sample, in the same order.\n";
            text += &format!("{hidden}labels = {}\n", quoted(labels));
            text += "# In place of labels: the variant whose answers count as right.\n";
            text += &format!("# reference = {}\n", quoted(some));
            let share = if calibration.is_some() { "In place of [data.calibration]: the" } else { "The" };
            text += &format!(
                "# {share} part of the samples that is set apart to choose thresholds on.\n# calibration_share = 0.5\n"
            );
        }
        None => {
            text += "# TODO: no samples were found here, so inputs are drawn at random and nothing is said about accuracy. Name yours:\n";
            text += "# .npz with arrays named like inputs, .npy, .safetensors, perf_analyzer's .json, or images as IDX (docs/formats/models.md).\n";
            text += "inputs = \"random\"\n# labels = \"labels.npy\"\n";
        }
    }
    for (name, feed) in &survey.feed {
        text += &feed_text(name, feed);
    }
    if let Some(calibration) = calibration {
        text += &format!("\n# Other samples, to choose thresholds on.\n[data.calibration]\n{}", inputs(calibration));
        text += &calibration.labels.as_ref().map(|labels| format!("labels = {}\n", quoted(labels))).unwrap_or_default();
    }
    text + &judge(survey)
}

fn inputs(files: &Files) -> String {
    let (key, comment) = match files.are_images {
        true => ("images", "Samples as IDX, gzipped where the name ends in .gz: of bytes a model sees byte ÷ 255."),
        false => ("inputs", "Arrays named like the models' inputs; the first dimension of each counts samples."),
    };
    format!("# {comment}\n{key} = {}\n", quoted(&files.inputs))
}

/// Says what an input is fed that the data do not hold.
fn feed_text(name: &str, feed: &Feed) -> String {
    let extent = |extent: &Extent| serde_json::Value::from(*extent).to_string();
    let shape = feed.random.as_ref().and_then(|random| random.shape.as_ref());
    let shape = shape.map(|shape| shape.iter().map(extent).collect::<Vec<_>>().join(", ")).unwrap_or_default();
    format!(
        "\n# TODO: the data do not hold this input. Random numbers of a guessed size stand in for it; or:\n#   zeros = [{shape}]\n#   value = 1\n[data.feed.{}]\nrandom = {{ shape = [{shape}] }}\n",
        quoted(name)
    )
}

/// Says what counts as right.
fn judge(survey: &Survey) -> String {
    let is_labelled = survey.data.as_ref().is_some_and(|data| data.test.labels.is_some());
    let kinds = "# What counts as right: top-1, top-k, label, binary, multi-label, number, exact, command, reference or none.\n";
    let text = match survey.judge {
        JudgeKind::TopOne => return format!("\n{kinds}# [judge]\n# kind = \"top-1\"\n"),
        JudgeKind::None if is_labelled => {
            "# TODO: no output fits the labels, so nothing is judged.\nkind = \"none\"\n".to_owned()
        }
        JudgeKind::None => "# Without labels accuracy is unknown.\nkind = \"none\"\n".to_owned(),
        JudgeKind::Number => {
            "kind = \"number\"\n# TODO: how far an answer may be from the label.\nrelative = 0.05\n".to_owned()
        }
        kind => format!("kind = \"{}\"\n", kind.as_str()),
    };
    format!("\n{kinds}[judge]\n{text}")
}

fn variant(model: &Model) -> String {
    let list = |ports: &[Port]| ports.iter().map(|port| one_line(&port.to_string())).collect::<Vec<_>>().join(", ");
    let signature = &model.signature;
    let mut text = format!("\n# {} → {}\n", list(&signature.inputs), list(&signature.outputs));
    if let Some(why) = &model.misfit {
        text += &format!("# Left out: {}.\n", one_line(why));
    }
    if !model.doubts.is_empty() {
        text += &format!(
            "# TODO: several outputs could hold the scores; {} could be meant too.\n",
            one_line(&model.doubts.join(", "))
        );
    }
    if let Some(batch) = signature.inputs.first().and_then(Port::fixed_batch) {
        text += &format!("# It takes exactly {batch} at once: measure with --batches {batch}.\n");
    }
    let mut keys = format!("[[variants]]\nname = {}\nfile = {}\n", quoted(&model.name), quoted(&model.file));
    if let Some(output) = &model.output {
        keys += &format!("output = {}\n", quoted(output));
    }
    let hidden = if model.misfit.is_some() { "# " } else { "" };
    text + &keys.lines().map(|line| format!("{hidden}{line}\n")).collect::<String>()
}

/// Returns the problem; `cores` is what this machine lets a program use.
pub fn problem(survey: &Survey, cores: usize) -> String {
    let name = quoted(&survey.name);
    let variants: Vec<_> = survey.variants().map(|model| quoted(&model.name)).collect();
    let is_unknown = survey.judge == JudgeKind::None && variants.len() > 1;
    let chosen = if is_unknown {
        format!(
            "# Accuracy is unknown, so nothing tells which variant is best: one at a time.\nvariants = [{}]",
            variants[0]
        )
    } else {
        format!("# variants = [{}]", variants.join(", "))
    };
    format!(
        r#"#:schema {SCHEMAS}/problem.schema.json
# What to plan, written by `planner init`: the numbers are there to be changed. When {PROFILE} is measured:
#   planner solve {PROBLEM} -o {PLAN}

# The format and its version.
format = "planner.problem/1"
# A name for people; the plan carries it.
name = {name}
# Which planner answers: variant-set, pipeline, cascade, dropout or offload.
room = "variant-set"
# Whose model is solved: tail-aware (ours, with waiting in it) or published (the paper's).
# formulation = "tail-aware"
# Profiles to plan with, relative to this file.
profiles = ["{PROFILE}"]
# Variants that may be used; all of the profiles where left out.
{chosen}
# The probability that may be left that the SLO is broken because facts were wrong; "none" takes facts as they were measured.
# risk = 0.05
# With risk: how much another profile of the same variants differs, as a standard deviation relative to its latency.
# profile_error = 0.05

[workload]
# The highest rate that the plan must carry, in requests per second.
max_rps = 100
# A recorded load, relative to this file: how often each rate is asked for, and how fast rates change.
# trace = "trace.csv"
# What the recorded rates are multiplied by.
# trace_scale = 1.0
# With risk: how far the real peak may be from max_rps, as a standard deviation relative to it.
# forecast_error = 0.05

[slo]
# The part of requests that must be answered in time, 0 to 1.
quantile = 0.99
# That time, from arrival to answer, in milliseconds.
latency_ms = 100
# Length of windows, in seconds, in each of which that part must be in time too; the whole alone counts where left out. Simulation and
# replay judge it, planning does not.
# window_s = 60

[inventory]
# Cores for all variants together; this machine lets planner use {cores}.
cores = {cores}
# Price of one core for an hour, in USD; 0 where left out.
# price_usd_per_core_hour = 0.04
# Fewest cores that a deployed variant gets; 1 where left out.
# min_cores_per_variant = 1
# In place of cores: kinds of machines, rented whole, with what they have, how many there are and what one costs for an hour.
# machines = [
#   {{ name = "small", device = "cpu", cores = 4, memory_mb = 16000, at_most = 3, price_usd_per_hour = 0.17, profiles = ["{PROFILE}"], boot_ms = 60000, billing = {{ step_s = 1, least_s = 60 }} }},
# ]
# In the room offload: kinds of functions, paid by the call.
# functions = [
#   {{ name = "function", memory_mb = [1769, 3538], memory_mb_per_core = 1769, price_usd_per_gb_second = 0.0000166667, price_usd_per_million_calls = 0.2, cold_start_ms = 250, keep_alive_ms = 300000, concurrency_at_most = 1000 }},
# ]

[goal]
# What to make best: most-accurate, cheapest, fastest, weighted or lexicographic.
kind = "most-accurate"
# With most-accurate: the most cores that may be used; the whole inventory where left out.
# cores_at_most = {cores}
# With cheapest: the least accuracy over requests, 0 to 1.
# accuracy_at_least = 0.9
# In the room cascade: the least accuracy over the requests of all loads together.
# mean_accuracy_at_least = 0.9
# With lexicographic: what is made best first, second and third, and what each level may give away for those after it.
# order = ["accuracy", "cores", "latency"]
# tolerances = {{ accuracy = 0.001, cores = 0 }}
# With weighted: how much accuracy, cores in use and load times count.
# weights = {{ accuracy = 1.0, resource = 0.05, loading = 0.001 }}
# Most gears that the plan may have; as many as the optimum changes where left out.
# gears_at_most = 8
# With a trace: how often an hour the plan should change gear at most.
# changes_per_hour_at_most = 60
# How much accuracy a gear may give away below its highest load because its shares are fixed.
# gear_loss_at_most = 0.01
# Whether every change of gear must fit into the inventory, old and new replicas together; otherwise it is warned of.
# strict_transitions = false

# With formulation = "published": the safety factor on capacity, and the cores that its line is fitted through.
# [published]
# capacity_factor = 0.8
# fit_cores = [1, 2, 4, 8, 16]
# In the room pipeline: the rate that a replica's base cores must sustain, and the weight of a sample in a batch.
# base_rps = 4
# batch_weight = 1e-6
# In the room cascade: the highest threshold that is tried, and the number of ranges of load.
# highest_threshold = 1.0
# load_ranges = 10

# With room = "pipeline": what a request passes through (docs/formats/problem.md), in place of variants above.
# [[stages]]
# name = "first"
{chosen}
# after = []
# calls = 1.0
# lanes_at_most = 1

# With room = "pipeline": how accurate the whole is; the product of its stages, or measured from end to end.
# [accuracy]
# kind = "product"

# With room = "cascade": whether accuracy is proved on samples that the search does not see, how sure, the most models of a
# cascade, and a variant that accuracy is measured against in place of a number, with how much less is allowed.
# [cascade]
# certify = true
# delta = 0.05
# max_length = 3
# reference = "cnn_l"
# loss_at_most = 0.01
"#
    )
}

/// Says what was written and what comes next.
pub fn next(survey: &Survey, folder: &Path) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let (models, problem) = (at(MODELS), at(PROBLEM));
    let (count, all) = (survey.variants().count(), survey.models.len());
    let left = if count < all { format!(", {} left out (see the comments)", all - count) } else { String::new() };
    let data = match &survey.data {
        Some(data) if data.test.labels.is_some() => "",
        Some(_) => ", without labels: name them, or a reference",
        None => ", without samples: inputs are random until you name some under [data]",
    };
    format!(
        "{models}: {count} variants{left}{data}\n{problem}: the question, with numbers to change\n\nnext:\n  \
         planner profile {models} -o {}\n  planner solve {problem} -o {}\n",
        at(PROFILE),
        at(PLAN)
    )
}

/// Returns text as TOML writes it.
fn quoted(text: impl AsRef<Path>) -> String {
    toml::Value::from(text.as_ref().to_string_lossy().into_owned()).to_string()
}

/// Names from a model file may hold anything, and a comment ends with its line.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::{one_line, problem, quoted};
    use crate::base::codec::from_value;
    use crate::cli::init::survey::Survey;
    use crate::problem::Problem;
    use crate::profile::JudgeKind;

    fn empty() -> Survey {
        Survey {
            name: "it's \"mine\"".to_owned(),
            models: Vec::new(),
            data: None,
            feed: std::collections::BTreeMap::new(),
            judge: JudgeKind::TopOne,
        }
    }

    #[test]
    fn names_cannot_break_the_file() {
        assert_eq!(one_line("a\nb"), "a?b");
        for name in ["it's", "a\"b", "a\nb", "ä\\"] {
            let text = format!("name = {}", quoted(name));
            let table: toml::Table = toml::from_str(&text).expect("well-formed");
            assert_eq!(table["name"].as_str(), Some(name));
        }
    }

    /// Every key that the format knows is in the file, so that nobody has to look it up.
    #[test]
    fn every_key_of_a_problem_is_there() {
        let text = problem(&empty(), 4);
        let table: toml::Table = toml::from_str(&text).expect("well-formed");
        let value = serde_json::to_value(table).expect("JSON");
        assert!(from_value::<Problem>(value).is_ok());
        let schema = crate::base::codec::schema::<Problem>();
        let tables = [
            "Workload",
            "Slo",
            "Inventory",
            "Goal",
            "Published",
            "Task",
            "Weights",
            "Machine",
            "Billing",
            "Function",
            "CascadeSettings",
            "Tolerances",
        ];
        let tables = tables.iter().map(|name| &schema["$defs"][name]).chain([&schema]);
        for key in tables.flat_map(|table| table["properties"].as_object().expect("a table").keys()) {
            let is_there = |line: &str| line.trim_start_matches("# ").trim_start_matches('[').starts_with(key.as_str());
            assert!(text.lines().any(is_there) || text.contains(&format!("{key} = ")), "{key}");
        }
    }
}

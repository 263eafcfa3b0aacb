//! Runs the ONNX project's own backend tests through an engine: `cargo run --example onnx_cases FOLDER rten|ort [-v]`, where
//! `scripts/onnx-cases` has written FOLDER. Every case runs and is equal, is refused with a reason, or is wrong; exit 1 where one
//! is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use planner::measure::engines::Engine;
use planner::measure::engines::ort::Ort;
use planner::measure::engines::rten::Rten;
use planner::measure::wiring::signature;
use planner::tensor::{DType, Data, Named, Tensor, read_npz};

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Equal,
    Refused(String),
    Wrong(String),
}

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, engine, rest @ ..] = arguments.as_slice() else { bail!("usage: onnx_cases FOLDER rten|ort [-v]") };
    let engine: Box<dyn Engine> = match engine.as_str() {
        "rten" => Box::new(Rten),
        "ort" => Box::new(Ort::load(std::env::var_os("ORT_DYLIB_PATH").as_deref().map(Path::new))?),
        other => bail!("no engine `{other}`: rten or ort"),
    };
    let mut cases: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    cases.retain(|case| case.join("model.onnx").is_file());
    cases.sort_unstable();
    ensure!(!cases.is_empty(), "{folder} holds no case: write some with scripts/onnx-cases {folder}");
    std::panic::set_hook(Box::new(|_| {}));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        let outcome = catch_unwind(AssertUnwindSafe(|| outcome(engine.as_ref(), case)));
        let outcome = outcome.unwrap_or_else(|_| Outcome::Refused("the engine panicked".to_owned()));
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        let (word, why) = match &outcome {
            Outcome::Equal => ("equal", ""),
            Outcome::Refused(why) => ("refused", why.as_str()),
            Outcome::Wrong(why) => ("WRONG", why.as_str()),
        };
        *counts.entry(word).or_default() += 1;
        if word == "WRONG" || (word == "refused" && rest.first().is_some_and(|flag| flag == "-v")) {
            println!("{word:8} {name}: {}", why.lines().next().unwrap_or_default());
        }
    }
    let count = |word: &str| counts.get(word).copied().unwrap_or(0);
    let (equal, refused, wrong) = (count("equal"), count("refused"), count("WRONG"));
    println!("{}: {} cases: {equal} ran and are equal, {refused} refused, {wrong} wrong", engine.name(), cases.len());
    ensure!(wrong == 0, "{wrong} cases are answered wrongly");
    Ok(())
}

fn outcome(engine: &dyn Engine, case: &Path) -> Outcome {
    match differs(engine, case) {
        Err(refusal) => Outcome::Refused(format!("{refusal:#}")),
        Ok(None) => Outcome::Equal,
        Ok(Some(difference)) => Outcome::Wrong(difference),
    }
}

/// Returns what differs from what the model must give; an error is a refusal.
fn differs(engine: &dyn Engine, case: &Path) -> anyhow::Result<Option<String>> {
    let file = case.join("model.onnx");
    engine.vet(&file, &[])?;
    let taken = signature(engine, &file)?;
    let mut session = engine.open(&file, &[], 1)?;
    let absolute: f64 = fs::read_to_string(case.join("absolute"))?.parse()?;
    for set in 0.. {
        if !case.join(format!("{set}.out.npz")).is_file() {
            ensure!(set > 0, "no data");
            break;
        }
        let given = arrays(case, set, "in")?;
        let mut inputs = Vec::new();
        for port in &taken.inputs {
            let array = given.iter().find(|array| array.name == port.name);
            let array = array.with_context(|| format!("the case has no input {}", port.name))?;
            let declared = port.element.dtype().with_context(|| format!("the input {port} is no tensor"))?;
            let held = engine.holds(declared).with_context(|| format!("{} does not take {declared}", engine.name()))?;
            let tensor = as_declared(&array.tensor, declared);
            let held = tensor.converted(held, false).map_err(|lossy| anyhow::anyhow!("{}: {lossy}", port.name))?;
            inputs.push(Named::new(port.name.clone(), held));
        }
        let run = session.run(&inputs)?;
        for wanted in arrays(case, set, "out")? {
            let Some(found) = run.output(&wanted.name) else { bail!("no output {}", wanted.name) };
            let declared =
                taken.outputs.iter().find(|port| port.name == wanted.name).and_then(|port| port.element.dtype());
            let wanted_tensor =
                declared.map_or(wanted.tensor.clone(), |declared| as_declared(&wanted.tensor, declared));
            if let Some(difference) = difference(found, &wanted_tensor, absolute) {
                return Ok(Some(format!("{}: {difference}", wanted.name)));
            }
        }
    }
    Ok(None)
}

/// The bits of bfloat16 come as 16-bit whole numbers.
fn as_declared(tensor: &Tensor, declared: DType) -> Tensor {
    match (declared, tensor.data()) {
        (DType::BF16, Data::U16(bits)) => {
            let numbers = bits.iter().map(|&bits| half::bf16::from_bits(bits)).collect();
            Tensor::new(tensor.shape().to_vec(), Data::BF16(numbers)).expect("as many")
        }
        _ => tensor.clone(),
    }
}

fn arrays(case: &Path, set: usize, kind: &str) -> anyhow::Result<Vec<Named>> {
    let file = case.join(format!("{set}.{kind}.npz"));
    let names = fs::read_to_string(case.join(format!("{set}.{kind}.names")))?;
    // NumPy writes an archive of nothing for a model without inputs.
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let arrays = read_npz(&file, &fs::read(&file)?)?;
    let named = |(at, name): (usize, &str)| {
        let array = arrays.iter().find(|array| array.name == format!("x{at}"));
        Ok(Named::new(name, array.with_context(|| format!("no array x{at}"))?.tensor.clone()))
    };
    names.split('\n').enumerate().map(named).collect()
}

fn difference(found: &Tensor, wanted: &Tensor, absolute: f64) -> Option<String> {
    if found.shape() != wanted.shape() {
        return Some(format!("shape {:?} where {:?} is right", found.shape(), wanted.shape()));
    }
    if let (Data::String(found), Data::String(wanted)) = (found.data(), wanted.data()) {
        return (found != wanted).then(|| format!("{found:?} where {wanted:?} is right"));
    }
    // As ONNX's own runner compares, but for 16-bit floats, whose last bits engines round differently.
    let relative = if matches!(wanted.dtype(), DType::F16 | DType::BF16) { 1e-2 } else { 1e-3 };
    (0..wanted.data().len()).find_map(|place| {
        let (Some(found), Some(wanted)) = (found.number(place), wanted.number(place)) else {
            return Some("numbers and text".to_owned());
        };
        let is_near = found == wanted
            || (found.is_nan() && wanted.is_nan())
            || (found - wanted).abs() <= absolute + relative * wanted.abs();
        (!is_near).then(|| format!("{found} at {place} where {wanted} is right"))
    })
}

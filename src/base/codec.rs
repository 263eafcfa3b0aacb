//! Reading and writing the project's files.
//!
//! ```text
//! text ──▶ JSON value ──▶ derived JSON Schema: every structural finding ──▶ Rust type ──▶ rules between fields
//! ```
//!
//! The schema is the contract that `docs/schema/` publishes, so a reader gets all structural findings at once and users
//! can hold their own files against the same rules.

use std::path::{Path, PathBuf};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::base::error::Error;
use crate::base::files::read;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::json;
use crate::base::near;
use crate::base::text::decoded;

/// A noun that lives in files of its own.
pub trait Document: Serialize + DeserializeOwned + JsonSchema {
    /// The name in the `format` key, like `planner.plan/1`.
    const FORMAT: &'static str;
    /// What people call it, like `plan`.
    const NOUN: &'static str;

    /// Returns everything that is wrong between the fields.
    fn rules(&self) -> Findings;
}

/// A document that loaded, with what is doubtful about it and the digest of its bytes.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The document.
    pub document: T,
    /// Warnings and notes; never errors.
    pub findings: Findings,
    /// The file as the user named it.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// Loads a document from a JSON file, or TOML where the name ends in `.toml`.
///
/// ```
/// use planner::{Error, Plan, Problem, load};
///
/// let problem = load::<Problem>("problems/digits.toml".as_ref())?.document;
/// println!("{}: up to {} requests/s", problem.name, problem.workload.max_rps);
/// // A document of another kind is answered with findings: file, key, cause and what helps.
/// let Err(Error::Input(findings)) = load::<Plan>("problems/digits.toml".as_ref()) else { panic!("a problem is no plan") };
/// assert!(findings.has_errors());
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] with every finding: unreadable, malformed, off the schema, or against the rules between fields.
pub fn load<T: Document>(path: &Path) -> Result<Loaded<T>, Error> {
    let bytes = read(path)?;
    let value = parse_value(path, &bytes)?;
    let (document, findings) = from_value(value).map_err(|findings| findings.in_file(path))?;
    Ok(Loaded { document, findings: findings.in_file(path), path: path.to_owned(), sha256: sha256(&bytes) })
}

/// Parses JSON, or TOML where the name ends in `.toml`.
///
/// # Errors
/// A finding with the place of the mistake, or one for each number that is not finite.
pub fn parse_value(path: &Path, bytes: &[u8]) -> Result<Value, Error> {
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    let language = if is_toml { "TOML" } else { "JSON" };
    let syntax = |cause: String| {
        let is_misnamed = !is_toml && decoded(bytes).is_ok_and(|text| toml::from_str::<toml::Table>(&text).is_ok());
        let action = if is_misnamed {
            "it is TOML: give it a name that ends in .toml".to_owned()
        } else {
            format!("the file must be well-formed {language}")
        };
        Findings::from(Finding::error(Code::Syntax, "", cause, action)).in_file(path)
    };
    let text = decoded(bytes).map_err(|finding| Findings::from(finding).in_file(path))?;
    if !is_toml && text.trim().is_empty() {
        return Err(Findings::from(Finding::error(Code::Syntax, "", "the file is empty", "it must hold JSON"))
            .in_file(path)
            .into());
    }
    if !is_toml {
        return json::parse(&text).map_err(|error| syntax(error.to_string()).into());
    }
    let table: toml::Table = toml::from_str(&text).map_err(|error| syntax(error.to_string().trim_end().to_owned()))?;
    let mut findings = Findings::default();
    let value = json_of_toml(toml::Value::Table(table), "", &mut findings);
    findings.in_file(path).or(value).map_err(Error::from)
}

/// Turns a JSON value into a document: first the schema, then the rules between fields.
///
/// # Errors
/// Every finding, where at least one is an error.
pub fn from_value<T: Document>(value: Value) -> Result<(T, Findings), Findings> {
    check_format::<T>(&value)?;
    structural::<T>(&value).or(())?;
    let document: T = serde_json::from_value(whole_numbers(value)).map_err(|error| {
        Finding::error(Code::Syntax, "", error.to_string(), "see docs/formats for the allowed keys")
    })?;
    let findings = document.rules();
    findings.clone().or((document, findings))
}

/// Returns the JSON Schema of a document, as `docs/schema/` publishes it.
#[must_use]
pub fn schema<T: Document>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    schema["title"] = Value::from(T::FORMAT);
    bound_integers(&mut schema);
    schema
}

/// Says in the schema how large an integer may be, so that a larger one is a finding with its place.
fn bound_integers(schema: &mut Value) {
    if schema["format"] == "uint32" && schema.get("maximum").is_none() {
        schema["maximum"] = Value::from(u32::MAX);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(bound_integers),
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        _ => {}
    }
}

/// Turns numbers like `4.0`, which are integers to JSON Schema but not to serde, into `4`.
fn whole_numbers(value: Value) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => Value::from(float as i64),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, whole_numbers(value))).collect(),
        other => other,
    }
}

/// Returns the bytes of a document: indented JSON with a final line break.
///
/// # Panics
/// Never: documents hold only finite numbers and string keys.
#[must_use]
pub fn to_bytes<T: Serialize>(document: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(document).expect("documents hold only finite numbers and string keys");
    bytes.push(b'\n');
    bytes
}

/// Returns the SHA-256 of some bytes in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn json_of_toml(value: toml::Value, key: &str, findings: &mut Findings) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Boolean(truth) => Value::from(truth),
        toml::Value::Datetime(moment) => Value::from(moment.to_string()),
        toml::Value::Float(number) => {
            if !number.is_finite() {
                let cause = format!("{number} is not a finite number");
                findings.push(Finding::error(Code::OutOfRange, key, cause, "write a finite number"));
            }
            Value::from(number)
        }
        toml::Value::Array(items) => {
            let items = items.into_iter().enumerate();
            items.map(|(index, item)| json_of_toml(item, &format!("{key}[{index}]"), findings)).collect()
        }
        toml::Value::Table(table) => {
            let dot = if key.is_empty() { "" } else { "." };
            let entries = table.into_iter();
            Value::Object(
                entries
                    .map(|(name, item)| {
                        let item = json_of_toml(item, &format!("{key}{dot}{name}"), findings);
                        (name, item)
                    })
                    .collect(),
            )
        }
    }
}

/// Refuses another noun or version first: every other finding about it would mislead.
fn check_format<T: Document>(value: &Value) -> Result<(), Finding> {
    let found = match value.get("format") {
        Some(Value::String(format)) if format == T::FORMAT => return Ok(()),
        Some(format) => format!("the `format` is {format}"),
        None => "there is no `format` key".to_owned(),
    };
    let action = format!("{} {} file begins with `format = \"{}\"`", article(T::NOUN), T::NOUN, T::FORMAT);
    Err(Finding::error(Code::Format, "format", found, action))
}

fn structural<T: Document>(value: &Value) -> Findings {
    let schema = schema::<T>();
    let validator = Validator::new(&schema).expect("a derived schema is a valid schema");
    let mut findings = Findings::default();
    for error in validator.iter_errors(value) {
        describe(&error, &schema, &mut findings);
    }
    findings
}

/// Turns a schema violation into findings in the user's words.
fn describe(error: &ValidationError<'_>, schema: &Value, findings: &mut Findings) {
    let key = key_of_pointer(error.instance_path().as_str());
    let under = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    let found = brief(error.instance());
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                let cause = "no such key in this format";
                let action = near_miss(name, error, schema);
                findings.push(Finding::error(Code::UnknownField, under(&cut_short(name)), cause, action));
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            findings.push(Finding::error(Code::MissingField, under(name), "the key is missing", "add it"));
        }
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(single) => single.to_string(),
                TypeKind::Multiple(several) => {
                    several.iter().map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or ")
                }
            };
            let cause = format!("{found} is no {wanted}");
            findings.push(Finding::error(Code::WrongType, key, cause, format!("write {} {wanted}", article(&wanted))));
        }
        ValidationErrorKind::Minimum { limit } => {
            let cause = format!("{found} is too small");
            findings.push(Finding::error(Code::OutOfRange, key, cause, format!("at least {limit}")));
        }
        ValidationErrorKind::Maximum { limit } => {
            let cause = format!("{found} is too large");
            findings.push(Finding::error(Code::OutOfRange, key, cause, format!("at most {limit}")));
        }
        ValidationErrorKind::Enum { options } => {
            findings.push(unknown_word(key, error.instance(), options.as_array().into_iter().flatten()));
        }
        ValidationErrorKind::Constant { expected_value } => {
            let cause = format!("{found} is not known here");
            findings.push(Finding::error(Code::UnknownWord, key, cause, format!("write {expected_value}")));
        }
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            describe_alternatives(context, error, schema, findings);
        }
        _ => findings.push(Finding::error(Code::WrongType, key, error.to_string(), "see docs/formats")),
    }
}

/// A tagged union: reports what is wrong with the alternative that was meant, or which alternatives there are.
fn describe_alternatives(
    context: &[Vec<ValidationError<'static>>],
    error: &ValidationError<'_>,
    schema: &Value,
    findings: &mut Findings,
) {
    let is_tag = |error: &ValidationError<'static>| {
        matches!(error.kind(), ValidationErrorKind::Constant { .. } | ValidationErrorKind::Enum { .. })
    };
    if let Some(meant) = context.iter().find(|errors| !errors.iter().any(is_tag)) {
        for inner in meant {
            describe(inner, schema, findings);
        }
        return;
    }
    let words = context.iter().flatten().flat_map(|error| match error.kind() {
        ValidationErrorKind::Constant { expected_value } => std::slice::from_ref(&**expected_value),
        ValidationErrorKind::Enum { options } => options.as_array().map_or(&[][..], Vec::as_slice),
        _ => &[],
    });
    let tag = context.iter().flatten().find(|error| is_tag(error));
    let key = key_of_pointer(tag.map_or(error.instance_path(), |tag| tag.instance_path()).as_str());
    findings.push(unknown_word(key, tag.map_or(error.instance(), |tag| tag.instance()), words));
}

fn unknown_word<'a>(key: String, found: &Value, known: impl Iterator<Item = &'a Value>) -> Finding {
    let known: Vec<&Value> = known.collect();
    let all = format!("one of {}", known.iter().map(|word| brief(word)).collect::<Vec<_>>().join(", "));
    let words = known.iter().filter_map(|word| word.as_str());
    let action = near::hint(found.as_str().unwrap_or_default(), words, all);
    Finding::error(Code::UnknownWord, key, format!("{} is not known here", brief(found)), action)
}

/// Names the key that was meant, or those that exist beside an unknown one.
fn near_miss(name: &str, error: &ValidationError<'_>, schema: &Value) -> String {
    let keyword = error.schema_path().as_str();
    let table = keyword.rsplit_once('/').and_then(|(table, _)| schema.pointer(table));
    let properties = table.and_then(|table| table.get("properties")?.as_object());
    let known: Vec<&str> = properties.into_iter().flatten().map(|(known, _)| known.as_str()).collect();
    let all = if known.is_empty() { "remove it".to_owned() } else { format!("keys here are {}", known.join(", ")) };
    near::hint(name, known, all)
}

fn brief(value: &Value) -> String {
    match value {
        Value::Object(_) => "a table".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("`{}`", cut_short(text)),
        other => other.to_string(),
    }
}

/// Returns as much of a text from a file as an error shows of it.
fn cut_short(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text.to_owned(),
    }
}

/// Turns `/gears/2/stages` into `gears[2].stages`.
fn key_of_pointer(pointer: &str) -> String {
    let mut key = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            key.push_str(&format!("[{part}]"));
        } else {
            if !key.is_empty() {
                key.push('.');
            }
            key.push_str(&part);
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::{from_value, key_of_pointer, load};
    use crate::base::files::write_atomic;
    use crate::problem::Problem;
    use serde_json::json;

    fn problem() -> serde_json::Value {
        json!({
            "format": "planner.problem/1", "name": "p", "room": "variant-set", "profiles": ["a.json"],
            "workload": { "max_rps": 10 }, "slo": { "quantile": 0.99, "latency_ms": 20 },
            "inventory": { "cores": 4 }, "goal": { "kind": "most-accurate" }
        })
    }

    #[test]
    fn a_good_problem_loads() {
        let (problem, findings) = from_value::<Problem>(problem()).expect("it is good");
        assert_eq!(problem.inventory.cores, 4);
        assert!(findings.0.is_empty());
    }

    #[test]
    fn an_error_shows_the_beginning_of_a_long_word() {
        let long = "é".repeat(100_000);
        let mut bad = problem();
        (bad["goal"]["kind"], bad[&long]) = (json!(long), json!(1));
        let said = from_value::<Problem>(bad).expect_err("no such words").to_string();
        assert!(said.len() < 2_000 && said.contains("… (100000 characters)"), "{} bytes", said.len());
    }

    #[test]
    fn stages_with_more_combinations_than_a_number_holds_are_refused() {
        let mut many = problem();
        many["room"] = json!("pipeline");
        let stage = |index: usize| json!({ "name": format!("s{index}"), "variants": [format!("a{index}"), format!("b{index}")] });
        many["stages"] = (0..80).map(stage).collect();
        let combination = (0..80).map(|index| format!("a{index}")).collect::<Vec<_>>();
        let combination = json!({ "variants": combination, "right": 1, "of": 2 });
        many["accuracy"] = json!({ "kind": "measured", "combinations": [combination] });
        let said = from_value::<Problem>(many).expect_err("the others are missing").to_string();
        assert!(said.contains("combinations were measured"), "{said}");
    }

    #[test]
    fn every_structural_finding_comes_at_once() {
        let mut bad = problem();
        bad["workload"]["max_rps"] = json!(-1);
        bad["slo"]["quantile"] = json!("high");
        bad["inventory"]["cors"] = json!(3);
        bad["goal"]["kind"] = json!("quickest");
        bad.as_object_mut().expect("a table").remove("name");
        let findings = from_value::<Problem>(bad).expect_err("five mistakes");
        let mut seen: Vec<_> = findings.0.iter().map(|f| (f.code.as_str(), f.key.as_str())).collect();
        seen.sort_unstable();
        let expected = [
            ("missing-field", "name"),
            ("out-of-range", "workload.max_rps"),
            ("unknown-field", "inventory.cors"),
            ("unknown-word", "goal.kind"),
            ("wrong-type", "slo.quantile"),
        ];
        assert_eq!(seen, expected);
        let hint = &findings.0.iter().find(|f| f.code.as_str() == "unknown-field").expect("seen above").action;
        assert_eq!(hint, "did you mean `cores`?");
    }

    #[test]
    fn pointers_become_keys() {
        assert_eq!(key_of_pointer("/gears/2/stages/0/lanes"), "gears[2].stages[0].lanes");
        assert_eq!(key_of_pointer(""), "");
    }

    #[test]
    fn not_finite_numbers_in_toml_are_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("p.toml");
        write_atomic(&path, b"format = \"planner.problem/1\"\n[slo]\nlatency_ms = nan\n").expect("writable");
        let error = load::<Problem>(&path).expect_err("nan").to_string();
        assert!(error.contains("slo.latency_ms: NaN is not a finite number"), "{error}");
    }
}

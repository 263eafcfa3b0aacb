//! What a model is fed: its inputs matched with the data by name, converted to the types that the engine holds, and put
//! together into batches.
//!
//! ```text
//! Signature ─┐
//! Samples   ─┼─▶ Feeder ──batch of these samples──▶ the inputs of one call, in the model's order
//! [data]    ─┘
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::engines::Engine;
use crate::base::finding::{Code, Finding, Findings};
use crate::profile::{BatchAxis, DataFiles, Extent, Feed, RandomFeed};
use crate::tensor::{DType, Data, Named, Port, Samples, Signature, Size, Tensor, elements};

/// Most bytes that are drawn at random for one input.
const MOST_RANDOM_BYTES: usize = 1 << 26;

/// What a model is fed.
#[derive(Debug)]
pub struct Feeder<'a> {
    inputs: Vec<Fed<'a>>,
    fixed_batch: Option<usize>,
    /// What somebody should know, like which names were matched.
    pub notes: Vec<String>,
}

/// One input.
#[derive(Debug)]
struct Fed<'a> {
    name: String,
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    /// The same for every call.
    Constant(Tensor),
    /// A row for each sample.
    Rows(Rows<'a>),
}

#[derive(Debug)]
struct Rows<'a> {
    /// The first dimension counts samples; where there are more samples than rows it begins again.
    tensor: Cow<'a, Tensor>,
    /// Where the dimension that counts samples stands in the model.
    axis: usize,
    ragged: Option<Ragged>,
}

/// Samples of varying length along their first dimension.
#[derive(Debug)]
struct Ragged {
    lengths: Vec<usize>,
    pad: f64,
    /// Whether the model wants all samples of one length, whatever the longest is.
    keeps_length: bool,
}

/// Everything that the inputs of a model are made from.
#[derive(Clone, Copy)]
pub struct Pantry<'a> {
    pub samples: &'a Samples,
    pub data: &'a DataFiles,
    /// The name in the data of each input whose name there is another.
    pub names: &'a BTreeMap<String, String>,
    pub engine: &'a dyn Engine,
}

impl<'a> Feeder<'a> {
    /// Matches the inputs of a model with the data.
    ///
    /// # Errors
    /// Findings for each input that nothing feeds, or that takes something else than the data hold.
    pub fn new(signature: &Signature, pantry: Pantry<'a>) -> Result<Self, Findings> {
        let mut feeder = Feeder { inputs: Vec::new(), fixed_batch: None, notes: Vec::new() };
        let lonely = pantry.lonely_pair(signature);
        if let Some((port, array)) = lonely.filter(|(port, array)| !array.name.is_empty() && port.name != array.name) {
            feeder.notes.push(format!("the input {} is fed from `{}`, the only array left", port.name, array.name));
        }
        let mut findings = Findings::default();
        for port in &signature.inputs {
            match pantry.source(port, lonely.filter(|(lonely, _)| lonely.name == port.name).map(|(_, array)| array)) {
                Ok((source, fixed)) => {
                    if let Some((fixed, before)) = fixed.zip(feeder.fixed_batch).filter(|(now, before)| now != before) {
                        let cause = format!("its inputs take exactly {before} and {fixed} samples at once");
                        findings.push(Finding::error(
                            Code::BadModel,
                            "",
                            cause,
                            "no batch fits both; name `batch_axis`",
                        ));
                    }
                    feeder.fixed_batch = feeder.fixed_batch.or(fixed);
                    feeder.inputs.push(Fed { name: port.name.clone(), source });
                }
                Err(finding) => findings.push(finding),
            }
        }
        findings.or(feeder)
    }

    /// Returns how many samples the model takes at once, where that is fixed.
    #[must_use]
    pub const fn fixed_batch(&self) -> Option<usize> {
        self.fixed_batch
    }

    /// Returns the inputs of a call with these samples. A model that takes more at once gets the last one again.
    #[must_use]
    pub fn batch(&self, numbers: &[usize]) -> Vec<Named> {
        let mut numbers = numbers.to_vec();
        if let Some((fixed, &last)) = self.fixed_batch.zip(numbers.last())
            && numbers.len() < fixed
        {
            numbers.resize(fixed, last);
        }
        let input = |fed: &Fed<'_>| {
            let tensor = match &fed.source {
                Source::Constant(tensor) => tensor.clone(),
                Source::Rows(rows) => rows.batch(&numbers),
            };
            Named::new(fed.name.clone(), tensor)
        };
        self.inputs.iter().map(input).collect()
    }
}

impl Rows<'_> {
    fn batch(&self, numbers: &[usize]) -> Tensor {
        let count = self.tensor.samples();
        let rows = self.tensor.rows(numbers.iter().map(|number| number % count));
        let rows = match &self.ragged {
            Some(ragged) => ragged.padded(rows, numbers),
            None => rows,
        };
        rows.with_first_at(self.axis)
    }
}

impl Ragged {
    /// Cuts rows to the longest of them and fills the others up.
    fn padded(&self, rows: Tensor, numbers: &[usize]) -> Tensor {
        let whole = rows.shape()[1];
        let length_of = |number: &usize| self.lengths[number % self.lengths.len()].min(whole);
        let longest =
            if self.keeps_length { whole } else { numbers.iter().map(length_of).max().unwrap_or(0).max(1).min(whole) };
        let step: usize = rows.shape()[2..].iter().product();
        let mut shape = rows.shape().to_vec();
        shape[1] = longest;
        let lengths: Vec<usize> = numbers.iter().map(length_of).collect();
        let pad = self.pad;
        let place = |place: usize| {
            let (row, within) = (place / (longest * step).max(1), place % (longest * step).max(1));
            (within / step.max(1) < lengths[row]).then_some(row * whole * step + within)
        };
        let all = numbers.len() * longest * step;
        let places = || (0..all).map(place);
        let data = match rows.data() {
            Data::F16(values) => Data::F16(filled(values, places(), half::f16::from_f64(pad))),
            Data::BF16(values) => Data::BF16(filled(values, places(), half::bf16::from_f64(pad))),
            Data::F32(values) => Data::F32(filled(values, places(), pad as f32)),
            Data::F64(values) => Data::F64(filled(values, places(), pad)),
            Data::I8(values) => Data::I8(filled(values, places(), pad as i8)),
            Data::U8(values) => Data::U8(filled(values, places(), pad as u8)),
            Data::I16(values) => Data::I16(filled(values, places(), pad as i16)),
            Data::U16(values) => Data::U16(filled(values, places(), pad as u16)),
            Data::I32(values) => Data::I32(filled(values, places(), pad as i32)),
            Data::U32(values) => Data::U32(filled(values, places(), pad as u32)),
            Data::I64(values) => Data::I64(filled(values, places(), pad as i64)),
            Data::U64(values) => Data::U64(filled(values, places(), pad as u64)),
            Data::Bool(values) => Data::Bool(filled(values, places(), pad != 0.0)),
            Data::String(values) => Data::String(filled(values, places(), String::new())),
        };
        Tensor::new(shape, data).expect("as many elements as were counted")
    }
}

/// Returns the values at some places, and padding where there is no place.
fn filled<T: Clone>(values: &[T], places: impl Iterator<Item = Option<usize>>, pad: T) -> Vec<T> {
    places.map(|place| place.map_or_else(|| pad.clone(), |place| values[place].clone())).collect()
}

impl<'a> Pantry<'a> {
    fn name<'p>(&'p self, port: &'p Port) -> &'p str {
        self.names.get(&port.name).map_or(port.name.as_str(), String::as_str)
    }

    fn feed(&self, port: &Port) -> Option<&'a Feed> {
        self.data.feed.get(self.name(port)).or_else(|| self.data.feed.get(&port.name))
    }

    fn array(&self, name: &str) -> Option<&'a Named> {
        self.samples.arrays.iter().find(|array| array.name == name)
    }

    /// Returns the one input that no name matches with the one array that no name matches.
    fn lonely_pair<'s>(&self, signature: &'s Signature) -> Option<(&'s Port, &'a Named)> {
        let is_fed = |port: &Port| {
            self.array(self.name(port)).is_some()
                || self
                    .feed(port)
                    .is_some_and(|feed| feed.zeros.is_some() || feed.value.is_some() || feed.random.is_some())
        };
        let is_lengths = |array: &Named| self.data.feed.values().any(|feed| feed.lengths.as_ref() == Some(&array.name));
        let is_taken = |array: &Named| signature.inputs.iter().any(|port| self.name(port) == array.name);
        let mut ports = signature.inputs.iter().filter(|port| !is_fed(port));
        let mut arrays = self.samples.arrays.iter().filter(|array| !is_taken(array) && !is_lengths(array));
        match (ports.next(), ports.next(), arrays.next(), arrays.next()) {
            (Some(port), None, Some(array), None) => Some((port, array)),
            _ => None,
        }
    }

    /// Returns what feeds an input, and how many samples it takes at once where that is fixed.
    fn source(&self, port: &Port, lonely: Option<&'a Named>) -> Result<(Source<'a>, Option<usize>), Finding> {
        let declared = port.element.dtype().ok_or_else(|| {
            let cause = format!("the input {port} is no tensor");
            Finding::error(Code::BadModel, "", cause, "export the model with tensors as inputs")
        })?;
        let held = self.engine.holds(declared).ok_or_else(|| {
            let name = self.engine.name();
            let cause = format!("the input {port}: engine {name} does not take {declared}");
            let action = "try --engine ort, which takes every type: scripts/onnxruntime fetches its library";
            Finding::error(Code::BadModel, "", cause, action)
        })?;
        let kind = Kind { declared, held };
        let feed = self.feed(port);
        if let Some(zeros) = feed.and_then(|feed| feed.zeros.as_ref()) {
            return Ok((drawn(port, kind, zeros, self.samples.count(), || 0.0)?, None));
        }
        if let Some(value) = feed.and_then(|feed| feed.value.as_ref()) {
            return constant(port, kind, value);
        }
        if let Some(random) = feed.and_then(|feed| feed.random.as_ref()) {
            return self.random(port, kind, random, feed);
        }
        match self.array(self.name(port)).or(lonely) {
            Some(array) => self.rows(port, kind, &array.tensor, feed),
            None if self.data.is_random() => {
                self.random(port, kind, &RandomFeed { shape: None, low: 0.0, high: None }, feed)
            }
            None => Err(self.unfed(port)),
        }
    }

    fn unfed(&self, port: &Port) -> Finding {
        let names: Vec<&str> = self.samples.arrays.iter().map(|array| array.name.as_str()).collect();
        let there = match names[..] {
            [] | [""] => "the data hold one array without a name".to_owned(),
            _ => format!("the data hold {}", names.join(", ")),
        };
        let name = &port.name;
        let action = format!(
            "name its array under the variant, inputs = {{ \"{name}\" = \"...\" }}, or say under [data.feed.\"{name}\"] what it \
             is fed: zeros, value or random"
        );
        Finding::error(Code::BadData, "", format!("nothing feeds the input {port}: {there}"), action)
    }

    /// Feeds an input from an array.
    fn rows(
        &self,
        port: &Port,
        kind: Kind,
        array: &'a Tensor,
        feed: Option<&Feed>,
    ) -> Result<(Source<'a>, Option<usize>), Finding> {
        let array =
            if self.samples.are_pixels && kind.declared.is_float() { pixels(array) } else { Cow::Borrowed(array) };
        let ragged =
            feed.and_then(|feed| feed.lengths.as_ref()).map(|name| self.lengths(port, name, &array)).transpose()?;
        let Placed { axis, fixed_batch, channel } =
            placed(port, &array.shape()[1..], feed.and_then(|feed| feed.batch_axis), self.samples.are_pixels)?;
        let keeps_length = port.shape.as_ref().is_some_and(|sizes| {
            let within: Vec<&Size> =
                sizes.iter().enumerate().filter(|(place, _)| *place != axis).map(|(_, size)| size).collect();
            matches!(within.first(), Some(Size::Fixed(_)))
        });
        let ragged =
            ragged.map(|lengths| Ragged { lengths, pad: feed.and_then(|feed| feed.pad).unwrap_or(0.0), keeps_length });
        let mut tensor = kind.convert(port, array, self.data.cast)?;
        if channel {
            let mut shape = tensor.shape().to_vec();
            shape.insert(1, 1);
            tensor = Cow::Owned(tensor.into_owned().reshaped(shape).expect("a dimension of 1 changes no count"));
        }
        Ok((Source::Rows(Rows { tensor, axis, ragged }), fixed_batch))
    }

    /// Returns how long each sample is.
    fn lengths(&self, port: &Port, name: &str, array: &Tensor) -> Result<Vec<usize>, Finding> {
        let key = format!("data.feed.{}.lengths", port.name);
        let bad = |cause: String, action: &str| Finding::error(Code::BadData, key.clone(), cause, action);
        let lengths = self.array(name).ok_or_else(|| {
            bad(format!("no array is called `{name}`"), "name an array of the file that `inputs` names")
        })?;
        let whole = lengths.tensor.converted(DType::U32, false).ok();
        let whole = whole.filter(|whole| whole.data().len() == lengths.tensor.samples());
        let Some(Data::U32(lengths)) = whole.as_ref().map(Tensor::data) else {
            return Err(bad(format!("`{name}` is no row of whole numbers"), "each sample has one length, 1 or more"));
        };
        let Some(&longest) = array.shape().get(1) else {
            return Err(bad(
                "its samples are single numbers".to_owned(),
                "only samples of one dimension or more have a length",
            ));
        };
        match lengths.iter().position(|&length| length == 0 || length as usize > longest) {
            Some(sample) => Err(bad(
                format!("sample {sample} has length {}, and there are {longest} entries", lengths[sample]),
                "each length is from 1 to the size of the array's second dimension",
            )),
            None => Ok(lengths.iter().map(|&length| length as usize).collect()),
        }
    }

    /// Draws an input at random.
    fn random(
        &self,
        port: &Port,
        kind: Kind,
        random: &RandomFeed,
        feed: Option<&Feed>,
    ) -> Result<(Source<'a>, Option<usize>), Finding> {
        let (shape, fixed) = match &random.shape {
            Some(shape) => (shape.clone(), None),
            None => extents(port, feed.and_then(|feed| feed.batch_axis))?,
        };
        let (low, high) = (
            random.low,
            random.high.unwrap_or(if kind.declared.is_float() { random.low + 1.0 } else { random.low + 2.0 }),
        );
        let seed = port.name.bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut number = || {
            let share = (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            let number = low + share * (high - low);
            if kind.declared.is_float() { number } else { number.floor() }
        };
        Ok((drawn(port, kind, &shape, self.samples.count(), &mut number)?, fixed))
    }
}

/// What a model declares an input to hold, and what the engine holds it as.
#[derive(Clone, Copy)]
struct Kind {
    declared: DType,
    held: DType,
}

impl Kind {
    fn convert<'t>(self, port: &Port, tensor: Cow<'t, Tensor>, cast: bool) -> Result<Cow<'t, Tensor>, Finding> {
        if tensor.dtype() == self.declared && self.declared == self.held {
            return Ok(tensor);
        }
        let declared = tensor.converted(self.declared, cast);
        declared.and_then(|tensor| tensor.converted(self.held, false)).map(Cow::Owned).map_err(|lossy| {
            let cause = format!("the input {port}: the samples are {}, and {lossy}", tensor.dtype());
            let action = match (lossy.from.is_float(), lossy.to.is_float(), lossy.number) {
                (true, true, Some(_)) => {
                    "save them in that type, or let them be rounded with cast = true under [data]".to_owned()
                }
                (true, false, _) => {
                    format!("save them as whole numbers: an IDX file of type 0c, or a NumPy array of {}", self.declared)
                }
                _ => format!("save them as {}", self.declared),
            };
            Finding::error(Code::BadData, "", cause, action)
        })
    }

    /// Returns numbers as a tensor of this kind.
    fn tensor(self, port: &Port, shape: Vec<usize>, numbers: Vec<f64>) -> Result<Tensor, Finding> {
        let counted = "as many numbers as were counted";
        if self.declared.is_float() {
            let tensor = Tensor::new(shape, Data::F64(numbers)).expect(counted);
            return Ok(self.convert(port, Cow::Owned(tensor), true)?.into_owned());
        }
        let whole = |number: &f64| (number.fract() == 0.0 && number.abs() < 9e15).then_some(*number as i64);
        let numbers = numbers.iter().map(whole).collect::<Option<Vec<i64>>>().ok_or_else(|| {
            let key = format!("data.feed.{}", port.name);
            Finding::error(Code::BadData, key, format!("the input {port} takes whole numbers"), "give such")
        })?;
        let tensor = Tensor::new(shape, Data::I64(numbers)).expect(counted);
        Ok(self.convert(port, Cow::Owned(tensor), false)?.into_owned())
    }
}

/// Returns a tensor of numbers that are made one by one, a row for each sample where the shape has a batch.
fn drawn(
    port: &Port,
    kind: Kind,
    shape: &[Extent],
    samples: usize,
    mut number: impl FnMut() -> f64,
) -> Result<Source<'static>, Finding> {
    let key = format!("data.feed.{}", port.name);
    let bad = |cause: String, action: &str| Finding::error(Code::BadData, key.clone(), cause, action);
    let axis = shape.iter().position(|extent| *extent == Extent::Batch);
    if shape.iter().filter(|extent| **extent == Extent::Batch).count() > 1 {
        return Err(bad("its shape names \"batch\" twice".to_owned(), "one dimension counts samples"));
    }
    let fixed: Vec<usize> = shape
        .iter()
        .filter_map(|extent| if let Extent::Fixed(size) = extent { Some(*size as usize) } else { None })
        .collect();
    let of_one = elements(&fixed).filter(|&count| count <= MOST_RANDOM_BYTES / 8);
    let of_one = of_one.ok_or_else(|| bad(format!("{port} is too large to be made up"), "give it from a file"))?;
    let Some(axis) = axis else {
        let numbers = (0..of_one).map(|_| number()).collect();
        return Ok(Source::Constant(kind.tensor(port, fixed, numbers)?));
    };
    let rows = samples.min(MOST_RANDOM_BYTES / 8 / of_one.max(1)).max(1);
    let numbers = (0..of_one * rows).map(|_| number()).collect();
    let shape = std::iter::once(rows).chain(fixed).collect();
    let tensor = Cow::Owned(kind.tensor(port, shape, numbers)?);
    Ok(Source::Rows(Rows { tensor, axis, ragged: None }))
}

/// Returns the shape that a model says, with the batch in its place, and the batch where it is fixed.
fn extents(port: &Port, batch_axis: Option<BatchAxis>) -> Result<(Vec<Extent>, Option<usize>), Finding> {
    let bad = |cause: String| {
        let action = format!("say it under [data.feed.\"{}\"]: random = {{ shape = [\"batch\", 8] }}", port.name);
        Finding::error(Code::BadData, "", cause, action)
    };
    let sizes =
        port.shape.as_ref().ok_or_else(|| bad(format!("the model does not say the shape of its input {port}")))?;
    let axis = match batch_axis {
        Some(BatchAxis::None) => None,
        Some(BatchAxis::At(axis)) => Some(axis as usize),
        None => sizes.iter().position(|size| size.fixed().is_none()).or((!sizes.is_empty()).then_some(0)),
    };
    let fixed_batch = axis.and_then(|axis| sizes.get(axis)?.fixed()).map(|size| size as usize);
    let extent = |(place, size): (usize, &Size)| match size {
        _ if axis == Some(place) => Ok(Extent::Batch),
        Size::Fixed(size) => Ok(Extent::Fixed(u32::try_from(*size).unwrap_or(u32::MAX))),
        _ => Err(bad(format!("the input {port} has more than one dimension of no fixed size"))),
    };
    Ok((sizes.iter().enumerate().map(extent).collect::<Result<_, _>>()?, fixed_batch))
}

/// Feeds the same value to every call, spread over the shape where that is known.
fn constant(port: &Port, kind: Kind, value: &serde_json::Value) -> Result<(Source<'static>, Option<usize>), Finding> {
    use serde_json::Value;
    let bad = |cause: String| {
        Finding::error(
            Code::BadData,
            format!("data.feed.{}.value", port.name),
            cause,
            "give a number, a text, or a list of one of them",
        )
    };
    let items: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    };
    // A value for an input that counts samples first is given to each of them.
    let sizes = port.shape.as_deref().unwrap_or_default();
    let is_list = value.is_array();
    let shape: Vec<usize> = match sizes.iter().map(Size::fixed).collect::<Option<Vec<u64>>>() {
        Some(fixed) if port.shape.is_some() => fixed.into_iter().map(|size| size as usize).collect(),
        _ if is_list => vec![items.len()],
        _ => vec![1; sizes.len()],
    };
    let wanted = elements(&shape).unwrap_or(usize::MAX);
    if is_list && wanted != items.len() || wanted > MOST_RANDOM_BYTES / 8 {
        return Err(bad(format!("{} values for {port}", items.len())));
    }
    let at = |place: usize| items[if is_list { place } else { 0 }];
    if kind.declared == DType::String {
        let texts: Option<Vec<String>> = (0..wanted).map(|place| at(place).as_str().map(str::to_owned)).collect();
        let texts = texts.ok_or_else(|| bad(format!("{port} takes text, found {value}")))?;
        return Ok((Source::Constant(Tensor::new(shape, Data::String(texts)).expect("as many as wanted")), None));
    }
    let number = |value: &Value| value.as_f64().or_else(|| value.as_bool().map(|truth| f64::from(u8::from(truth))));
    let numbers: Option<Vec<f64>> = (0..wanted).map(|place| number(at(place))).collect();
    let numbers = numbers.ok_or_else(|| bad(format!("{port} takes numbers, found {value}")))?;
    Ok((Source::Constant(kind.tensor(port, shape, numbers)?), None))
}

/// Where the samples go in an input.
struct Placed {
    axis: usize,
    fixed_batch: Option<usize>,
    /// Whether a dimension of 1 is put before those of a sample.
    channel: bool,
}

/// Finds the dimension of an input that counts samples: the first that is not fixed and leaves a sample's sizes, or else the
/// first of all, which is then fixed.
fn placed(port: &Port, sample: &[usize], batch_axis: Option<BatchAxis>, are_pixels: bool) -> Result<Placed, Finding> {
    let Some(sizes) = &port.shape else {
        // Nobody says what an image should look like: models expect a channel.
        return Ok(Placed { axis: 0, fixed_batch: None, channel: are_pixels && sample.len() == 2 });
    };
    let symbolic = || sizes.iter().enumerate().filter(|(_, size)| size.fixed().is_none()).map(|(place, _)| place);
    let axes: Vec<usize> = match batch_axis {
        Some(BatchAxis::At(axis)) => vec![axis as usize],
        Some(BatchAxis::None) => Vec::new(),
        None => symbolic().chain(std::iter::once(0)).collect(),
    };
    let fits = |sizes: &[&Size], sample: &[usize]| {
        let is_like = |(size, &found): (&&Size, &usize)| size.fixed().is_none_or(|wanted| wanted == found as u64);
        sizes.len() == sample.len() && sizes.iter().zip(sample).all(is_like)
    };
    for axis in axes.into_iter().filter(|&axis| axis < sizes.len()) {
        let others: Vec<&Size> =
            sizes.iter().enumerate().filter(|(place, _)| *place != axis).map(|(_, size)| size).collect();
        let asks_for_channel =
            others.first().is_some_and(|size| size.fixed().is_none_or(|size| size == 1)) && fits(&others[1..], sample);
        let channel = !fits(&others, sample);
        if !channel || asks_for_channel {
            let fixed_batch = sizes[axis].fixed().map(|size| size as usize);
            return Ok(Placed { axis, fixed_batch, channel });
        }
    }
    let sizes = |sizes: &[usize]| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
    let found = if sample.is_empty() { "single numbers".to_owned() } else { sizes(sample) };
    let cause = format!("the input {port} does not fit the samples, which are {found}");
    let action = "give samples of the sizes that the model takes, with its batch dimension first; `batch_axis` under \
                  [data.feed.NAME] names another";
    Err(Finding::error(Code::BadData, "", cause, action))
}

/// Returns byte ÷ 255, and other numbers as they are: who writes floats has prepared them for the models.
fn pixels(tensor: &Tensor) -> Cow<'_, Tensor> {
    match tensor.data() {
        Data::U8(bytes) => {
            let pixels = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
            Cow::Owned(Tensor::floats(tensor.shape(), pixels))
        }
        _ => Cow::Borrowed(tensor),
    }
}

#[cfg(test)]
mod tests;

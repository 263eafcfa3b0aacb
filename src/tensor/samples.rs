//! Samples: the arrays that models are fed from, and the label of each sample where it is known.

use std::path::Path;

use super::{DType, Data, Named, Tensor, idx, json, npy, safetensors};
use crate::base::codec;
use crate::base::error::Error;
use crate::base::files;
use crate::base::finding::{Code, Finding, Findings};

/// Samples and the label of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Arrays by the names that the data give them; the first dimension of each counts samples. None where inputs are drawn at
    /// random.
    pub arrays: Vec<Named>,
    /// The label of each sample along the first dimension; nothing where nobody knows them.
    pub labels: Option<Tensor>,
    /// SHA-256 over the bytes of the files as they are on disk.
    pub sha256: String,
    /// Whether bytes are pixels, of which a model of floats sees byte ÷ 255.
    pub are_pixels: bool,
    /// Number of samples.
    count: usize,
}

impl Samples {
    /// Returns samples without labels, where all arrays have as many.
    ///
    /// # Errors
    /// A finding that names the array with another number.
    pub fn new(arrays: Vec<Named>, sha256: String) -> Result<Self, Findings> {
        let count = arrays.first().map_or(0, |array| array.tensor.samples());
        let wrong = |cause: String, action: &str| Findings::from(Finding::error(Code::BadData, "", cause, action));
        if count == 0 || arrays.iter().any(|array| array.tensor.shape().is_empty()) {
            return Err(wrong("there is no sample".to_owned(), "the first dimension of each array counts samples"));
        }
        if let Some(other) = arrays.iter().find(|array| array.tensor.samples() != count) {
            let (name, first, many) = (&other.name, &arrays[0].name, other.tensor.samples());
            let cause = format!("`{name}` holds {many} samples, `{first}` {count}");
            let action =
                "the first dimension of each array counts samples; what is the same for all belongs to data.feed";
            return Err(wrong(cause, action));
        }
        Ok(Self { arrays, labels: None, sha256, are_pixels: false, count })
    }

    /// Returns the same samples with a label each.
    ///
    /// # Errors
    /// A finding where there are not as many labels.
    pub fn with_labels(self, labels: Tensor) -> Result<Self, Findings> {
        if labels.samples() == self.count {
            return Ok(Self { labels: Some(labels), ..self });
        }
        let cause = format!("{} labels for {} samples", labels.samples(), self.count);
        Err(Finding::error(Code::BadData, "", cause, "each sample has one label").into())
    }

    /// Returns samples of one array with the class of each.
    ///
    /// # Panics
    /// Where there are no samples or not as many labels.
    #[must_use]
    pub fn labelled(array: Tensor, labels: Vec<u32>) -> Self {
        let samples = Self::new(vec![Named::new("", array)], String::new()).expect("there are samples");
        match Tensor::new(vec![labels.len()], Data::U32(labels)).filter(|labels| !labels.data().is_empty()) {
            Some(labels) => samples.with_labels(labels).expect("as many labels as samples"),
            None => samples,
        }
    }

    /// Returns so many samples of nothing in particular, for inputs that are drawn at random.
    #[must_use]
    pub const fn random(count: usize) -> Self {
        Self { arrays: Vec::new(), labels: None, sha256: String::new(), are_pixels: false, count }
    }

    /// Returns the number of samples.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Returns the class of each sample, where the labels are class numbers.
    #[must_use]
    pub fn classes(&self) -> Option<Vec<u32>> {
        classes(self.labels.as_ref()?)
    }

    /// Returns the samples of these numbers as a set of their own.
    #[must_use]
    pub fn chosen(&self, numbers: &[usize]) -> Self {
        let rows = |tensor: &Tensor| tensor.rows(numbers.iter().copied());
        Self {
            arrays: self.arrays.iter().map(|array| Named::new(array.name.clone(), rows(&array.tensor))).collect(),
            labels: self.labels.as_ref().map(rows),
            sha256: self.sha256.clone(),
            are_pixels: self.are_pixels,
            count: numbers.len(),
        }
    }
}

/// Returns class numbers from labels in one dimension, or in two of which the second is 1.
pub fn classes(labels: &Tensor) -> Option<Vec<u32>> {
    let flat = labels.shape().len() == 1 || (labels.shape().len() == 2 && labels.shape()[1] == 1);
    let whole = flat.then(|| labels.converted(DType::U32, false).ok())??;
    match whole.data() {
        Data::U32(classes) => Some(classes.clone()),
        _ => None,
    }
}

/// Reads images, whose bytes are pixels, and, where there are any, their labels.
///
/// # Errors
/// Findings for what is no file of data, is cut short, or does not fit together.
pub fn read_samples(images: &Path, labels: Option<&Path>) -> Result<Samples, Error> {
    let samples = read_arrays(images, labels)?;
    Ok(Samples { are_pixels: true, ..samples })
}

/// Reads arrays, and, where there are any, the labels.
///
/// # Errors
/// As [`read_samples`].
pub fn read_arrays(inputs: &Path, labels: Option<&Path>) -> Result<Samples, Error> {
    let (mut bytes, arrays) = read_file(inputs)?;
    if let Some(array) = arrays.iter().find(|array| !is_finite(&array.tensor)) {
        let name = if array.name.is_empty() { String::new() } else { format!(" in `{}`", array.name) };
        let found = first_endless(&array.tensor).unwrap_or(f64::NAN);
        return Err(bad(inputs, format!("there is a {found}{name}"), "samples are finite numbers").into());
    }
    let read = |bytes: &[u8]| Samples::new(arrays, codec::sha256(bytes)).map_err(|findings| findings.in_file(inputs));
    let Some(file) = labels else { return Ok(read(&bytes)?) };
    let (of_labels, labels) = labels_in(file)?;
    bytes.extend(of_labels);
    Ok(read(&bytes)?.with_labels(labels).map_err(|findings| findings.in_file(file))?)
}

/// Reads the labels of samples.
///
/// # Errors
/// As [`read_samples`].
pub fn read_labels(file: &Path) -> Result<Tensor, Error> {
    Ok(labels_in(file)?.1)
}

fn labels_in(file: &Path) -> Result<(Vec<u8>, Tensor), Error> {
    let (bytes, mut arrays) = read_file(file)?;
    let place = match arrays.as_slice() {
        [_] => Some(0),
        several => several.iter().position(|array| matches!(array.name.as_str(), "labels" | "label" | "y")),
    };
    let Some(place) = place else {
        let names: Vec<_> = arrays.iter().map(|array| array.name.as_str()).collect();
        let cause = format!("it holds {} arrays: {}", arrays.len(), names.join(", "));
        return Err(bad(file, cause, "labels are the only array of their file, or the one called `labels`").into());
    };
    let labels = arrays.swap_remove(place).tensor;
    if labels.shape().is_empty() {
        return Err(bad(file, "labels have no dimension".to_owned(), "the first dimension counts samples").into());
    }
    Ok((bytes, labels))
}

/// Reads the arrays of a file, or of the files in a folder, with the bytes that their digest is of.
fn read_file(path: &Path) -> Result<(Vec<u8>, Vec<Named>), Error> {
    if path.is_dir() {
        return read_folder(path);
    }
    let bytes = files::read(path)?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let arrays = match ending {
        "npz" => npy::read_npz(path, &bytes)?,
        "npy" => vec![Named::new("", npy::read_npy(path, &bytes)?)],
        "json" => json::parse(path, &bytes)?,
        "safetensors" => safetensors::parse(path, &bytes)?,
        _ => vec![Named::new("", idx::parse(path, bytes.clone())?)],
    };
    match arrays.is_empty() {
        true => Err(bad(path, "it holds no array".to_owned(), "name a file with samples").into()),
        false => Ok((bytes, arrays)),
    }
}

/// Reads a folder of `.npy` files named like inputs.
fn read_folder(folder: &Path) -> Result<(Vec<u8>, Vec<Named>), Error> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Error::io("read", folder, error))?.path();
        if path.extension().is_some_and(|ending| ending == "npy") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    if paths.is_empty() {
        return Err(bad(folder, "the folder holds no .npy file".to_owned(), "save one array for each input").into());
    }
    let (mut all, mut arrays) = (Vec::new(), Vec::new());
    for path in paths {
        let (bytes, read) = read_file(&path)?;
        all.extend(bytes);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        arrays.extend(read.into_iter().map(|array| Named::new(name.clone(), array.tensor)));
    }
    Ok((all, arrays))
}

fn is_finite(tensor: &Tensor) -> bool {
    first_endless(tensor).is_none()
}

fn first_endless(tensor: &Tensor) -> Option<f64> {
    let endless = |number: &f64| !number.is_finite();
    match tensor.data() {
        Data::F16(values) => values.iter().map(|value| value.to_f64()).find(endless),
        Data::BF16(values) => values.iter().map(|value| value.to_f64()).find(endless),
        Data::F32(values) => values.iter().map(|&value| f64::from(value)).find(endless),
        Data::F64(values) => values.iter().copied().find(endless),
        _ => None,
    }
}

/// Returns the finding that a file of data is not as it should be.
pub fn bad(file: &Path, cause: String, action: &str) -> Findings {
    Findings::from(Finding::error(Code::BadData, "", cause, action)).in_file(file)
}

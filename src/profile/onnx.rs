//! What an ONNX file takes and gives, read without an engine and for any operator set.

use std::fmt;
use std::fs::File;
use std::path::Path;

use rten_onnx::onnx::{GraphProto, ModelProto, ValueInfoProto};

use crate::error::Error;
use crate::finding::{Code, Finding, Findings};

/// The inputs and outputs of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What a caller hands over; weights are no inputs.
    pub inputs: Vec<Port>,
    /// What comes back.
    pub outputs: Vec<Port>,
}

/// One input or output: `input float32[N, 1, 28, 28]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the file.
    pub name: String,
    /// What one element is, like `float32`.
    pub element: String,
    /// Its size in each dimension; nothing where the file does not say.
    pub shape: Option<Vec<Size>>,
}

/// Size of one dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// Always so many.
    Fixed(u64),
    /// As many as there are, under this name.
    Named(String),
    /// As many as there are.
    Unknown,
}

impl Port {
    /// Returns how many samples it takes at once, where that is fixed: the first dimension is the batch.
    #[must_use]
    pub fn fixed_batch(&self) -> Option<u64> {
        match self.shape.as_deref()?.first()? {
            Size::Fixed(batch) => Some(*batch),
            Size::Named(_) | Size::Unknown => None,
        }
    }

    /// Returns the sizes of one sample, nothing where the file does not say all of them.
    #[must_use]
    pub fn sample(&self) -> Option<Vec<u64>> {
        let fixed = |size: &Size| if let Size::Fixed(size) = size { Some(*size) } else { None };
        self.shape.as_deref()?.get(1..)?.iter().map(fixed).collect()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.element)?;
        let Some(shape) = &self.shape else { return f.write_str(" of unknown shape") };
        let sizes: Vec<String> = shape.iter().map(Size::to_string).collect();
        write!(f, "[{}]", sizes.join(", "))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => size.fmt(f),
            Self::Named(name) => f.write_str(name),
            Self::Unknown => f.write_str("?"),
        }
    }
}

/// Reads the inputs and outputs of an ONNX file.
///
/// # Errors
/// A finding where the file cannot be read or is no ONNX model.
pub fn signature(path: &Path) -> Result<Signature, Error> {
    let bad = |code, cause: String, action: &str| Findings::from(Finding::error(code, "", cause, action)).in_file(path);
    let action = "is it whole? export the model again, or move the file away";
    let file = File::open(path).map_err(|error| {
        bad(Code::Unreadable, format!("cannot be read: {error}"), "check the path and who may read it")
    })?;
    let model = ModelProto::parse_file(file)
        .map_err(|error| bad(Code::BadModel, format!("is no ONNX model: {error}"), action))?;
    match model.graph.map(|graph| of_graph(&graph)) {
        Some(signature) if !signature.inputs.is_empty() && !signature.outputs.is_empty() => Ok(signature),
        Some(_) => Err(bad(Code::BadModel, "the model has no input or no output".to_owned(), action).into()),
        None => Err(bad(Code::BadModel, "is no ONNX model: there is no graph".to_owned(), action).into()),
    }
}

fn of_graph(graph: &GraphProto) -> Signature {
    // Up to IR version 3 every weight is listed as an input too.
    let is_weight =
        |name: Option<&str>| name.is_some() && graph.initializer.iter().any(|weight| weight.name.as_deref() == name);
    let inputs = graph.input.iter().filter(|input| !is_weight(input.name.as_deref()));
    Signature { inputs: inputs.map(port).collect(), outputs: graph.output.iter().map(port).collect() }
}

fn port(info: &ValueInfoProto) -> Port {
    let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let element = tensor.and_then(|tensor| tensor.elem_type).map(|kind| match kind.name() {
        Some("FLOAT") => "float32".to_owned(),
        Some("DOUBLE") => "float64".to_owned(),
        _ => kind.to_string().to_lowercase(),
    });
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| {
        let size = |dimension: &rten_onnx::onnx::Dimension| match (dimension.dim_value, &dimension.dim_param) {
            (Some(value), _) => u64::try_from(value).map_or(Size::Unknown, Size::Fixed),
            (None, Some(name)) if !name.is_empty() => Size::Named(name.clone()),
            (None, _) => Size::Unknown,
        };
        shape.dim.iter().map(size).collect()
    });
    Port {
        name: info.name.clone().unwrap_or_default(),
        element: element.unwrap_or_else(|| "of unknown type".to_owned()),
        shape,
    }
}

#[cfg(test)]
mod tests {
    use super::{Signature, signature};
    use std::fs;
    use std::path::Path;

    fn shipped(name: &str) -> Signature {
        signature(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits").join(name)).expect("a model")
    }

    #[test]
    fn reads_names_types_and_shapes() {
        let whole = shipped("early_exit.onnx");
        assert_eq!(whole.inputs[0].to_string(), "input float32[N, 1, 28, 28]");
        assert_eq!((whole.inputs.len(), whole.inputs[0].fixed_batch()), (1, None));
        assert_eq!(whole.inputs[0].sample(), Some(vec![1, 28, 28]));
        let outputs: Vec<_> = whole.outputs.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(outputs, ["logits_exit0", "logits_exit1", "logits"]);
        assert_eq!(shipped("early_exit_seg1.onnx").inputs[0].sample(), Some(vec![16, 14, 14]));
        assert_eq!(shipped("cnn_l_int8.onnx").inputs.len(), 1);
    }

    /// Whatever is in a file, it is answered with a signature or a finding.
    #[test]
    fn damaged_files_never_panic() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("m.onnx");
        let sound = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits/linear.onnx")).expect("shipped");
        // The graph's beginning and end, where its structure is; between them are weights.
        let places = (0..400).chain(sound.len() - 200..sound.len());
        for place in places.filter(|&place| place < sound.len()) {
            for byte in [0, 0x7f, 0xff] {
                let mut bytes = sound.clone();
                bytes[place] = byte;
                fs::write(&path, &bytes).expect("writable");
                let _ = signature(&path);
            }
            fs::write(&path, &sound[..place]).expect("writable");
            let _ = signature(&path);
        }
        for text in ["", "not a model", "\u{8}\u{7}"] {
            fs::write(&path, text).expect("writable");
            let error = signature(&path).expect_err("no model").to_string();
            assert!(error.contains("bad-model") && error.contains("m.onnx"), "{error}");
        }
    }
}

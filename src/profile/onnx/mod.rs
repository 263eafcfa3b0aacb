//! What an ONNX file takes and gives, read without an engine and for any operator set.
//!
//! An ONNX file is a protobuf message; a message is a row of fields, each a number and a value. Only the few fields that lead
//! to inputs and outputs are looked into, by their numbers in `onnx.proto`; weights are stepped over. Every length is held
//! against what is there, so that a damaged file is an answer and never a wish for memory.

mod graph;

use std::collections::BTreeSet;
use std::path::Path;

use crate::base::error::Error;
use crate::base::files;
use crate::base::finding::{Code, Finding, Findings};
use crate::tensor::{DType, Element, Port, Signature, Size};

pub use graph::{Constant, Graph, Node, digest, external_files};

/// Reads the inputs and outputs of an ONNX file.
///
/// # Errors
/// A finding where the file cannot be read or is no ONNX model.
pub fn signature(path: &Path) -> Result<Signature, Error> {
    let bytes = files::read(path)?;
    let bad = |cause: &str| {
        let action = "is it whole? export the model again, or move the file away";
        Error::from(Findings::from(Finding::error(Code::BadModel, "", cause, action)).in_file(path))
    };
    let signature = of_model(&bytes).ok_or_else(|| bad("is no ONNX model, or is cut short"))?;
    if signature.inputs.is_empty() || signature.outputs.is_empty() {
        return Err(bad("the model has no input or no output"));
    }
    Ok(signature)
}

/// Tells that every length in an ONNX file fits into what holds it.
///
/// An engine that takes lengths on trust asks for as much memory as a damaged one says, and where that cannot be had the
/// process ends: rten does so. Weights are stepped over.
///
/// # Errors
/// A finding where the file cannot be read or a length does not fit.
pub fn intact(path: &Path) -> Result<(), Error> {
    if Kind::Model.fits(&files::read(path)?, MOST_NESTED) {
        return Ok(());
    }
    let cause = "is no ONNX model, or is cut short or damaged: a length in it exceeds what is there";
    let action = "is it whole? export the model again, or restore the file";
    Err(Findings::from(Finding::error(Code::BadModel, "", cause, action)).in_file(path).into())
}

/// Messages within messages that a sound model has at most: subgraphs of subgraphs are rare.
const MOST_NESTED: u32 = 64;

/// What a message is, as far as it holds others.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// Holds no other.
    Flat,
}

impl Kind {
    /// Returns what a field holds, where that is a message.
    const fn of_field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) => Self::Tensor,
            (Self::Graph, 11..=13) => Self::ValueInfo,
            (Self::Node, 5) => Self::Attribute,
            (Self::ValueInfo, 2) => Self::Type,
            (Self::Type, 1 | 4) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Model, 8 | 14) | (Self::Tensor, 13) | (Self::Shape, 1) => Self::Flat,
            _ => return None,
        })
    }

    /// Tells whether a message and all within it are whole.
    fn fits(self, mut rest: &[u8], nested: u32) -> bool {
        while !rest.is_empty() {
            let within = match field(&mut rest) {
                None => return false,
                Some((number, Value::Bytes(bytes))) => self.of_field(number).map(|kind| (kind, bytes)),
                Some(_) => None,
            };
            if within.is_some_and(|(kind, bytes)| nested == 0 || !kind.fits(bytes, nested - 1)) {
                return false;
            }
        }
        true
    }
}

/// A field's value; numbers of fixed width are stepped over.
#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// A message's fields by their numbers.
struct Message<'a>(Vec<(u64, Value<'a>)>);

impl<'a> Message<'a> {
    /// Takes a message apart; nothing where it is none.
    fn of(mut rest: &'a [u8]) -> Option<Self> {
        let mut fields = Vec::new();
        while !rest.is_empty() {
            fields.push(field(&mut rest)?);
        }
        Some(Self(fields))
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &'a [u8]> {
        let bytes = |value: &Value<'a>| if let Value::Bytes(bytes) = value { Some(*bytes) } else { None };
        self.0.iter().filter(move |(field, _)| *field == number).filter_map(move |(_, value)| bytes(value))
    }

    /// Returns a field's text; empty where it is not there.
    fn text(&self, number: u64) -> Option<String> {
        self.all(number).last().map_or(Some(String::new()), |bytes| String::from_utf8(bytes.to_vec()).ok())
    }

    fn number(&self, number: u64) -> Option<u64> {
        self.0.iter().rev().find_map(|(field, value)| match value {
            Value::Number(value) if *field == number => Some(*value),
            _ => None,
        })
    }

    /// Returns a field's message; an empty one where it is not there.
    fn message(&self, number: u64) -> Option<Self> {
        self.all(number).last().map_or(Some(Self(Vec::new())), Self::of)
    }
}

/// Reads a field: its number and its value.
fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Value::Number(varint(rest)?),
        1 => rest.split_off(..8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(rest.split_off(..length)?)
        }
        5 => rest.split_off(..4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    Some((key >> 3, value))
}

/// Reads a number of seven bits a byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = rest.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// `ModelProto.graph`, then `GraphProto.initializer`, `input` and `output`.
fn of_model(bytes: &[u8]) -> Option<Signature> {
    let graph = Message::of(Message::of(bytes)?.all(7).last()?)?;
    // Up to IR version 3 every weight is listed as an input too; `TensorProto.name` tells.
    let weights: Option<BTreeSet<String>> = graph.all(5).map(|weight| Message::of(weight)?.text(8)).collect();
    let weights = weights?;
    let ports = |number| graph.all(number).map(port).collect::<Option<Vec<Port>>>();
    let inputs = ports(11)?.into_iter().filter(|input| !weights.contains(&input.name));
    Some(Signature { inputs: inputs.collect(), outputs: ports(12)? })
}

/// `ValueInfoProto`: its name, and of its type the tensor's element and shape.
fn port(bytes: &[u8]) -> Option<Port> {
    let info = Message::of(bytes)?;
    let kind = info.message(2)?;
    let other = [(4, "sequence"), (5, "map"), (8, "sparse tensor"), (9, "optional")];
    if let Some((_, other)) = other.iter().find(|(number, _)| kind.all(*number).next().is_some()) {
        return Some(Port { name: info.text(1)?, element: Element::Other((*other).to_owned()), shape: None });
    }
    let tensor = kind.message(1)?;
    let sizes = |shape: &[u8]| Message::of(shape)?.all(1).map(size).collect::<Option<Vec<Size>>>();
    let shape = tensor.all(2).last().map(sizes);
    let shape = if let Some(shape) = shape { Some(shape?) } else { None };
    Some(Port { name: info.text(1)?, element: element(tensor.number(1)), shape })
}

/// `TensorShapeProto.Dimension`: a number or a name.
fn size(bytes: &[u8]) -> Option<Size> {
    let dimension = Message::of(bytes)?;
    let name = dimension.text(2)?;
    // A negative number, as some exporters write, is one that is not known.
    let fixed = dimension.number(1).filter(|&size| i64::try_from(size).is_ok());
    Some(match fixed {
        Some(size) => Size::Fixed(size),
        None if name.is_empty() => Size::Unknown,
        None => Size::Named(name),
    })
}

/// Names `TensorProto.DataType`.
fn element(kind: Option<u64>) -> Element {
    const NAMES: [&str; 16] = [
        "float32",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "float64",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
    ];
    let named = |kind: u64| NAMES.get(usize::try_from(kind).ok()?.checked_sub(1)?).copied();
    match kind {
        Some(kind) => match named(kind) {
            Some(name) => DType::from_name(name).map_or_else(|| Element::Other(name.to_owned()), Element::Tensor),
            None => Element::Other(format!("type {kind}")),
        },
        None => Element::Other("of unknown type".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{intact, signature};
    use crate::tensor::Signature;
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
        let mut cuts_seen = 0;
        let places = (0..400).chain(sound.len() - 200..sound.len());
        for place in places.filter(|&place| place < sound.len()) {
            for byte in [0, 0x7f, 0xff] {
                let mut bytes = sound.clone();
                bytes[place] = byte;
                fs::write(&path, &bytes).expect("writable");
                let _ = signature(&path);
                let whole = intact(&path);
                // The engine must live through whatever is let through.
                #[cfg(feature = "rten")]
                if whole.is_ok() {
                    let _ = std::panic::catch_unwind(|| rten::Model::load_file(&path).is_ok());
                }
                #[cfg(not(feature = "rten"))]
                drop(whole);
            }
            fs::write(&path, &sound[..place]).expect("writable");
            let _ = signature(&path);
            // Only between two fields of the model itself a cut leaves something whole.
            cuts_seen += usize::from(intact(&path).is_err());
        }
        assert!(cuts_seen > 580, "{cuts_seen} of 600 cuts");
        for name in ["cnn_l_int8.onnx", "early_exit.onnx"] {
            intact(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits").join(name)).expect("shipped");
        }
        for text in ["", "not a model", "\u{8}\u{7}"] {
            fs::write(&path, text).expect("writable");
            let error = signature(&path).expect_err("no model").to_string();
            assert!(error.contains("bad-model") && error.contains("m.onnx"), "{error}");
        }
    }
}

//! The operators of an ONNX model, as far as an engine must know them before it runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use super::{Message, Value, element, port, varint};
use crate::base::error::Error;
use crate::base::files;
use crate::base::finding::{Code, Finding, Findings};
use crate::tensor::{DType, Port};

/// The operators of a model and what is known of the values between them; those of subgraphs stand among the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// Version of ONNX's own operators.
    pub opset: u64,
    /// The operators, in the order of the file.
    pub nodes: Vec<Node>,
    /// Element type and dimensions of each weight and constant.
    pub constants: BTreeMap<String, Constant>,
    /// Values whose type the file declares.
    pub declared: BTreeMap<String, Port>,
    /// Files beside the model that hold weights.
    pub external: BTreeSet<String>,
}

/// One operator.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// What it does, like `Conv`.
    pub operator: String,
    /// Whose operator it is; empty for ONNX's own.
    pub domain: String,
    /// Names of what it takes; empty for an optional input that is not given.
    pub inputs: Vec<String>,
    /// Names of what it gives.
    pub outputs: Vec<String>,
    /// Its attributes that are one whole number.
    pub numbers: BTreeMap<String, i64>,
    /// Its attributes that are text.
    pub texts: BTreeMap<String, String>,
    /// Whether it stands in a graph within the model's.
    pub is_nested: bool,
}

/// What is known of a weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constant {
    /// What its elements are, where that is a type that models know.
    pub dtype: Option<DType>,
    /// Size in each dimension.
    pub sizes: Vec<u64>,
    /// Whether a whole number in it needs more than 32 bits.
    pub is_wide: bool,
}

impl Graph {
    /// Reads the operators of a model.
    ///
    /// # Errors
    /// A finding where the file cannot be read or is no ONNX model.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = files::read(path)?;
        let graph = of_model(&bytes).ok_or_else(|| {
            let action = "is it whole? export the model again, or move the file away";
            Findings::from(Finding::error(Code::BadModel, "", "is no ONNX model, or is cut short", action))
                .in_file(path)
        })?;
        match graph.external.iter().find(|name| !is_beside(name)) {
            Some(name) => {
                let cause = format!("it names weights in `{name}`, outside its own folder");
                let action = "save the model again with its weights beside it";
                Err(Findings::from(Finding::error(Code::BadModel, "", cause, action)).in_file(path).into())
            }
            None => Ok(graph),
        }
    }
}

impl Graph {
    /// Returns the operators that these outputs need, all of them where none are named; those of graphs within it are taken to be
    /// needed.
    pub fn needed(&self, outputs: &[&str]) -> Vec<&Node> {
        if outputs.is_empty() {
            return self.nodes.iter().collect();
        }
        let mut wanted: BTreeSet<&str> = outputs.iter().copied().collect();
        wanted
            .extend(self.nodes.iter().filter(|node| node.is_nested).flat_map(|node| &node.inputs).map(String::as_str));
        // ONNX lists operators in an order in which they can run, so one way back is enough.
        let mut needed = Vec::new();
        for node in self.nodes.iter().rev() {
            if node.is_nested || node.outputs.iter().any(|output| wanted.contains(output.as_str())) {
                wanted.extend(node.inputs.iter().map(String::as_str));
                needed.push(node);
            }
        }
        needed.reverse();
        needed
    }
}

/// Tells whether a name stays in the model's folder.
fn is_beside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn of_model(bytes: &[u8]) -> Option<Graph> {
    let model = Message::of(bytes)?;
    let mut graph = Graph::default();
    for set in model.all(8) {
        let set = Message::of(set)?;
        if matches!(set.text(1)?.as_str(), "" | "ai.onnx") {
            graph.opset = graph.opset.max(set.number(2).unwrap_or(0));
        }
    }
    add_graph(&mut graph, model.all(7).last()?, super::MOST_NESTED)?;
    Some(graph)
}

/// Adds a graph and those within it.
fn add_graph(all: &mut Graph, bytes: &[u8], nested: u32) -> Option<()> {
    let graph = Message::of(bytes)?;
    let nested = nested.checked_sub(1)?;
    for weight in graph.all(5) {
        add_tensor(all, None, weight)?;
    }
    for number in 11..=13 {
        for info in graph.all(number) {
            let port = port(info)?;
            all.declared.insert(port.name.clone(), port);
        }
    }
    for node in graph.all(1) {
        add_node(all, node, nested)?;
    }
    Some(())
}

fn add_node(all: &mut Graph, bytes: &[u8], nested: u32) -> Option<()> {
    let node = Message::of(bytes)?;
    let texts = |number| node.all(number).map(|text| String::from_utf8(text.to_vec()).ok()).collect::<Option<Vec<_>>>();
    let mut read = Node {
        operator: node.text(4)?,
        domain: node.text(7)?,
        inputs: texts(1)?,
        outputs: texts(2)?,
        is_nested: nested + 1 < super::MOST_NESTED,
        ..Node::default()
    };
    if read.domain == "ai.onnx" {
        read.domain.clear();
    }
    for attribute in node.all(5) {
        let attribute = Message::of(attribute)?;
        let name = attribute.text(1)?;
        if let Some(number) = attribute.number(3) {
            read.numbers.insert(name.clone(), number.cast_signed());
        }
        if attribute.all(4).next().is_some() {
            read.texts.extend(attribute.text(4).map(|text| (name.clone(), text)));
        }
        // A constant of whole numbers in place of a tensor.
        let wide = whole_numbers(&attribute, 8)?.into_iter().chain(attribute.number(3)).any(is_wide);
        if read.operator == "Constant" && name.starts_with("value_int") {
            let constant = Constant { dtype: Some(DType::I64), sizes: Vec::new(), is_wide: wide };
            all.constants.extend(read.outputs.first().map(|output| (output.clone(), constant)));
        }
        for tensor in attribute.all(5).chain(attribute.all(10)) {
            let of_constant = read.outputs.first().filter(|_| read.operator == "Constant").cloned();
            add_tensor(all, Some(of_constant), tensor)?;
        }
        for graph in attribute.all(6).chain(attribute.all(11)) {
            add_graph(all, graph, nested)?;
        }
    }
    all.nodes.push(read);
    Some(())
}

/// Adds a weight under its own name, or a tensor of an attribute under the name of the value that it is, if it is one.
fn add_tensor(all: &mut Graph, of_attribute: Option<Option<String>>, bytes: &[u8]) -> Option<()> {
    let tensor = Message::of(bytes)?;
    for entry in tensor.all(13) {
        let entry = Message::of(entry)?;
        if entry.text(1)? == "location" {
            all.external.insert(entry.text(2)?);
        }
    }
    let dtype = element(tensor.number(2)).dtype();
    let raw = tensor.all(9).last().unwrap_or_default();
    let is_wide = dtype == Some(DType::I64)
        && (whole_numbers(&tensor, 7)?.into_iter().any(is_wide)
            || raw.as_chunks::<8>().0.iter().any(|&bytes| is_wide(u64::from_le_bytes(bytes))));
    let constant = Constant { dtype, sizes: whole_numbers(&tensor, 1)?, is_wide };
    let name = match of_attribute {
        None => Some(tensor.text(8)?),
        Some(name) => name,
    };
    all.constants.extend(name.map(|name| (name, constant)));
    Some(())
}

/// Tells whether a whole number of 64 bits has no place in 32.
fn is_wide(number: u64) -> bool {
    i32::try_from(number.cast_signed()).is_err()
}

/// Returns a field's whole numbers, whether they stand one by one or packed.
fn whole_numbers(message: &Message<'_>, number: u64) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    for (_, value) in message.0.iter().filter(|(field, _)| *field == number) {
        match *value {
            Value::Number(one) => numbers.push(one),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    numbers.push(varint(&mut packed)?);
                }
            }
            Value::Fixed => {}
        }
    }
    Some(numbers)
}

/// Returns the files beside a model that hold weights, as far as they can be told.
pub fn external_files(model: &Path) -> Vec<std::path::PathBuf> {
    let folder = model.parent().unwrap_or(Path::new(""));
    let names = Graph::read(model).map(|graph| graph.external).unwrap_or_default();
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// Returns the digest of a model: of its file, or where it has weights elsewhere, of all its files together.
///
/// # Errors
/// A finding where one of them cannot be read.
pub fn digest(model: &Path) -> Result<String, Error> {
    use crate::base::codec::sha256;
    let own = sha256(&files::read(model)?);
    let is_onnx = model.extension().is_some_and(|ending| ending == "onnx");
    let external = if is_onnx { external_files(model) } else { Vec::new() };
    if external.is_empty() {
        return Ok(own);
    }
    let mut all = own;
    for file in external {
        all += &format!("\n{}", files::sha256(&file)?);
    }
    Ok(sha256(all.as_bytes()))
}

//! Operators that rten 0.27 computes otherwise than ONNX says, without an error. Each was found by running the ONNX project's own
//! backend tests, or by one-operator models against the ONNX reference; `examples/onnx_cases.rs` finds others.

use std::path::{Component, Path};

use crate::profile::onnx::{Graph, Node};
use crate::tensor::{DType, Element};

/// Operators that are wrong whatever their attributes, and why.
const WRONG: [(&str, &str); 4] = [
    ("NonMaxSuppression", "it takes all classes and batches for one, and flipped boxes for empty ones"),
    ("SequenceInsert", "it counts positions from the end otherwise"),
    ("SequenceErase", "it counts positions from the end otherwise"),
    ("Sign", "it answers 1 for 0"),
];

/// Returns what of these outputs, or of all, rten would compute wrongly or not at all, in words.
pub fn refused(graph: &Graph, outputs: &[&str]) -> Option<String> {
    let outside = graph.external.iter().find(|name| !is_allowed(name));
    if let Some(name) = outside {
        return Some(format!(
            "it opens weights only beside the model and in files whose names end in .data or .onnx_data, not `{name}`"
        ));
    }
    graph.needed(outputs).into_iter().filter(|node| node.domain.is_empty()).find_map(|node| {
        let why = wrong(graph, node)?;
        Some(format!("{} of this form would be answered wrongly: {why}", node.operator))
    })
}

/// Tells whether rten opens an external file of this name.
fn is_allowed(name: &str) -> bool {
    let path = Path::new(name);
    let is_plain = matches!(path.components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    is_plain && (ending.starts_with("data") || ending.starts_with("onnx_data"))
}

fn wrong(graph: &Graph, node: &Node) -> Option<String> {
    let facts = Facts { graph };
    let input = |place: usize| node.inputs.get(place).map(String::as_str).filter(|name| !name.is_empty());
    if let Some((_, why)) = WRONG.iter().find(|(operator, _)| *operator == node.operator) {
        return Some((*why).to_owned());
    }
    match node.operator.as_str() {
        "Softmax" | "LogSoftmax" | "Hardmax" if graph.opset < 13 => {
            let axis = node.numbers.get("axis").copied().unwrap_or(1);
            let rank = facts.rank(input(0)?, MOST_STEPS);
            let is_last = axis == -1 || rank.is_some_and(|rank| axis + 1 == rank as i64);
            (!is_last).then(|| {
                format!("before operator set 13 it goes over all dimensions from axis {axis} on, and rten takes that one alone")
            })
        }
        "ArgMax" | "ArgMin" if node.numbers.get("select_last_index").copied().unwrap_or(0) == 0 => {
            Some("of equal numbers it takes the last, and ONNX the first".to_owned())
        }
        "Resize" if node.texts.get("mode").is_some_and(|mode| mode == "cubic") => {
            Some("its cubic interpolation is not that of ONNX".to_owned())
        }
        "Cast" if node.numbers.get("to") == Some(&BOOL) => {
            let is_logical =
                |user: &&Node| matches!(user.operator.as_str(), "Where" | "Not" | "And" | "Or" | "Xor" | "If");
            let mut users =
                graph.nodes.iter().filter(|user| user.inputs.iter().any(|name| node.outputs.contains(name)));
            match facts.dtype(input(0)?, MOST_STEPS) {
                Some(DType::Bool) => None,
                Some(dtype) if dtype.is_integer() && users.all(|user| is_logical(&user)) => None,
                _ => Some("numbers between -1 and 1 become false, and others stay what they are".to_owned()),
            }
        }
        "MatMul" => {
            let is_vector = facts.rank(input(1)?, MOST_STEPS) == Some(1);
            let is_deep = facts.rank(input(0)?, MOST_STEPS).is_none_or(|rank| rank > 2);
            (is_vector && is_deep).then(|| "a stack of matrices times a vector gets a dimension too many".to_owned())
        }
        "ReduceMax" | "ReduceMin" if facts.dtype(input(0)?, MOST_STEPS) == Some(DType::Bool) => {
            Some("truth values are compared as numbers".to_owned())
        }
        // A slice to the largest number of all means to the end, and saturating keeps that.
        "Slice" => None,
        _ => node
            .inputs
            .iter()
            .find(|name| graph.constants.get(*name).is_some_and(|constant| constant.is_wide))
            .map(|name| format!("its input {name} holds a whole number of more than 32 bits")),
    }
}

/// `TensorProto.DataType.BOOL`.
const BOOL: i64 = 9;

/// Operators that are followed back at most.
const MOST_STEPS: usize = 32;

/// What is known of the values of a graph.
struct Facts<'a> {
    graph: &'a Graph,
}

impl Facts<'_> {
    fn source(&self, name: &str) -> Option<&Node> {
        self.graph.nodes.iter().find(|node| node.outputs.iter().any(|output| output == name))
    }

    /// Returns how many dimensions a value has, where that can be told.
    fn rank(&self, name: &str, steps: usize) -> Option<usize> {
        if let Some(constant) = self.graph.constants.get(name) {
            return Some(constant.sizes.len());
        }
        if let Some(shape) = self.graph.declared.get(name).and_then(|port| port.shape.as_ref()) {
            return Some(shape.len());
        }
        let (node, steps) = (self.source(name)?, steps.checked_sub(1)?);
        let first = || self.rank(node.inputs.first()?, steps);
        match node.operator.as_str() {
            "Gemm" | "Flatten" => Some(2),
            "Reshape" => {
                let shape = self.graph.constants.get(node.inputs.get(1)?)?;
                shape.sizes.first().map(|&size| size as usize)
            }
            "Relu" | "Dropout" | "Identity" | "Softmax" | "LogSoftmax" | "Sigmoid" | "Tanh" | "BatchNormalization"
            | "Conv" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "LRN" | "Cast" | "Concat"
            | "LayerNormalization" | "Div" | "Clip" => first(),
            _ => None,
        }
    }

    /// Returns what the elements of a value are, where that can be told.
    fn dtype(&self, name: &str, steps: usize) -> Option<DType> {
        if let Some(constant) = self.graph.constants.get(name) {
            return constant.dtype;
        }
        if let Some(Element::Tensor(dtype)) = self.graph.declared.get(name).map(|port| &port.element) {
            return Some(*dtype);
        }
        let (node, steps) = (self.source(name)?, steps.checked_sub(1)?);
        match node.operator.as_str() {
            "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Not" | "And" | "Or" | "Xor"
            | "IsNaN" => Some(DType::Bool),
            "Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" => Some(DType::I64),
            "Unsqueeze" | "Squeeze" | "Reshape" | "Expand" | "Slice" | "Gather" | "Transpose" | "Identity"
            | "Concat" | "Tile" => self.dtype(node.inputs.first()?, steps),
            "Cast" => match node.numbers.get("to")? {
                2 => Some(DType::U8),
                3 => Some(DType::I8),
                6 => Some(DType::I32),
                7 => Some(DType::I64),
                &BOOL => Some(DType::Bool),
                _ => Some(DType::F32),
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::refused;
    use crate::profile::onnx::{Constant, Graph, Node};
    use crate::tensor::{DType, Element, Port, Size};

    fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Node {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Node { operator: operator.to_owned(), inputs: names(inputs), outputs: names(outputs), ..Node::default() }
    }

    /// A graph of some operators on `x`, which has this many dimensions and these elements.
    fn graph(opset: u64, rank: usize, dtype: DType, nodes: Vec<Node>) -> Graph {
        let shape = Some(vec![Size::Unknown; rank]);
        let port = Port { name: "x".to_owned(), element: Element::Tensor(dtype), shape };
        let wide = Constant { dtype: Some(DType::I64), sizes: vec![1], is_wide: true };
        Graph {
            opset,
            nodes,
            constants: [("wide".to_owned(), wide)].into(),
            declared: [("x".to_owned(), port)].into(),
            external: std::collections::BTreeSet::new(),
        }
    }

    #[test]
    fn what_no_read_output_needs_is_not_refused() {
        let nodes = vec![node("Relu", &["x"], &["scores"]), node("ArgMax", &["scores"], &["label"])];
        let graph = graph(17, 2, DType::F32, nodes);
        assert!(refused(&graph, &["scores"]).is_none() && refused(&graph, &["label"]).is_some());
    }

    #[test]
    fn forms_that_rten_gets_wrong_are_refused_and_no_others() {
        let mut to_bool = node("Cast", &["x"], &["b"]);
        to_bool.numbers.insert("to".to_owned(), 9);
        let mut cubic = node("Resize", &["x"], &["y"]);
        cubic.texts.insert("mode".to_owned(), "cubic".to_owned());
        let mut last = node("ArgMax", &["x"], &["y"]);
        last.numbers.insert("select_last_index".to_owned(), 1);
        let softmax = || vec![node("Softmax", &["x"], &["y"])];
        let flat = vec![node("Flatten", &["x"], &["f"]), node("Softmax", &["f"], &["y"])];
        let logical = vec![to_bool.clone(), node("Where", &["b", "x", "x"], &["y"])];
        let float = DType::F32;
        let cases = [
            (graph(11, 3, float, softmax()), Some("all dimensions from axis 1")),
            (graph(11, 2, float, softmax()), None),
            (graph(13, 3, float, softmax()), None),
            (graph(11, 4, float, flat), None),
            (graph(17, 2, float, vec![to_bool.clone()]), Some("become false")),
            (graph(17, 2, DType::I64, vec![to_bool, node("Add", &["b", "b"], &["y"])]), Some("become false")),
            (graph(17, 2, DType::I64, logical), None),
            (graph(17, 4, float, vec![cubic]), Some("cubic interpolation is not")),
            (graph(17, 4, float, vec![node("Resize", &["x"], &["y"])]), None),
            (graph(17, 2, float, vec![node("ArgMax", &["x"], &["y"])]), Some("of equal numbers")),
            (graph(17, 2, float, vec![last]), None),
            (graph(17, 3, float, vec![node("MatMul", &["x", "wide"], &["y"])]), Some("times a vector")),
            (graph(17, 2, DType::I64, vec![node("Add", &["x", "wide"], &["y"])]), Some("more than 32 bits")),
            (graph(17, 2, DType::I64, vec![node("Slice", &["x", "wide"], &["y"])]), None),
        ];
        for (graph, wanted) in cases {
            let found = refused(&graph, &[]);
            let is_as_wanted = match (&found, wanted) {
                (Some(why), Some(wanted)) => why.contains(wanted),
                (None, None) => true,
                _ => false,
            };
            assert!(is_as_wanted, "{:?}: {found:?} where {wanted:?}", graph.nodes);
        }
    }
}

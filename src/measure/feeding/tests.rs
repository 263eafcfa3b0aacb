use std::collections::BTreeMap;
use std::time::Duration;

use super::{Feeder, Pantry};
use crate::measure::engines::Scripted;
use crate::profile::DataFiles;
use crate::tensor::{DType, Data, Element, Named, Port, Samples, Signature, Size, Tensor};

fn tensor(shape: &[usize], data: Data) -> Tensor {
    Tensor::new(shape.to_vec(), data).expect("it fits")
}

/// A port whose sizes are numbers, or -1 where they are not fixed.
fn port(name: &str, dtype: DType, sizes: &[i64]) -> Port {
    let size = |&size: &i64| u64::try_from(size).map_or(Size::Unknown, Size::Fixed);
    Port { name: name.to_owned(), element: Element::Tensor(dtype), shape: Some(sizes.iter().map(size).collect()) }
}

/// The inputs of a call, the fixed batch, and the notes.
type Seen = (Vec<Tensor>, Option<usize>, Vec<String>);

/// What a model with these inputs is fed with a batch of these samples, and its fixed batch.
fn fed(ports: &[Port], arrays: &[(&str, Tensor)], data: &str, numbers: &[usize]) -> Result<Seen, String> {
    let data: DataFiles = serde_json::from_str(data).map_err(|error| error.to_string())?;
    let samples = match arrays {
        [] => Samples::random(8),
        some => {
            let named = some.iter().map(|(name, tensor)| Named::new(*name, tensor.clone())).collect();
            let mut samples = Samples::new(named, String::new()).expect("as many");
            samples.are_pixels = data.images.is_some();
            samples
        }
    };
    let engine = Scripted { walls: vec![Duration::ZERO], scores: vec![] };
    let pantry = Pantry { samples: &samples, data: &data, names: &BTreeMap::new(), engine: &engine };
    let signature = Signature { inputs: ports.to_vec(), outputs: Vec::new() };
    let feeder = Feeder::new(&signature, pantry).map_err(|findings| findings.to_string())?;
    let tensors = feeder.batch(numbers).into_iter().map(|input| input.tensor).collect();
    Ok((tensors, feeder.fixed_batch(), feeder.notes))
}

const FILES: &str = r#"{"inputs":"x.npz"}"#;

#[test]
fn names_match_and_one_pair_that_is_left_matches_by_itself() {
    let (a, b) = (tensor(&[2], Data::I64(vec![1, 2])), tensor(&[2], Data::F32(vec![0.5, 1.5])));
    let ports = [port("a", DType::I64, &[-1]), port("z", DType::F32, &[-1])];
    let (tensors, fixed, notes) = fed(&ports, &[("a", a), ("b", b)], FILES, &[1, 0]).expect("fed");
    assert_eq!(tensors, [tensor(&[2], Data::I64(vec![2, 1])), tensor(&[2], Data::F32(vec![1.5, 0.5]))]);
    assert_eq!((fixed, notes), (None, vec!["the input z is fed from `b`, the only array left".to_owned()]));
    let message = fed(&ports, &[("c", tensor(&[1], Data::I64(vec![1])))], FILES, &[0]).expect_err("two are not fed");
    assert!(message.contains("nothing feeds the input a int64[?]: the data hold c"), "{message}");
}

#[test]
fn samples_keep_their_dimensions_unless_the_model_asks_for_a_channel() {
    let images = || tensor(&[2, 2, 2], Data::U8(vec![0, 51, 102, 255, 0, 0, 0, 0]));
    let first = |sizes: &[i64]| {
        let images = [("", images())];
        fed(&[port("x", DType::F32, sizes)], &images, r#"{"images":"x.idx"}"#, &[0]).map(|fed| fed.0[0].clone())
    };
    let pixels = vec![0.0, 0.2, 0.4, 1.0];
    assert_eq!(first(&[-1, 2, 2]), Ok(Tensor::floats([1, 2, 2], pixels.clone())));
    assert_eq!(first(&[-1, 1, 2, 2]), Ok(Tensor::floats([1, 1, 2, 2], pixels.clone())));
    assert_eq!(first(&[-1, -1, -1, -1]), Ok(Tensor::floats([1, 1, 2, 2], pixels)));
    let message = first(&[-1, 3, 3]).expect_err("too small");
    assert!(message.contains("the input x float32[?, 3, 3] does not fit the samples, which are 2 × 2"), "{message}");
    // A model of bytes takes the bytes.
    let (bytes, ..) = fed(&[port("x", DType::U8, &[-1, 2, 2])], &[("", images())], FILES, &[0]).expect("bytes");
    assert_eq!(bytes, [tensor(&[1, 2, 2], Data::U8(vec![0, 51, 102, 255]))]);
}

#[test]
fn the_batch_goes_where_the_model_has_it() {
    let rows = || [("x", tensor(&[3, 2], Data::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])))];
    let with = |sizes: &[i64], data: &str| fed(&[port("x", DType::F32, sizes)], &rows(), data, &[0, 2]);
    let columns = Tensor::floats([2, 2], vec![1.0, 5.0, 2.0, 6.0]);
    assert_eq!(with(&[2, -1], FILES).expect("fits").0[0], columns);
    let named = r#"{"inputs":"x.npz","feed":{"x":{"batch_axis":1}}}"#;
    assert_eq!(with(&[-1, -1], named).expect("fits").0[0], columns);
    // A fixed batch is filled up with the last sample.
    let (tensors, fixed, _) = with(&[4, 2], FILES).expect("fits");
    assert_eq!((tensors[0].shape(), fixed), (&[4, 2][..], Some(4)));
    assert_eq!(tensors[0].to_f32().expect("floats")[4..], [5.0, 6.0, 5.0, 6.0]);
    // Time is no batch: the samples have that dimension themselves.
    let (tensors, fixed, _) = with(&[1, -1], FILES).expect("fits");
    assert_eq!((tensors[0].shape(), fixed), (&[2, 2][..], Some(1)));
}

#[test]
fn constants_state_and_random_numbers_are_made() {
    let ports = [
        port("x", DType::F32, &[-1, 2]),
        port("state", DType::F32, &[2, -1, 4]),
        port("sr", DType::I64, &[]),
        port("flag", DType::Bool, &[1]),
        port("noise", DType::F32, &[-1, 3]),
        port("ids", DType::I64, &[-1, 3]),
    ];
    let data = r#"{"inputs":"x.npz","feed":{"state":{"zeros":[2,"batch",4]},"sr":{"value":16000},"flag":{"value":true},
        "noise":{"random":{"low":2,"high":3}},"ids":{"random":{"shape":["batch",3],"high":10}}}}"#;
    let x = [("x", Tensor::floats([2, 2], vec![0.0; 4]))];
    let (tensors, fixed, _) = fed(&ports, &x, data, &[0, 1, 1]).expect("fed");
    assert_eq!(tensors[1], Tensor::floats([2, 3, 4], vec![0.0; 24]));
    assert_eq!(tensors[2], tensor(&[], Data::I64(vec![16_000])));
    assert_eq!((&tensors[3], fixed), (&tensor(&[1], Data::Bool(vec![true])), None));
    let noise = tensors[4].to_f32().expect("floats");
    assert!(noise.len() == 9 && noise.iter().all(|number| (2.0..3.0).contains(number)), "{noise:?}");
    assert!(noise[3..6] == noise[6..9] && noise[..3] != noise[3..6], "a sample is the same each time");
    let ids = tensors[5].to_f32().expect("numbers");
    assert!(tensors[5].dtype() == DType::I64 && ids.iter().all(|id| (0.0..10.0).contains(id)));
    for (feed, cause) in [
        (r#"{"sr":{"value":0.5}}"#, "takes whole numbers"),
        (r#"{"sr":{"value":"x"}}"#, "takes numbers, found \"x\""),
        (r#"{"sr":{"value":[1,2]}}"#, "2 values for sr int64[]"),
        (r#"{"sr":{"zeros":["batch","batch"]}}"#, "names \"batch\" twice"),
        (r#"{"sr":{"zeros":["all"]}}"#, "a size is a whole number or \"batch\""),
    ] {
        let data = format!(r#"{{"inputs":"x.npz","feed":{feed}}}"#);
        let message = fed(&[port("sr", DType::I64, &[])], &x, &data, &[0]).expect_err(cause);
        assert!(message.contains(cause), "{message}");
    }
}

#[test]
fn without_data_inputs_are_drawn_from_the_signature() {
    let random = r#"{"inputs":"random"}"#;
    let ports = [port("x", DType::F32, &[-1, 3]), port("ids", DType::I64, &[-1, 2])];
    let (tensors, ..) = fed(&ports, &[], random, &[0, 1]).expect("drawn");
    assert_eq!((tensors[0].shape(), tensors[1].shape()), (&[2, 3][..], &[2, 2][..]));
    let again = fed(&ports, &[], random, &[0, 1]).expect("drawn").0;
    assert_eq!(again, tensors);
    let message = fed(&[port("x", DType::F32, &[-1, -1])], &[], random, &[0]).expect_err("of what length?");
    assert!(
        message.contains("more than one dimension of no fixed size") && message.contains("random = {"),
        "{message}"
    );
}

#[test]
fn samples_of_varying_length_are_padded_to_the_longest_of_a_batch() {
    let ids = tensor(&[3, 4], Data::I64(vec![1, 2, 3, 4, 5, 6, 9, 9, 7, 9, 9, 9]));
    let lengths = tensor(&[3], Data::I64(vec![4, 2, 1]));
    let data = r#"{"inputs":"x.npz","feed":{"ids":{"pad":0,"lengths":"n"}}}"#;
    let with = |sizes: &[i64], numbers: &[usize]| {
        let arrays = [("ids", ids.clone()), ("n", lengths.clone())];
        fed(&[port("ids", DType::I64, sizes)], &arrays, data, numbers).expect("fed").0.remove(0)
    };
    assert_eq!(with(&[-1, -1], &[1, 2]), tensor(&[2, 2], Data::I64(vec![5, 6, 7, 0])));
    assert_eq!(with(&[-1, -1], &[2]), tensor(&[1, 1], Data::I64(vec![7])));
    assert_eq!(with(&[-1, -1], &[1, 0]), tensor(&[2, 4], Data::I64(vec![5, 6, 0, 0, 1, 2, 3, 4])));
    // A model of one length gets that length.
    assert_eq!(with(&[-1, 4], &[2]), tensor(&[1, 4], Data::I64(vec![7, 0, 0, 0])));
    let wrong = tensor(&[3], Data::I64(vec![4, 5, 1]));
    let arrays = [("ids", ids.clone()), ("n", wrong)];
    let message = fed(&[port("ids", DType::I64, &[-1, -1])], &arrays, data, &[0]).expect_err("5 of 4");
    assert!(message.contains("sample 1 has length 5, and there are 4 entries"), "{message}");
}

#[test]
fn types_that_lose_something_are_findings() {
    let float = |value: f64| [("x", tensor(&[1], Data::F64(vec![value])))];
    let port = |dtype| [port("x", dtype, &[-1])];
    let message = fed(&port(DType::F32), &float(0.1), FILES, &[0]).expect_err("rounded");
    assert!(message.contains("cast = true under [data]"), "{message}");
    let cast = r#"{"inputs":"x.npz","cast":true}"#;
    assert_eq!(fed(&port(DType::F32), &float(0.1), cast, &[0]).expect("rounded").0[0], Tensor::floats([1], vec![0.1]));
    let message = fed(&port(DType::I64), &float(0.1), cast, &[0]).expect_err("a float is no id");
    assert!(message.contains("the input x int64[?]: the samples are float64") && message.contains("0c"), "{message}");
}

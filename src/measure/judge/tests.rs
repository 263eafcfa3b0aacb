use std::time::Duration;

use super::scores::{class_of, distance, rank_of};
use super::{Gathered, Judge, class_labels};
use crate::measure::engines::Run;
use crate::profile::{CertaintyMeasure, ModelList, SampleAnswer};
use crate::tensor::{DType, Data, Element, Named, Port, Samples, Signature, Tensor};

fn tensor(shape: &[usize], data: Data) -> Tensor {
    Tensor::new(shape.to_vec(), data).expect("it fits")
}

/// A list with this judge.
fn list(judge: &str) -> ModelList {
    let text = format!(
        r#"{{"format":"planner.models/1","task":"t","data":{{"inputs":"i.npy","labels":"l.npy"}},"judge":{judge},
        "variants":[{{"name":"a","file":"a.onnx"}}]}}"#
    );
    serde_json::from_str(&text).expect("well-formed")
}

fn port(name: &str, dtype: DType) -> Port {
    Port { name: name.to_owned(), element: Element::Tensor(dtype), shape: None }
}

/// Judges one call that gives these outputs to samples with these labels.
fn judged(judge: &str, labels: Tensor, outputs: &[(&str, Tensor)]) -> Result<Vec<SampleAnswer>, String> {
    let list = list(judge);
    assert!(list.validate().0.is_empty(), "{}", list.validate());
    let count = labels.samples();
    let inputs = vec![Named::new("", Tensor::floats([count], vec![0.0; count]))];
    let samples = Samples::new(inputs, String::new()).and_then(|samples| samples.with_labels(labels)).expect("as many");
    let ports = outputs.iter().map(|(name, tensor)| port(name, tensor.dtype())).collect();
    let signature = Signature { inputs: Vec::new(), outputs: ports };
    let judge = Judge::new(&list, &list.variants[0], &signature, &samples, CertaintyMeasure::default())?;
    let outputs = outputs.iter().map(|(name, tensor)| Named::new(*name, tensor.clone())).collect();
    let numbers: Vec<usize> = (0..count).collect();
    judge.answers(&Run { outputs, wall: Duration::ZERO }, &numbers)
}

/// The score of each sample, by its label as the list of labels counts it.
fn scores(judge: &str, labels: Tensor, outputs: &[(&str, Tensor)]) -> Vec<f64> {
    let settings = list(judge).judge_settings();
    let count = labels.samples();
    let inputs = vec![Named::new("", Tensor::floats([count], vec![0.0; count]))];
    let samples =
        Samples::new(inputs, String::new()).and_then(|samples| samples.with_labels(labels.clone())).expect("as many");
    let classes = class_labels(&settings, &samples).expect("labels fit");
    let answers = judged(judge, labels, outputs).expect("judged");
    answers.iter().zip(classes).map(|(answer, label)| answer.score(label)).collect()
}

#[test]
fn classes_are_judged_by_softmax() {
    // Probabilities 1/5, 3/5, 1/5.
    let scores = [0.0, 3.0_f32.ln(), 0.0];
    let entropy = -(0.6 * 0.6_f64.ln() + 0.4 * 0.2_f64.ln());
    let measures = [
        (CertaintyMeasure::TopOneMinusTopTwo, 0.4),
        (CertaintyMeasure::MaxProbability, 0.6),
        (CertaintyMeasure::Entropy, 1.0 - entropy / 3f64.ln()),
    ];
    for (measure, wanted) in measures {
        // The same network with and without its last softmax is equally certain.
        for scores in [scores, [0.2, 0.6, 0.2]] {
            let answer = class_of(&scores, measure);
            assert_eq!(answer.predicted, 1);
            assert!((f64::from(answer.certainty) - wanted).abs() < 1e-6, "{measure:?}: {}", answer.certainty);
        }
        assert_eq!(class_of(&[2.0, 2.0], measure).predicted, 0, "the lower class wins a tie");
    }
    assert_eq!([0, 1, 2].map(|class| rank_of(&[0.3, 0.3, 0.9], class)), [1, 2, 0]);
    assert_eq!([distance(0.75, 0.5), distance(0.1, 0.2), distance(1.5, 0.5)], [Some(0.5), Some(0.5), None]);
    assert!(distance(2.0, 0.0).is_some_and(|far| far > 0.7 && far < 0.8), "tanh 1");
}

#[test]
fn each_kind_scores_as_it_says() {
    let two = |labels: [i64; 2]| tensor(&[2], Data::I64(labels.to_vec()));
    let rows = Tensor::floats([2, 3], vec![5.0, 1.0, 0.0, 0.0, 1.0, 5.0]);
    assert_eq!(scores(r#"{"kind":"top-1"}"#, two([0, 1]), &[("y", rows.clone())]), [1.0, 0.0]);
    assert_eq!(scores(r#"{"kind":"top-k","k":2}"#, two([1, 0]), &[("y", rows.clone())]), [1.0, 0.0]);

    let (words, answers) = (["cat", "dog"].map(str::to_owned), ["cat", "cow"].map(str::to_owned));
    let labels = tensor(&[2], Data::String(words.to_vec()));
    let label = tensor(&[2], Data::String(answers.to_vec()));
    let outputs = [("label", label), ("probabilities", rows.clone())];
    assert_eq!(scores(r#"{"kind":"label","scores":"probabilities"}"#, labels, &outputs), [1.0, 0.0]);
    let outputs = [("label", two([3, 4]))];
    assert_eq!(scores(r#"{"kind":"label"}"#, two([3, 3]), &outputs), [1.0, 0.0]);

    let chances = Tensor::floats([2, 1], vec![0.7, 0.2]);
    assert_eq!(scores(r#"{"kind":"binary"}"#, two([1, 1]), &[("y", chances.clone())]), [1.0, 0.0]);
    let answers = judged(r#"{"kind":"binary"}"#, two([1, 1]), &[("y", chances)]).expect("judged");
    assert!((answers[0].certainty - 0.4).abs() < 1e-6 && (answers[1].certainty - 0.6).abs() < 1e-6, "{answers:?}");

    let many = Tensor::floats([2, 4], vec![0.9, 0.1, 0.8, 0.6, 0.9, 0.1, 0.8, 0.2]);
    let labels = tensor(&[2, 4], Data::U8(vec![1, 0, 1, 0, 1, 0, 1, 0]));
    assert_eq!(scores(r#"{"kind":"multi-label"}"#, labels.clone(), &[("y", many.clone())]), [0.75, 1.0]);
    assert_eq!(scores(r#"{"kind":"multi-label","exact":true}"#, labels, &[("y", many)]), [0.0, 1.0]);

    let (labels, found) = (Tensor::floats([2], vec![10.0, 100.0]), Tensor::floats([2, 1], vec![10.5, 104.0]));
    assert_eq!(scores(r#"{"kind":"number","absolute":1.0}"#, labels.clone(), &[("y", found.clone())]), [1.0, 0.0]);
    assert_eq!(scores(r#"{"kind":"number","relative":0.045}"#, labels, &[("y", found)]), [0.0, 1.0]);

    let (wanted, tokens) = (tensor(&[2, 2], Data::I64(vec![1, 2, 3, 4])), tensor(&[2, 2], Data::I32(vec![1, 2, 3, 5])));
    assert_eq!(scores(r#"{"kind":"exact"}"#, wanted, &[("y", tokens)]), [1.0, 0.0]);
}

#[test]
fn what_cannot_be_judged_is_told() {
    let labels = || tensor(&[1], Data::I64(vec![3]));
    let floats = |shape: &[usize], values: &[f32]| Tensor::floats(shape, values.to_vec());
    let cases: [(&str, Tensor, &str); 8] = [
        (r#"{"kind":"top-1"}"#, floats(&[1, 2, 2], &[0.0; 4]), "an output of 3 dimensions [1, 2, 2] is no row"),
        (r#"{"kind":"top-1"}"#, floats(&[1, 1], &[0.5]), "kind = \"binary\""),
        (r#"{"kind":"top-k","k":2}"#, floats(&[1, 2], &[0.5, 0.1]), "label 3, and the model has classes 0 to 1"),
        (r#"{"kind":"top-1"}"#, floats(&[1, 4], &[0.5, f32::NAN, 0.0, 0.0]), "sample 0 are not finite: 1 of 4"),
        (r#"{"kind":"top-1"}"#, floats(&[0, 4], &[]), "for 1 samples; its first dimension must count them"),
        (r#"{"kind":"binary"}"#, floats(&[1, 2], &[0.5, 0.1]), "2 scores a sample"),
        (r#"{"kind":"binary"}"#, floats(&[1], &[3.5]), "are they logits? write threshold = 0.0"),
        (r#"{"kind":"number","absolute":1.0}"#, floats(&[1, 2], &[0.5, 0.1]), "2 numbers a sample, the labels 1"),
    ];
    for (judge, output, cause) in cases {
        let message = judged(judge, labels(), &[("y", output)]).expect_err(cause);
        assert!(message.contains(cause), "{message}");
    }
    let texts = tensor(&[1], Data::String(vec!["a".to_owned()]));
    let message = judged(r#"{"kind":"top-1"}"#, labels(), &[("y", texts)]).expect_err("text");
    assert!(message.contains("`output` names another"), "{message}");
}

/// skl2onnx gives labels first, then probabilities: the scores are found by themselves.
#[test]
fn the_output_with_scores_is_found() {
    let outputs =
        [("label", tensor(&[1], Data::I64(vec![1]))), ("probabilities", Tensor::floats([1, 2], vec![0.1, 0.9]))];
    let answers = judged(r#"{"kind":"top-1"}"#, tensor(&[1], Data::I64(vec![1])), &outputs).expect("judged");
    assert_eq!(answers[0].predicted, 1);
}

#[test]
fn a_program_judges() {
    let run = |script: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("judge.sh"), script).expect("writable");
        let mut gathered = Gathered::default();
        let output = |first: f32| vec![Named::new("y", Tensor::floats([2, 1], vec![first, first]))];
        gathered.add(&[0, 1], output(1.0)).expect("little");
        // The last call is filled up to a fixed batch.
        gathered.add(&[2], output(3.0)).expect("little");
        let labels = tensor(&[3], Data::I64(vec![7, 8, 9]));
        gathered.judged_by("sh judge.sh", folder.path(), Some(&labels))
    };
    let answers = run("ls \"$1\" | tr '\\n' ' ' >&2; echo sample,score,certainty; echo 1,0.5,0.25; echo 0,1; echo 2,0");
    let scored = |score, certainty| SampleAnswer::scored(score, certainty);
    assert_eq!(answers, Ok(vec![scored(1.0, 0.0), scored(0.5, 0.25), scored(0.0, 0.0)]));
    for (script, cause) in [
        ("echo 0,1; echo 1,1", "did not judge sample 2"),
        ("for i in 0 1 2 3; do echo $i,1; done", "judged 4 samples, and there are 3"),
        ("echo 0,2", "scores and certainties are from 0 to 1"),
        ("echo 0,1; echo 0,1", "judged sample 0 twice"),
        ("exit 3", "ended with exit status: 3"),
        ("echo hello", "a line is sample,score"),
        ("test $(wc -c < \"$1/outputs.npz\") -gt 100 && test -s \"$1/labels.npy\" && echo fine", "printed `fine`"),
    ] {
        let message = run(script).expect_err(cause);
        assert!(message.contains(cause), "{message}");
    }
}

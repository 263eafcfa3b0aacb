use std::fs;
use std::io::Write as _;
use std::path::Path;

use half::f16;
use zip::write::SimpleFileOptions;

use super::{DType, Data, Named, Samples, Tensor, joined, read_arrays, read_npz, read_samples, to_npy, to_npz};

const IMAGES: &[u8] = &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 51, 102, 255];
const LABELS: &[u8] = &[0, 0, 8, 1, 0, 0, 0, 2, 7, 3];

/// Reads a file of these bytes, with labels where there are any.
fn read(name: &str, bytes: &[u8], labels: Option<&[u8]>) -> Result<Samples, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, of_labels) = (folder.path().join(name), folder.path().join("l.idx"));
    fs::write(&file, bytes).expect("writable");
    let labels = labels.map(|labels| fs::write(&of_labels, labels).map(|()| of_labels.as_path()).expect("writable"));
    read_arrays(&file, labels).map_err(|error| error.to_string())
}

fn one(name: &str, bytes: &[u8]) -> Tensor {
    read(name, bytes, None).expect("well-formed").arrays.remove(0).tensor
}

/// An `.npy` file with this header.
fn npy(header: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(body);
    bytes
}

fn tensor(shape: &[usize], data: Data) -> Tensor {
    Tensor::new(shape.to_vec(), data).expect("it fits")
}

#[test]
fn idx_holds_bytes_whole_numbers_and_floats_of_any_rank() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (images, labels) = (folder.path().join("i.idx"), folder.path().join("l.idx"));
    fs::write(&images, IMAGES).expect("writable");
    fs::write(&labels, LABELS).expect("writable");
    let samples = read_samples(&images, Some(&labels)).expect("well-formed");
    assert!(samples.are_pixels && samples.classes() == Some(vec![7, 3]));
    assert_eq!(samples.arrays[0].tensor, tensor(&[2, 1, 2], Data::U8(vec![0, 51, 102, 255])));
    let header = |kind: u8| vec![0, 0, kind, 1, 0, 0, 0, 2];
    let cases = [
        (0x09, vec![0xff, 1], Data::I8(vec![-1, 1])),
        (0x0b, vec![0xff, 0xfe, 1, 0], Data::I16(vec![-2, 256])),
        (0x0c, vec![0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff], Data::I32(vec![65_536, -1])),
        (0x0d, [2.5_f32, -1.0].map(f32::to_be_bytes).concat(), Data::F32(vec![2.5, -1.0])),
        (0x0e, [2.5_f64, -1.0].map(f64::to_be_bytes).concat(), Data::F64(vec![2.5, -1.0])),
    ];
    for (kind, body, wanted) in cases {
        assert_eq!(one("a.idx", &[header(kind), body].concat()), tensor(&[2], wanted), "{kind:x}");
    }
}

#[test]
fn every_type_survives_npz_and_back() {
    let all = [
        ("a", tensor(&[2, 1], Data::F16(vec![f16::from_f32(0.5), f16::from_f32(-2.0)]))),
        ("b", tensor(&[1], Data::F32(vec![1.5]))),
        ("c", tensor(&[], Data::F64(vec![1e300]))),
        ("d", tensor(&[2], Data::I8(vec![-1, 1]))),
        ("e", tensor(&[1], Data::U8(vec![200]))),
        ("f", tensor(&[1], Data::I16(vec![-300]))),
        ("g", tensor(&[1], Data::U16(vec![60_000]))),
        ("h", tensor(&[1], Data::I32(vec![-70_000]))),
        ("i", tensor(&[1], Data::U32(vec![4_000_000_000]))),
        ("j", tensor(&[1], Data::I64(vec![i64::MIN]))),
        ("k", tensor(&[1], Data::U64(vec![u64::MAX]))),
        ("l", tensor(&[2], Data::Bool(vec![true, false]))),
        ("m", tensor(&[2], Data::String(vec!["ä".to_owned(), "dog".to_owned()]))),
        ("n", tensor(&[0, 3], Data::F32(vec![]))),
    ];
    let bytes = to_npz(all.iter().map(|(name, tensor)| (*name, tensor)));
    let wanted: Vec<Named> = all.into_iter().map(|(name, tensor)| Named::new(name, tensor)).collect();
    assert_eq!(read_npz(Path::new("a.npz"), &bytes).expect("own bytes"), wanted);
}

#[test]
fn numpy_writes_both_orders_of_bytes_and_of_dimensions() {
    let plain = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }\n";
    let little: Vec<u8> = (1..=6_i16).flat_map(i16::to_le_bytes).collect();
    let big: Vec<u8> = (1..=6_i16).flat_map(i16::to_be_bytes).collect();
    let rows = tensor(&[2, 3], Data::I16(vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(one("a.npy", &npy(plain, &little)), rows);
    assert_eq!(one("a.npy", &npy(&plain.replace('<', ">"), &big)), rows);
    let columns = tensor(&[2, 3], Data::I16(vec![1, 3, 5, 2, 4, 6]));
    assert_eq!(one("a.npy", &npy(&plain.replace("False", "True"), &little)), columns);
    // Keys in another order, double quotes and Python 2's long numbers are the same.
    let odd = r#"{"shape": (2L, 3L), "fortran_order": False, "descr": "<i2"}"#;
    assert_eq!(one("a.npy", &npy(odd, &little)), rows);
    let text = npy("{'descr': '|S3', 'fortran_order': False, 'shape': (2,)}", b"ab\0xyz");
    assert_eq!(one("a.npy", &text), tensor(&[2], Data::String(vec!["ab".to_owned(), "xyz".to_owned()])));
}

#[test]
fn damaged_arrays_are_findings() {
    let header = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
    let whole = to_npy(&tensor(&[2, 3], Data::I16(vec![1, 2, 3, 4, 5, 6])));
    let huge = "(4294967296, 4294967296, 4294967296)";
    let cases = [
        (b"PK".to_vec(), "does not begin as a NumPy array does"),
        (whole[..9].to_vec(), "cut short within its header"),
        (whole[..40].to_vec(), "cut short within its header"),
        (whole[..whole.len() - 1].to_vec(), "11 bytes follow"),
        (npy(&header("'<f4'", huge), &[0; 4]), "4 bytes follow"),
        (npy(&header("'<f4'", "(-1,)"), &[0; 4]), "a size that is no whole number"),
        (npy(&header("'|O'", "(1,)"), &[0; 8]), "Python objects"),
        (npy(&header("[('a', '<f4')]", "(1,)"), &[0; 4]), "structured elements"),
        (npy(&header("'<c8'", "(1,)"), &[0; 8]), "`<c8`, which no model takes"),
        (npy(&header("'<U0'", "(99999999999,)"), &[]), "too many empty texts"),
        (npy(&header("'<U99999999999999999999'", "(1,)"), &[]), "which no model takes"),
        (npy(&header("'<f4'", "(0, 2)"), &[]), "there is no sample"),
        (npy(&header("'<f4'", "()"), &[0; 4]), "there is no sample"),
        (npy(&header("'<f4'", "(1,)"), &f32::NAN.to_le_bytes()), "there is a NaN"),
        (npy("{}", &[]), "names no element type"),
        (b"\x93NUMPY\x09\x00\x00\x00".to_vec(), "version 9"),
    ];
    for (bytes, cause) in cases {
        let message = read("a.npy", &bytes, None).expect_err(cause);
        assert!(
            message.contains("bad-data") && message.contains("a.npy") && message.contains(cause),
            "{cause}: {message}"
        );
    }
}

/// Whatever is done to a sound file, it is answered with samples or a finding.
#[test]
fn changed_bytes_never_panic() {
    let small = tensor(&[2, 2], Data::F32(vec![1.0, 2.0, 3.0, 4.0]));
    let tensors = br#"{"x":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}"#;
    let safe = [&(tensors.len() as u64).to_le_bytes()[..], tensors, &1.0_f32.to_le_bytes()].concat();
    let json = br#"{"data": [{"A": [1, 2], "B": {"content": ["x"], "shape": [1]}}, {"A": [3, 4], "B": ["y"]}]}"#;
    let files: [(&str, Vec<u8>); 5] = [
        ("a.npy", to_npy(&small)),
        ("a.npz", to_npz([("x", &small), ("y", &small)])),
        ("a.idx", IMAGES.to_vec()),
        ("a.safetensors", safe),
        ("a.json", json.to_vec()),
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, sound) in files {
        let path = folder.path().join(name);
        fs::write(&path, &sound).expect("writable");
        read_arrays(&path, None).expect("sound");
        for place in 0..sound.len() {
            for byte in [0, 0x20, 0x7f, 0xff] {
                let mut bytes = sound.clone();
                bytes[place] = byte;
                fs::write(&path, &bytes).expect("writable");
                let _ = read_arrays(&path, None);
            }
            fs::write(&path, &sound[..place]).expect("writable");
            assert!(read_arrays(&path, None).is_err() || name == "a.npz", "{name} cut at {place}");
        }
    }
}

/// A deflated array of zeros: a thousandth of the memory that it promises.
#[test]
fn a_zip_bomb_ends_at_the_limit() {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in ["a.npy", "b.npy"] {
        archive.start_file(name, SimpleFileOptions::default()).expect("writable");
        let mut header = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (600000000,), }", &[]);
        header.resize(header.len() + (1 << 20), 0);
        archive.write_all(&header).expect("writable");
        for _ in 0..599 {
            archive.write_all(&vec![0; 1 << 20]).expect("writable");
        }
    }
    let bomb = archive.finish().expect("writable").into_inner();
    assert!(bomb.len() < 4 << 20, "{}", bomb.len());
    let message = read_npz(Path::new("b.npz"), &bomb).expect_err("more than 1 GiB").to_string();
    assert!(message.contains("b.npz") && (message.contains("1 GiB") || message.contains("bytes follow")), "{message}");
}

#[test]
fn arrays_of_different_counts_are_findings() {
    let (two, three) = (tensor(&[2], Data::U8(vec![1, 2])), tensor(&[3], Data::U8(vec![1, 2, 3])));
    let message = read("a.npz", &to_npz([("x", &two), ("y", &three)]), None).expect_err("two and three");
    assert!(message.contains("`y` holds 3 samples, `x` 2"), "{message}");
    let message = read("a.npy", &to_npy(&three), Some(LABELS)).expect_err("two labels");
    assert!(message.contains("2 labels for 3 samples"), "{message}");
    let message = read("a.idx", &IMAGES[..19], None).expect_err("cut");
    assert!(message.contains("3 bytes follow"), "{message}");
}

#[test]
fn perf_analyzers_json_is_read() {
    let json = br#"{"data": [{"IN": [1, 2], "T": ["a"]}, {"IN": {"content": [3, 4], "shape": [2]}, "T": ["b"]}]}"#;
    let samples = read("a.json", json, None).expect("well-formed");
    let seen: Vec<_> = samples.arrays.iter().map(|array| (array.name.as_str(), &array.tensor)).collect();
    let (numbers, texts) = (tensor(&[2, 2], Data::I64(vec![1, 2, 3, 4])), Data::String(vec!["a".into(), "b".into()]));
    assert_eq!(seen, [("IN", &numbers), ("T", &tensor(&[2, 1], texts))]);
    for (text, cause) in [
        (r#"{"data": [{"A": [1]}, {"A": [1, 2]}]}"#, "has shape [2] in entry 1"),
        (r#"{"data": [{"A": [1]}, {}]}"#, "stands in 1 of 2 entries"),
        (r#"{"data": [{"A": [1, "x"]}]}"#, "mixes numbers"),
        (r#"{"data": [[{"A": [1]}]]}"#, "entry 0 of `data` is no object"),
        (r#"{"data": [{"A": [[1], [1, 2]]}]}"#, "lists of different lengths"),
        (r#"{"data": []}"#, "it holds no array"),
        ("{", "cannot be read"),
    ] {
        let message = read("a.json", text.as_bytes(), None).expect_err(cause);
        assert!(message.contains(cause), "{message}");
    }
}

#[test]
fn conversions_lose_nothing_unless_floats_may_be_rounded() {
    let to = |data: Data, to: DType, cast: bool| {
        let count = data.len();
        tensor(&[count], data)
            .converted(to, cast)
            .map(|tensor| tensor.data().clone())
            .map_err(|lossy| lossy.to_string())
    };
    assert_eq!(to(Data::I64(vec![1, -2]), DType::I32, false), Ok(Data::I32(vec![1, -2])));
    assert_eq!(to(Data::U64(vec![7]), DType::U8, false), Ok(Data::U8(vec![7])));
    assert_eq!(to(Data::F64(vec![0.5]), DType::F32, false), Ok(Data::F32(vec![0.5])));
    assert_eq!(to(Data::U8(vec![3]), DType::F32, false), Ok(Data::F32(vec![3.0])));
    assert_eq!(to(Data::Bool(vec![true]), DType::I32, false), Ok(Data::I32(vec![1])));
    assert_eq!(to(Data::F64(vec![0.1]), DType::F32, true), Ok(Data::F32(vec![0.1])));
    let refused = [
        (Data::I64(vec![1, 1 << 40]), DType::I32, true, "int32 has no 1099511627776"),
        (Data::I64(vec![(1 << 53) + 1]), DType::F64, true, "float64 has no"),
        (Data::F64(vec![0.1]), DType::F32, false, "float32 has no 0.1"),
        (Data::F64(vec![1e300]), DType::F32, true, "float32 has no"),
        (Data::F32(vec![1.0]), DType::I64, true, "float32 does not become int64"),
        (Data::String(vec![String::new()]), DType::F32, true, "string does not become"),
        (Data::I8(vec![2]), DType::Bool, false, "bool has no 2"),
    ];
    for (data, wanted, cast, cause) in refused {
        let message = to(data, wanted, cast).expect_err(cause);
        assert!(message.contains(cause), "{message}");
    }
}

#[test]
fn rows_move_and_join() {
    let all = tensor(&[3, 2], Data::I32(vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(all.rows([2, 0]), tensor(&[2, 2], Data::I32(vec![5, 6, 1, 2])));
    assert_eq!(all.clone().with_first_at(1), tensor(&[2, 3], Data::I32(vec![1, 3, 5, 2, 4, 6])));
    assert_eq!(joined(&[all.rows([0]), all.rows([1, 2])]), Some(all.clone()));
    assert_eq!(joined(&[all.clone(), tensor(&[1, 3], Data::I32(vec![1, 2, 3]))]), None);
    let deep = tensor(&[2, 2, 2], Data::U8(vec![1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(deep.with_first_at(1), tensor(&[2, 2, 2], Data::U8(vec![1, 2, 5, 6, 3, 4, 7, 8])));
}

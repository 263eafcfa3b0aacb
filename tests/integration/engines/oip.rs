//! The Open Inference Protocol engine, with a small server in this process that keeps to the rules, or does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use planner::base::codec::load;
use planner::measure::engines::oip::Oip;
use planner::measure::engines::{Engine, Session};
#[cfg(feature = "rten")]
use planner::profile::Answers;
use planner::profile::Profile;
use planner::tensor::{Named, Tensor};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::{SAMPLES, profile, small_family};

const MINUTE: Duration = Duration::from_secs(60);

/// Status and body of an answer; nothing where the server hangs.
pub type Answer = Option<(u16, String)>;

/// A server on a free port, whose threads end with their connections.
pub struct Server {
    pub url: String,
    connections: Arc<AtomicUsize>,
    /// Every header of every request.
    headers: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server that answers a request line like `GET /v2` and a body.
    pub fn start(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (connections, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let headers = Arc::new(Mutex::new(Vec::new()));
        let (counter, seen) = (Arc::clone(&connections), Arc::clone(&headers));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || serve(stream, answer.as_ref(), &seen));
            }
        });
        Self { url, connections, headers }
    }

    fn open(&self, model: &str) -> Box<dyn Session> {
        Oip::connect(&self.url, &[], "cpu", MINUTE).expect("ready").open(Path::new(model), &[], 1).expect("a model")
    }
}

/// Answers the requests of one connection until it closes; whatever goes wrong ends it.
fn serve(stream: impl Read + Write, answer: &dyn Fn(&str, &str) -> Answer, headers: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.lock().ok()?.push(header.trim_end().to_owned());
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let request = line.trim_end().trim_end_matches(" HTTP/1.1");
        let Some((status, body)) = answer(request, &String::from_utf8(body).ok()?) else {
            // Hangs until the client has gone.
            return reader.read_to_end(&mut Vec::new()).ok().map(|_| ());
        };
        let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n", body.len());
        reader.get_mut().write_all((head + &body).as_bytes()).ok()?;
    }
}

/// A server of one model called `linear`, whose scores are the pixels; `infer` answers in its place where it says so.
pub fn linear(request: &str, body: &str) -> Answer {
    let answer = match request {
        "GET /v2/health/ready" => return Some((200, String::new())),
        "GET /v2" => json!({ "name": "stub", "version": "2.1", "extensions": [] }),
        "GET /v2/models/linear" => described("FP32"),
        "POST /v2/models/linear/infer" => {
            let asked: Value = serde_json::from_str(body).expect("JSON");
            let input = &asked["inputs"][0];
            assert_eq!((&input["name"], &input["datatype"]), (&json!("pixels"), &json!("FP32")));
            assert_eq!(asked["outputs"], json!([{ "name": "scores" }]));
            scores(&json!([input["shape"][0], 4]), &input["data"])
        }
        _ => return Some((404, json!({ "error": "Model cnn_x not found" }).to_string())),
    };
    Some((200, answer.to_string()))
}

fn described(datatype: &str) -> Value {
    json!({
        "name": "linear", "platform": "stub",
        "inputs": [{ "name": "pixels", "datatype": datatype, "shape": [-1, 1, 2, 2] }],
        "outputs": [{ "name": "scores", "datatype": "FP32", "shape": [-1, 4] }, { "name": "other", "datatype": "FP32", "shape": [1] }],
    })
}

fn scores(shape: &Value, data: &Value) -> Value {
    json!({ "model_name": "linear", "outputs": [{ "name": "scores", "datatype": "FP32", "shape": shape, "data": data }] })
}

/// Writes a model list whose one model is on a server only.
pub fn served_family(folder: &Path) -> PathBuf {
    let models = small_family(folder);
    let list = std::fs::read_to_string(&models).expect("just written").replace("linear.json", "linear");
    std::fs::write(&models, list).expect("writable");
    std::fs::remove_file(folder.join("linear.json")).expect("just written");
    models
}

fn batch(samples: usize) -> Vec<Named> {
    vec![Named::new("", Tensor::floats([samples, 1, 2, 2], (0..samples * 4).map(|place| place as f32 / 8.0).collect()))]
}

#[test]
fn a_family_is_profiled_through_a_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (models, path, server) = (served_family(folder.path()), folder.path().join("p.json"), Server::start(linear));
    let (code, stderr) = profile(&models, &path, &["--engine", "oip", "--url", &server.url, "--device", "npu"]);
    assert_eq!(code, 0, "{stderr}");
    let profile = load::<Profile>(&path).expect("a sound profile").document;
    let variant = profile.variant("linear").expect("measured");
    assert_eq!((variant.engine.as_str(), variant.sha256.as_str()), ("oip stub 2.1", ""));
    assert_eq!((variant.accuracy.value.get(), variant.accuracy.samples), (1.0, u64::from(SAMPLES)));
    assert!(profile.points.iter().all(|point| point.device == "npu" && !point.conditions.contended));
}

#[test]
fn scores_come_back_in_order_over_one_connection() {
    let server = Server::start(linear);
    let mut session = server.open("folder/linear.onnx");
    let before = server.connections.load(Ordering::SeqCst);
    for samples in [1, 8, 3] {
        let run = session.run(&batch(samples)).expect("it runs");
        let sent = batch(samples).remove(0).tensor.reshaped(vec![samples, 4]);
        assert_eq!(Some(&run.outputs[0].tensor), sent.as_ref());
        assert!(run.wall > Duration::ZERO);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), before, "the connection that opened it stays open");
}

#[test]
fn scores_come_nested_too_and_may_be_no_numbers() {
    for (data, wanted) in [
        ("[[1,2],[3,4]]", [1.0, 2.0, 3.0, 4.0]),
        ("[NaN,2,-Infinity,null]", [f32::NAN, 2.0, f32::NAN, f32::NAN]),
        ("[1e300,2,3,4]", [f32::INFINITY, 2.0, 3.0, 4.0]),
    ] {
        let answer = scores(&json!([2, 2]), &json!("DATA")).to_string().replace("\"DATA\"", data);
        let server = Server::start(move |request, rest| {
            if request.starts_with("POST") { Some((200, answer.clone())) } else { linear(request, rest) }
        });
        let run = server.open("linear").run(&batch(2)).expect(data);
        let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
        let scores = run.outputs[0].tensor.to_f32().expect("floats");
        assert!(scores.len() == 4 && scores.iter().zip(&wanted).all(same), "{data}: {scores:?}");
    }
}

#[test]
fn scores_that_are_no_numbers_are_told_in_a_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (models, path) = (served_family(folder.path()), folder.path().join("p.json"));
    let server = Server::start(|request, rest| {
        let answer = linear(request, rest);
        if !request.starts_with("POST") {
            return answer;
        }
        answer.map(|(status, body)| (status, body.replacen("0.0", "NaN", 1)))
    });
    let (code, stderr) = profile(&models, &path, &["--engine", "oip", "--url", &server.url]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("are not finite") && stderr.len() < 500, "{stderr}");
}

/// Headers reach every request of every process, whether given as options or in the environment.
#[test]
fn every_request_carries_the_headers_of_the_user() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = served_family(folder.path());
    for (name, options, variable) in [
        ("option", &["--header", "Authorization: Bearer t0ken", "--header", "X-Team:  a b"][..], ""),
        ("variable", &[], "Authorization: Bearer t0ken\nX-Team: a b\n"),
    ] {
        let server = Server::start(linear);
        let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
        command.arg("profile").arg(&models).arg("-o").arg(folder.path().join(name));
        command.args(["--batches", "1", "--cores", "1", "--budget-ms", "5", "--engine", "oip", "--url", &server.url]);
        if !variable.is_empty() {
            command.env("PLANNER_HEADERS", variable);
        }
        command.args(options).assert().success();
        let headers = server.headers.lock().expect("no thread panicked");
        let count = |wanted: &str| headers.iter().filter(|header| header.eq_ignore_ascii_case(wanted)).count();
        let requests = headers.iter().filter(|header| header.to_lowercase().starts_with("host:")).count();
        assert!(requests > 4, "{name}: {headers:?}");
        assert_eq!([count("authorization: Bearer t0ken"), count("x-team: a b")], [requests; 2], "{name}");
    }
}

/// TLS is spoken with a server whose authority the machine trusts, and with no other.
#[test]
fn a_server_is_asked_over_tls_where_its_authority_is_trusted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = served_family(folder.path());
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/engines/tls");
    let url = encrypted(&keys);
    for (authority, trusted) in [("ca.pem", true), ("server.key", false)] {
        let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
        command.arg("profile").arg(&models).arg("-o").arg(folder.path().join(authority));
        command.args(["--batches", "1", "--cores", "1", "--budget-ms", "5", "--engine", "oip", "--url", &url]);
        let output = command.env("SSL_CERT_FILE", keys.join(authority)).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), trusted, "{authority}: {stderr}");
        assert!(trusted || stderr.contains("SSL_CERT_FILE"), "{stderr}");
    }
}

/// Starts a server that speaks TLS with the key in a folder, and returns its URL.
fn encrypted(keys: &Path) -> String {
    let certificates = CertificateDer::pem_file_iter(keys.join("server.pem")).expect("a file");
    let certificates = certificates.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(keys.join("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = Arc::new(config.with_no_client_auth().with_single_cert(certificates, key).expect("they fit"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://localhost:{}", listener.local_addr().expect("bound").port());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a sound configuration");
            thread::spawn(move || serve(StreamOwned::new(connection, stream), &linear, &Mutex::default()));
        }
    });
    url
}

#[test]
fn models_that_do_not_fit_are_findings() {
    let of = |body: Value| {
        move |request: &str, rest: &str| match request {
            "GET /v2/models/linear" => Some((200, body.to_string())),
            _ => linear(request, rest),
        }
    };
    let two = json!({ "inputs": [{ "name": "a", "datatype": "FP32" }, { "name": "b", "datatype": "FP32" }] });
    for (server, file, output, said) in [
        (Server::start(linear), "cnn_x.onnx", None, "has no model `cnn_x`: 404 Model cnn_x not found"),
        (Server::start(linear), "linear.onnx", Some("nope"), "no output `nope`\n  hint: outputs are scores, other"),
        (Server::start(of(described("BYTES"))), "linear.onnx", None, "the input `pixels` of `linear` takes BYTES"),
        (Server::start(of(two)), "linear.onnx", None, "says that `linear` has 2 inputs"),
    ] {
        let engine = Oip::connect(&server.url, &[], "cpu", MINUTE).expect("ready");
        let error =
            engine.open(Path::new(file), &output.into_iter().collect::<Vec<_>>(), 1).err().expect(said).to_string();
        assert!(error.starts_with(&format!("error[bad-model]: {file}: oip: ")) && error.contains(said), "{error}");
    }
}

#[test]
fn answers_that_are_none_are_told() {
    for (status, body, said) in [
        (200, "hello".to_owned(), "/v2/models/linear/infer answered `hello`: expected value"),
        (200, "{}".to_owned(), "missing field `outputs`"),
        (200, r#"{"outputs": []}"#.to_owned(), "answered without the output `scores`"),
        (200, scores(&json!([1, 4]), &json!([1, 2, 3])).to_string(), "3 scores for 1 samples of 4 classes"),
        (
            200,
            scores(&json!([1, 4]), &json!([[1, 2], [3, 4]])).to_string(),
            "in 2 rows, which its shape [1, 4] contradicts",
        ),
        (200, scores(&json!([4]), &json!([1, 2, 3, 4])).to_string(), "in the shape [4] for 1 samples"),
        (200, scores(&json!([]), &json!([1])).to_string(), "in the shape [] for 1 samples"),
        (200, scores(&json!([1, 2]), &json!([1, "x"])).to_string(), "invalid type"),
        (400, json!({ "error": "wrong shape" }).to_string(), "refused the batch: 400 wrong shape"),
        (500, "<html>oh</html>".to_owned(), "refused the batch: 500 <html>oh</html>"),
    ] {
        let server = Server::start(move |request, rest| match request {
            "POST /v2/models/linear/infer" => Some((status, body.clone())),
            _ => linear(request, rest),
        });
        let error = server.open("linear.onnx").run(&batch(1)).expect_err(said).to_string();
        assert!(error.starts_with("engine oip: ") && error.contains(said), "{said}: {error}");
    }
    let server = Server::start(|request, rest| {
        let answer = scores(&json!([1, 1]), &json!([1])).to_string().replace("FP32", "INT64");
        if request.starts_with("POST") { Some((200, answer)) } else { linear(request, rest) }
    });
    let error = server.open("linear.onnx").run(&batch(1)).expect_err("another type").to_string();
    assert!(error.contains("answered `scores` as INT64; only FP32 is supported"), "{error}");
}

#[test]
fn a_server_that_is_none_is_told() {
    let unready = Server::start(|_, _| Some((503, String::new())));
    let silent = Server::start(|_, _| None);
    // Nobody listens on a port that was just given back.
    let down = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    for (url, said) in [
        (unready.url.as_str(), "is not ready: 503"),
        (&silent.url, "/v2/health/ready did not answer within 0.3 s\n  hint: where it needs longer, pass --engine"),
        (&format!("http://{down}"), "/v2/health/ready cannot be asked"),
        ("localhost:8000", "`localhost:8000` does not begin with http:// or https://"),
        (&unready.url.replace("http:", "https:"), "/v2/health/ready cannot be asked"),
    ] {
        let begin = Instant::now();
        let error = Oip::connect(url, &[], "cpu", Duration::from_millis(300)).expect_err(said).to_string();
        assert!(error.contains(said), "{url}: {error}");
        assert!(begin.elapsed() < Duration::from_secs(30), "{url}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Server::start(linear);
    let place = format!("{}/v2/health/ready", other.url);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let answer = format!("HTTP/1.1 307 -\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let error = Oip::connect(&url, &[], "cpu", MINUTE).expect_err("a redirect").to_string();
    assert!(error.contains(&format!("redirects to {place}, which is not followed")), "{error}");
    assert_eq!(other.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn a_server_that_hangs_in_a_call_is_not_waited_for() {
    let server = Server::start(|request, rest| match request {
        "POST /v2/models/linear/infer" => None,
        _ => linear(request, rest),
    });
    let engine = Oip::connect(&server.url, &[], "cpu", Duration::from_secs(1)).expect("ready");
    let mut session = engine.open(Path::new("linear.onnx"), &[], 1).expect("a model");
    let error = session.run(&batch(1)).expect_err("it hangs").to_string();
    assert!(error.contains("/infer did not answer within 1 s"), "{error}");
}

#[test]
fn the_cores_of_a_server_must_be_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (models, path) = (small_family(folder.path()), folder.path().join("p.json"));
    let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
    command.arg("profile").arg(&models).arg("-o").arg(&path).args(["--engine", "oip", "--url", "http://127.0.0.1:1"]);
    let stderr = String::from_utf8(command.output().expect("it runs").stderr).expect("text");
    assert!(stderr.contains("the cores of a server are its own") && stderr.contains("--cores"), "{stderr}");
}

/// The same models through a real server and in this process: the same answers, certainties within float tolerance.
#[cfg(feature = "rten")]
#[test]
#[expect(clippy::print_stderr, reason = "says why a test that passes compared nothing")]
fn mlserver_and_rten_answer_alike() {
    let Ok(url) = std::env::var("PLANNER_MLSERVER_URL") else {
        eprintln!("not compared: PLANNER_MLSERVER_URL names no server (scripts/mlserver starts one)");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits");
    let path = |name: &str| digits.join(name).display().to_string();
    let list = format!(
        "format = \"planner.models/1\"\ntask = \"digits\"\n[data]\nimages = {:?}\nlabels = {:?}\n\
         [[variants]]\nname = \"cnn_m\"\nfile = {:?}\n",
        path("test-images.idx.gz"),
        path("test-labels.idx.gz"),
        path("cnn_m.onnx"),
    );
    let models = folder.path().join("models.toml");
    std::fs::write(&models, list).expect("writable");
    let profiled = |engine: &[&str], file: &str| {
        let into = folder.path().join(file);
        let (code, stderr) = profile(&models, &into.with_extension("json"), engine);
        assert_eq!(code, 0, "{engine:?}: {stderr}");
        let profile = load::<Profile>(&into.with_extension("json")).expect("a sound profile").document;
        let file = into.with_extension("answers.csv.gz");
        (profile, Answers::from_csv_gz(&std::fs::read(&file).expect("written"), &file).expect("sound"))
    };
    let (by_server, served) = profiled(&["--engine", "oip", "--url", &url], "served");
    let (by_rten, here) = profiled(&["--engine", "rten"], "here");
    let points: Vec<_> = by_server.points.iter().map(|point| (point.batch, point.cores, point.cpu_ms)).collect();
    assert_eq!(points, [(1, 1, None), (4, 1, None)]);
    let [a, b] = [&by_server, &by_rten].map(|profile| profile.variant("cnn_m").expect("measured"));
    assert!(a.engine.starts_with("oip mlserver "), "{}", a.engine);
    assert_eq!((a.accuracy.value, a.accuracy.samples), (b.accuracy.value, 2000));
    let pairs = served.of("cnn_m").into_iter().flatten().zip(here.of("cnn_m").into_iter().flatten());
    let mut compared = 0;
    for (sample, (a, b)) in pairs.enumerate() {
        assert_eq!(a.predicted, b.predicted, "sample {sample}");
        assert!((a.certainty - b.certainty).abs() < 1e-3, "sample {sample}: {a:?} {b:?}");
        compared += 1;
    }
    assert_eq!(compared, 2000);
}

//! A running server that speaks the Open Inference Protocol (KServe v2) over HTTP, like Triton, MLServer, OpenVINO.
//!
//! ```text
//! GET  /v2/health/ready         is it there?
//! GET  /v2                      name and version of the server
//! GET  /v2/models/NAME          name, type and shape of inputs and outputs
//! POST /v2/models/NAME/infer    one batch
//! ```

use std::path::Path;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::error::Error;
use crate::measure::engines::{Engine, Run, Session, checked, refused_model, samples_of, shown};
use crate::tensor::{DType, Data, Named};

const NAME: &str = "oip";

/// The only type of numbers that goes to and fro.
const FP32: &str = "FP32";

/// Bytes of an answer at most; one that is larger answers no classifier's batch.
const LARGEST_ANSWER: u64 = 1 << 30;

/// A server of models.
#[derive(Debug, Clone)]
pub struct Oip {
    url: String,
    device: String,
    limit: Duration,
    version: String,
}

impl Oip {
    /// Asks the server whether it is ready and who it is. Every answer may take as long as `limit`.
    ///
    /// `url` is the server's root, like `http://host:8000`; `device` is what points will say they were measured on.
    ///
    /// # Errors
    /// [`Error::Engine`] where there is no such server or it is not ready; [`Error::Unsupported`] for another protocol.
    pub fn connect(url: &str, device: &str, limit: Duration) -> Result<Self, Error> {
        if !url.starts_with("http://") {
            return Err(Error::Unsupported {
                what: format!("`{url}` does not begin with http://"),
                hint: "name the root of the server, like http://localhost:8000; encryption is not supported".to_owned(),
            });
        }
        let url = url.trim_end_matches('/').to_owned();
        let client = Client::new(&url, limit);
        let ready = client.get("/v2/health/ready")?;
        if !ready.is_success() {
            return Err(failed(format!("{url} is not ready: {}", ready.told())));
        }
        let about = client.get("/v2")?.read::<Server>();
        // Servers that only serve inference need not tell; the protocol's version stands for theirs.
        let version = about.map_or_else(|_| "v2".to_owned(), |server| format!("{} {}", server.name, server.version));
        Ok(Self { url, device: device.to_owned(), limit, version })
    }
}

impl Engine for Oip {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn device(&self) -> String {
        self.device.clone()
    }

    fn works_here(&self) -> bool {
        false
    }

    fn reads_files(&self) -> bool {
        false
    }

    fn holds(&self, declared: DType) -> Option<DType> {
        (declared == DType::F32).then_some(declared)
    }

    /// The server's name of a model is the file's name without its ending; the file itself is not sent, and the server
    /// alone decides how many cores it uses.
    fn open(&self, model: &Path, outputs: &[&str], _: u32) -> Result<Box<dyn Session>, Error> {
        let output = outputs.first().copied();
        let refused = |cause: String, action: &str| Err(refused_model(NAME, model, cause, action));
        let name = model.file_stem().unwrap_or_default().to_string_lossy();
        let client = Client::new(&self.url, self.limit);
        let answer = client.get(&format!("/v2/models/{name}"))?;
        if !answer.is_success() {
            let cause = format!("{} has no model `{name}`: {}", self.url, answer.told());
            return refused(cause, "the server must serve it under the file's name without its ending");
        }
        let metadata: Metadata = answer.read()?;
        let [input] = metadata.inputs.as_slice() else {
            let cause = format!("{} says that `{name}` has {} inputs", self.url, metadata.inputs.len());
            return refused(cause, "the server's metadata must name exactly one input");
        };
        if input.datatype != FP32 {
            let cause = format!("the input `{}` of `{name}` takes {}", input.name, input.datatype);
            return refused(cause, "only FP32 is supported");
        }
        let known = |wanted: &str| metadata.outputs.iter().any(|output| output.name == wanted);
        if let Some(wanted) = output.filter(|wanted| !known(wanted)) {
            let names: Vec<_> = metadata.outputs.iter().map(|output| output.name.as_str()).collect();
            return refused(format!("`{name}` has no output `{wanted}`"), &format!("outputs are {}", names.join(", ")));
        }
        let output = output.or_else(|| metadata.outputs.first().map(|output| output.name.as_str()));
        let (path, input, output) = (format!("/v2/models/{name}/infer"), input.name.clone(), output.map(str::to_owned));
        Ok(Box::new(OipSession { client, path, input, output }))
    }
}

struct OipSession {
    client: Client,
    path: String,
    input: String,
    output: Option<String>,
}

impl Session for OipSession {
    fn run(&mut self, inputs: &[Named]) -> Result<Run, Error> {
        let [Named { tensor, .. }] = inputs else {
            return Err(failed(format!("the server is given one input, not {}", inputs.len())));
        };
        let Data::F32(data) = tensor.data() else {
            return Err(failed(format!("the server is given float32, not {}", tensor.dtype())));
        };
        let tensor = Sent { name: &self.input, shape: tensor.shape(), datatype: FP32, data };
        let outputs = self.output.iter().map(|name| Wanted { name }).collect();
        let ask = Infer { inputs: [tensor], outputs };
        let ask = serde_json::to_string(&ask).map_err(|error| failed(error.to_string()))?;
        let begin = Instant::now();
        let answer = self.client.post(&self.path, &ask)?;
        let wall = begin.elapsed();
        if !answer.is_success() {
            return Err(failed(format!("{} refused the batch: {}", answer.from, answer.told())));
        }
        let inferred: Inferred = answer.read()?;
        let is_wanted = |tensor: &Received| self.output.as_ref().is_none_or(|wanted| *wanted == tensor.name);
        let Some(tensor) = inferred.outputs.into_iter().find(is_wanted) else {
            let wanted = self.output.as_deref().unwrap_or("any");
            return Err(failed(format!("{} answered without the output `{wanted}`", answer.from)));
        };
        if tensor.datatype != FP32 {
            let cause = format!("{} answered `{}` as {}", answer.from, tensor.name, tensor.datatype);
            return Err(failed(format!("{cause}; only {FP32} is supported")));
        }
        let samples = samples_of(inputs);
        if tensor.shape.first() != Some(&samples) {
            let cause = format!("{} answered `{}` in the shape {:?}", answer.from, tensor.name, tensor.shape);
            return Err(failed(format!("{cause} for {samples} samples; the first dimension counts the samples")));
        }
        let classes = tensor.shape[1..].iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let scores = checked(NAME, (tensor.data, classes.unwrap_or(usize::MAX)), samples)?;
        Ok(Run { outputs: vec![Named::new("", scores)], wall })
    }
}

fn failed(message: String) -> Error {
    Error::Engine { engine: NAME, message }
}

#[derive(Deserialize)]
struct Server {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    inputs: Vec<Described>,
    #[serde(default)]
    outputs: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    datatype: String,
}

#[derive(Serialize)]
struct Infer<'a> {
    inputs: [Sent<'a>; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<Wanted<'a>>,
}

#[derive(Serialize)]
struct Sent<'a> {
    name: &'a str,
    shape: &'a [usize],
    datatype: &'a str,
    data: &'a [f32],
}

#[derive(Serialize)]
struct Wanted<'a> {
    name: &'a str,
}

#[derive(Deserialize)]
struct Inferred {
    outputs: Vec<Received>,
}

#[derive(Deserialize)]
struct Received {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    data: Vec<f32>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A client with connections of its own, which stay open between calls.
struct Client {
    agent: ureq::Agent,
    url: String,
    limit: Duration,
}

/// What a server answered.
struct Answer {
    from: String,
    status: u16,
    body: String,
}

impl Client {
    fn new(url: &str, limit: Duration) -> Self {
        // No proxy: the round trip to the server itself is what counts, and the library reads no environment.
        // No redirects: they lead to another server than the one that is named.
        let config = ureq::Agent::config_builder().timeout_global(Some(limit)).http_status_as_error(false);
        let config = config.proxy(None).max_redirects(0);
        Self { agent: ureq::Agent::new_with_config(config.build()), url: url.to_owned(), limit }
    }

    fn get(&self, path: &str) -> Result<Answer, Error> {
        let address = format!("{}{path}", self.url);
        self.finish(&address, self.agent.get(&address).call())
    }

    fn post(&self, path: &str, body: &str) -> Result<Answer, Error> {
        let address = format!("{}{path}", self.url);
        self.finish(&address, self.agent.post(&address).header("content-type", "application/json").send(body))
    }

    fn finish(
        &self,
        address: &str,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, Error> {
        let read = |mut response: ureq::http::Response<ureq::Body>| {
            let body = response.body_mut().with_config().limit(LARGEST_ANSWER).read_to_string()?;
            let to = response.headers().get("location").map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
            Ok((Answer { from: address.to_owned(), status: response.status().as_u16(), body }, to))
        };
        let (answer, to) = response.and_then(read).map_err(|error| match error {
            ureq::Error::Timeout(_) => failed(format!(
                "{address} did not answer within {} s\n  hint: where it needs longer, pass --engine-timeout-s",
                self.limit.as_secs_f64()
            )),
            error => {
                failed(format!("{address} cannot be asked: {error}\n  hint: is the server up, and this its address?"))
            }
        })?;
        if (300..400).contains(&answer.status) {
            let to = to.map_or_else(|| "no place".to_owned(), |to| shown(&to));
            return Err(failed(format!(
                "{address} redirects to {to}, which is not followed\n  hint: name the server that answers itself"
            )));
        }
        Ok(answer)
    }
}

impl Answer {
    const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// Returns the status and the server's own words.
    fn told(&self) -> String {
        let words =
            serde_json::from_str::<Refusal>(&self.body).map_or_else(|_| shown(&self.body), |refusal| refusal.error);
        format!("{} {words}", self.status).trim_end().to_owned()
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.body)
            .map_err(|error| failed(format!("{} answered `{}`: {error}", self.from, shown(&self.body))))
    }
}

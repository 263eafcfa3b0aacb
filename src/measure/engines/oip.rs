//! A running server that speaks the Open Inference Protocol (KServe v2) over HTTP, like Triton, MLServer, OpenVINO.
//!
//! ```text
//! GET  /v2/health/ready         is it there?
//! GET  /v2                      name and version of the server
//! GET  /v2/models/NAME          name, type and shape of inputs and outputs
//! POST /v2/models/NAME/infer    one batch
//! ```

mod client;
mod message;

use std::path::Path;
use std::time::{Duration, Instant};

pub use client::Header;
use client::{Client, escaped};
use message::{About, FP32, Infer, Inferred, Metadata, Received, Sent, Wanted};

use crate::base::error::Error;
use crate::measure::engines::{Engine, Run, Session, checked, refused_model, samples_of, shown};
use crate::tensor::{DType, Data, Named};

const NAME: &str = "oip";

/// A server of models.
#[derive(Debug, Clone)]
pub struct Oip {
    client: Client,
    device: String,
    version: String,
}

impl Oip {
    /// Asks the server whether it is ready and who it is. Every answer may take as long as `limit`.
    ///
    /// `url` is the server's root, like `http://host:8000`; every request carries `headers`; `device` is what points
    /// will say they were measured on.
    ///
    /// # Errors
    /// [`Error::Engine`] where there is no such server or it is not ready; [`Error::Unsupported`] for a URL that is not
    /// the root of a server.
    pub fn connect(url: &str, headers: &[Header], device: &str, limit: Duration) -> Result<Self, Error> {
        let client = Client::new(url, headers, limit)?;
        let ready = client.get("/v2/health/ready")?;
        if !ready.is_success() {
            return Err(failed(format!("{} is not ready: {}", client.url, ready.told())));
        }
        let about = client.get("/v2")?.read::<About>();
        // Servers that only serve inference need not tell; the protocol's version stands for theirs.
        let version = about.map_or_else(|_| "v2".to_owned(), |server| format!("{} {}", server.name, server.version));
        Ok(Self { client, device: device.to_owned(), version })
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

    /// The file's name is the server's name of the model; the file itself is not sent, and the server alone decides how
    /// many cores it uses.
    fn open(&self, model: &Path, outputs: &[&str], _: u32) -> Result<Box<dyn Session>, Error> {
        let output = outputs.first().copied();
        let refused = |cause: String, action: &str| Err(refused_model(NAME, model, cause, action));
        let (client, name) = (self.client.with_own_connections(), served_name(model));
        let place = format!("/v2/models/{}", escaped(&name));
        let answer = client.get(&place)?;
        if !answer.is_success() {
            let cause = format!("{} has no model `{name}`: {}", client.url, answer.told());
            return refused(cause, "`file` must be the server's name of the model, with or without .onnx");
        }
        let metadata: Metadata = answer.read()?;
        let [input] = metadata.inputs.as_slice() else {
            let cause = format!("{} says that `{name}` has {} inputs", client.url, metadata.inputs.len());
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
        let (input, output) = (input.name.clone(), output.map(str::to_owned));
        Ok(Box::new(OipSession { client, path: format!("{place}/infer"), input, output }))
    }
}

/// Returns the server's name of a model: the file's name as it stands, since names like `resnet50-v1.5` have dots. Only
/// `.onnx` is cut off, so that one list serves embedded engines too.
fn served_name(model: &Path) -> String {
    let name = model.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".onnx").unwrap_or(&name).to_owned()
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
            let cause = format!("{} answered `{}` in the shape {}", answer.from, tensor.name, listed(&tensor.shape));
            return Err(failed(format!("{cause} for {samples} samples; the first dimension counts the samples")));
        }
        if let Some(rows) = tensor.data.rows.filter(|rows| *rows != samples) {
            let cause = format!("{} answered `{}` in {rows} rows", answer.from, tensor.name);
            return Err(failed(format!("{cause}, which its shape {} contradicts", listed(&tensor.shape))));
        }
        let classes = tensor.shape[1..].iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let scores = checked(NAME, (tensor.data.values, classes.unwrap_or(usize::MAX)), samples)?;
        Ok(Run { outputs: vec![Named::new("", scores)], wall })
    }
}

/// Returns a shape that a server answered, which may be of any length.
fn listed(shape: &[usize]) -> String {
    shown(&format!("{:?}", &shape[..shape.len().min(64)]))
}

fn failed(message: String) -> Error {
    Error::Engine { engine: NAME, message }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::served_name;

    #[test]
    fn a_model_is_asked_for_by_the_name_that_the_list_gives() {
        for (file, name) in [
            ("cnn_s.onnx", "cnn_s"),
            ("folder/cnn_s.onnx", "cnn_s"),
            ("resnet50-v1.5", "resnet50-v1.5"),
            ("yolov8.1.onnx", "yolov8.1"),
            ("iris", "iris"),
        ] {
            assert_eq!(served_name(Path::new(file)), name);
        }
    }
}

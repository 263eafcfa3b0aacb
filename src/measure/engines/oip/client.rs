//! HTTP and TLS: one request, one answer, both bounded.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue};
use ureq::tls::{RootCerts, TlsConfig};

use super::failed;
use super::message::{Refusal, without_literals};
use crate::base::error::Error;
use crate::measure::engines::shown;

/// Bytes of an answer at most: a thousand scores for each of 16,384 samples.
const LARGEST_ANSWER: u64 = 1 << 28;

/// A header that every request carries, like `Authorization: Bearer TOKEN`. Its value is a secret: nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: HeaderName,
    value: HeaderValue,
}

impl Header {
    /// Reads a line `NAME: VALUE`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another line, without what may be a secret in it.
    pub fn parse(line: &str) -> Result<Self, Error> {
        let refused = |what: String| Error::Unsupported {
            what,
            hint: "write a header as NAME: VALUE, like 'Authorization: Bearer TOKEN'".to_owned(),
        };
        let (name, value) =
            line.split_once(':').ok_or_else(|| refused("a header is not NAME: VALUE: it has no colon".to_owned()))?;
        let name = name.trim();
        let known = HeaderName::try_from(name)
            .map_err(|_| refused(format!("`{}` is not the name of a header", shown(name).escape_debug())))?;
        let value = HeaderValue::try_from(value.trim())
            .map_err(|_| refused(format!("the value of the header `{name}` has a letter that no header may have")))?;
        Ok(Self { name: known, value })
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: …", self.name)
    }
}

/// A client with connections of its own, which stay open between calls.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    pub url: String,
    headers: Vec<Header>,
    limit: Duration,
}

/// What a server answered.
pub struct Answer {
    pub from: String,
    status: u16,
    body: String,
}

impl Client {
    /// Makes ready to ask the server whose root is `url`.
    pub fn new(url: &str, headers: &[Header], limit: Duration) -> Result<Self, Error> {
        let place = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let refused = |what: String, hint: &str| Err(Error::Unsupported { what, hint: hint.to_owned() });
        let Some(place) = place else {
            let what = format!("`{url}` does not begin with http:// or https://");
            return refused(what, "name the root of the server, like http://localhost:8000");
        };
        if place.split(['/', '?', '#']).next().is_some_and(|host| host.contains('@')) {
            // Every error and every list of processes would show it.
            let what = "the URL holds a name or a password".to_owned();
            return refused(what, "pass them as a header, like 'Authorization: Basic …'");
        }
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { agent: agent(limit), url, headers: headers.to_vec(), limit })
    }

    /// Returns a client of the same server that shares no connection with this one.
    pub fn with_own_connections(&self) -> Self {
        Self { agent: agent(self.limit), ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Result<Answer, Error> {
        let address = format!("{}{path}", self.url);
        let request = self.headers.iter().fold(self.agent.get(&address), |request, header| {
            request.header(header.name.clone(), header.value.clone())
        });
        self.finish(&address, request.call())
    }

    pub fn post(&self, path: &str, body: &str) -> Result<Answer, Error> {
        let address = format!("{}{path}", self.url);
        let request = self.agent.post(&address).header("content-type", "application/json");
        let request = self
            .headers
            .iter()
            .fold(request, |request, header| request.header(header.name.clone(), header.value.clone()));
        self.finish(&address, request.send(body))
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
        let (answer, to) = response.and_then(read).map_err(|error| self.unanswered(address, &error))?;
        if (300..400).contains(&answer.status) {
            let to = to.map_or_else(|| "no place".to_owned(), |to| shown(&to));
            return Err(failed(format!(
                "{address} redirects to {to}, which is not followed\n  hint: name the server that answers itself"
            )));
        }
        Ok(answer)
    }

    /// Says why there is no answer, and what would help.
    fn unanswered(&self, address: &str, error: &ureq::Error) -> Error {
        let (what, hint) = match error {
            ureq::Error::Timeout(_) => (
                format!("{address} did not answer within {} s", self.limit.as_secs_f64()),
                "where it needs longer, pass --engine-timeout-s",
            ),
            ureq::Error::BodyExceedsLimit(most) => {
                (format!("{address} answered more than {} MB", most >> 20), "measure smaller batches")
            }
            // What TLS finds wrong comes as an error of reading.
            error if error.to_string().contains("certificate") => (
                format!("{address} cannot be asked: {error}"),
                "this machine must trust who signed the server's certificate; SSL_CERT_FILE names a file of others",
            ),
            error => (format!("{address} cannot be asked: {error}"), "is the server up, and is this its address?"),
        };
        failed(format!("{what}\n  hint: {hint}"))
    }
}

fn agent(limit: Duration) -> Agent {
    // No proxy: the round trip to the server itself is what counts, and the library reads no environment.
    // No redirects: they lead to another server than the one that is named, with the headers meant for this one.
    // The machine's own authorities, as for every other client on it: a company's servers have a company's certificates.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder().timeout_global(Some(limit)).http_status_as_error(false);
    Agent::new_with_config(config.proxy(None).max_redirects(0).tls_config(tls).build())
}

impl Answer {
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// Returns the status and the server's own words.
    pub fn told(&self) -> String {
        let words =
            serde_json::from_str::<Refusal>(&self.body).map_or_else(|_| self.body.clone(), |refusal| refusal.error);
        format!("{} {}", self.status, shown(&words)).trim_end().to_owned()
    }

    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let strict = serde_json::from_str(&self.body);
        // Only what is no JSON is read a second time, so that a sound answer is looked at once.
        let read = strict.or_else(|error| serde_json::from_str(&without_literals(&self.body)).map_err(|_| error));
        read.map_err(|error| failed(format!("{} answered `{}`: {error}", self.from, shown(&self.body))))
    }
}

/// Returns a name as one segment of a path.
pub fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Client, Header, escaped};

    #[test]
    fn headers_are_read_and_their_values_never_shown() {
        let header = Header::parse("Authorization:  Bearer s3cret ").expect("a header");
        assert_eq!((header.name.as_str(), header.value.as_bytes()), ("authorization", &b"Bearer s3cret"[..]));
        assert!(!format!("{header:?}").contains("s3cret"));
        for line in ["Bearer s3cret", "", ": s3cret", "a b: s3cret", "x: s3cret\nHost: y", "x: s3cret\u{7f}"] {
            let error = Header::parse(line).expect_err(line).to_string();
            assert!(error.contains("NAME: VALUE") && !error.contains("s3cret"), "{line:?}: {error}");
        }
    }

    #[test]
    fn names_are_one_segment_of_a_path() {
        assert_eq!(escaped("resnet50-v1.5_b~"), "resnet50-v1.5_b~");
        assert_eq!(escaped("a b/../c?d#é%"), "a%20b%2F..%2Fc%3Fd%23%C3%A9%25");
    }

    #[test]
    fn a_url_with_a_password_is_refused_without_showing_it() {
        for url in ["http://me:s3cret@host", "https://s3cret@host:1/x"] {
            let error = Client::new(url, &[], Duration::from_secs(1)).expect_err(url).to_string();
            assert!(!error.contains("s3cret") && error.contains("header"), "{error}");
        }
        assert!(Client::new("http://host/a@b", &[], Duration::from_secs(1)).is_ok());
    }
}

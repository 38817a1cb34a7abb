//! The answers to HTTP requests. They are read-only, and have headers that keep a browser from anything else.

use super::health::Health;
use super::listen::Listen;
use super::metrics::Exposition;
use super::recorder::Recorder;
use super::source::Monitored;
use crate::process::StopToken;
use farthing_store::clock::Clock;
use http::header::{ALLOW, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The headers of every answer. The page loads only its own style, script and data, sends nothing, and is part of no other
/// page.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

/// Answers requests.
pub(super) struct Answers {
    pub(super) listen: Listen,
    pub(super) node: Arc<dyn Monitored>,
    pub(super) recorder: Recorder,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: StopToken,
}

impl Answers {
    /// The answer to a request, whose body is not read.
    pub(super) fn answer(&self, request: &Parts) -> Response<String> {
        if !self.is_allowed(request) {
            let why =
                "this port answers only to `localhost` and to addresses, not to other names of a host\n";
            return answer(StatusCode::MISDIRECTED_REQUEST, TEXT, why.to_owned());
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            let mut refused = answer(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "this port is read-only\n".to_owned(),
            );
            refused
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri.path() {
            "/" => answer(StatusCode::OK, HTML, PAGE.to_owned()),
            "/style.css" => answer(StatusCode::OK, CSS, STYLE.to_owned()),
            "/script.js" => answer(StatusCode::OK, JAVASCRIPT, SCRIPT.to_owned()),
            "/state.json" => answer(StatusCode::OK, JSON, self.state().to_string()),
            "/metrics" => self.metrics(),
            "/healthz" => self.is_healthy(),
            "/readyz" => self.is_ready(),
            _ => answer(
                StatusCode::NOT_FOUND,
                TEXT,
                "there are /, /metrics, /healthz and /readyz\n".to_owned(),
            ),
        }
    }

    /// Whether the request names this port by an address, or as `localhost`. See [`Listen::allows`].
    fn is_allowed(&self, request: &Parts) -> bool {
        let mut hosts = request.headers.get_all(HOST).iter();
        let (host, more) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next());
        let is_ours = |host: &str| self.listen.allows(host);
        more.is_none() && host.is_some_and(is_ours) && request.uri.host().is_none_or(is_ours)
    }

    fn health(&self) -> Health {
        Health::of(&*self.node, &self.stop, self.clock.now_ms())
    }

    fn is_healthy(&self) -> Response<String> {
        match self.node.stopped() {
            None => answer(StatusCode::OK, TEXT, "the node works\n".to_owned()),
            Some(_) => {
                let why = "the store has stopped; the log says why; restart the node\n";
                answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, why.to_owned())
            }
        }
    }

    fn is_ready(&self) -> Response<String> {
        let health = self.health();
        if health.is_ready() {
            return answer(StatusCode::OK, TEXT, "ready\n".to_owned());
        }
        let why = format!("not ready:\n{}\n", health.lacks.join("\n"));
        answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, why)
    }

    fn metrics(&self) -> Response<String> {
        let health = self.health();
        let written = self.recorder.latest().and_then(|sample| {
            let exposition = Exposition {
                role: self.node.role(),
                sample,
                published: self.recorder.published(),
                is_ready: health.is_ready(),
                is_stopped: health.stopped,
            };
            exposition.text().ok()
        });
        match written {
            Some(text) => answer(StatusCode::OK, OPEN_METRICS, text),
            None => answer(
                StatusCode::SERVICE_UNAVAILABLE,
                TEXT,
                "nothing was read yet\n".to_owned(),
            ),
        }
    }

    /// What the page shows.
    fn state(&self) -> Value {
        let health = self.health();
        let latest = self.recorder.latest();
        let books = self.recorder.published().map(|published| {
            json!({
                "read_ms": published.at_ms,
                "currency": published.books.currency,
                "figures": published.books.figures,
            })
        });
        json!({
            "role": self.node.role().as_str(),
            "version": env!("CARGO_PKG_VERSION"),
            "stopped": health.stopped,
            "lacks": health.lacks,
            "read_ms": latest.as_ref().map(|sample| sample.at_ms),
            "status": latest.map(|sample| sample.status),
            "books": books,
            "series": self.recorder.series(),
        })
    }
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

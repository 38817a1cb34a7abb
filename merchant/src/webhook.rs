//! The webhook: every event is posted to the merchant's own web shop, in order, until it is taken.
//!
//! It follows Standard Webhooks (<https://www.standardwebhooks.com>): the headers `webhook-id`, `webhook-timestamp` and
//! `webhook-signature`, and HMAC-SHA256 with a shared secret. A sale never waits for it. What was delivered is durable, so
//! a restart repeats at most the event that was under way. The receiver knows a repeated event by its id.
//!
//! Only addresses of the machine itself are posted to, without TLS. A shop on another machine has a tunnel or a proxy.

use crate::background::pause;
use crate::events;
use crate::merchant::Merchant;
use crate::rows::{DELIVERED, EVENT_COUNT, REDELIVERIES, WEBHOOK, Webhook};
use crate::webhook_secret::{SecretFileError, WebhookSecret};
use farthing_node::process::StopToken;
use farthing_store::{RowKey, StoreError, Transaction, View};
use http::{Request, StatusCode, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Bound;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

/// How often the list of events is looked at (ms).
pub const POLL_MS: u64 = 500;

/// How long the receiver may take for one event (ms).
pub const POST_TIMEOUT_MS: u64 = 10_000;

/// The first pause after a failed delivery (ms). It doubles with each further one.
pub const RETRY_FIRST_MS: u64 = 1_000;

/// The longest pause between two attempts (ms).
pub const RETRY_MAX_MS: u64 = 5 * 60 * 1000;

/// How often an event is posted that the receiver refuses with a status of 4xx. Then the next one follows.
pub const REFUSED_TRIES_MAX: u32 = 5;

/// The most events that wait for a redelivery.
pub const REDELIVERIES_MAX: usize = 1_000;

/// The longest URL (bytes).
pub const URL_MAX_BYTES: usize = 2_000;

/// The topic of the complaints about deliveries.
const TOPIC: &str = "webhook";

/// An error of a delivery.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The secret.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The URL.
    #[error("{0}")]
    Url(String),
    /// The receiver has refused the event.
    #[error("the receiver has answered with status {0}")]
    Refused(StatusCode),
    /// The receiver has not answered.
    #[error("the receiver has not answered within {POST_TIMEOUT_MS} ms")]
    TimedOut,
    /// The receiver cannot be reached, or its answer is not HTTP.
    #[error("the receiver cannot be reached: {0}")]
    Failed(String),
}

impl WebhookError {
    /// Whether the receiver refuses this very event.
    fn is_refusal(&self) -> bool {
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        matches!(self, WebhookError::Refused(status) if status.is_client_error() && !later.contains(status))
    }
}

/// The receiver in a URL: `http`, with an address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    host: String,
    addresses: Vec<SocketAddr>,
    path: String,
}

impl Receiver {
    /// Reads a URL such as `http://127.0.0.1:8000/farthing`.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn parse(url: &str) -> Result<Self, String> {
        let refuse = |why: &str| {
            format!(
                "`{url}` cannot be a webhook: {why}; give a URL such as http://127.0.0.1:8000/farthing. For a shop on \
                 another machine use a tunnel or a proxy on this one"
            )
        };
        if url.len() > URL_MAX_BYTES {
            return Err(refuse("it is too long"));
        }
        let uri: Uri = url.parse().map_err(|_| refuse("it is not a URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(refuse("only http is possible"));
        }
        let authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("it has a user name"));
        }
        let port = authority.port_u16().unwrap_or(80);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let ips: Vec<IpAddr> = match host {
            "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            _ => host.parse().into_iter().filter(IpAddr::is_loopback).collect(),
        };
        if ips.is_empty() {
            return Err(refuse("its host is not an address of this machine"));
        }
        Ok(Self {
            host: authority.as_str().to_owned(),
            addresses: ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    /// Posts `body`, signed with `secret`, and returns the status.
    ///
    /// # Errors
    /// When the receiver cannot be reached, or its answer is not HTTP.
    async fn post(
        &self,
        secret: &WebhookSecret,
        id: &str,
        now_ms: u64,
        body: String,
    ) -> Result<StatusCode, WebhookError> {
        let failed = |error: &dyn std::fmt::Display| WebhookError::Failed(error.to_string());
        let seconds = now_ms / 1000;
        let request = Request::post(&self.path)
            .header("host", &self.host)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", secret.sign(id, seconds, &body))
            .header("connection", "close")
            .body(body)
            .map_err(|e| failed(&e))?;
        let stream = TcpStream::connect(self.addresses.as_slice())
            .await
            .map_err(|e| failed(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| failed(&e))?;
        // The connection ends with the response, whose body nobody reads.
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await;
        connection.abort();
        Ok(response.map_err(|e| failed(&e))?.status())
    }
}

/// Sets the webhook, and returns the row. The first one begins after the events that there are already.
///
/// # Errors
/// When the store fails.
pub fn set(tx: &mut Transaction<'_>, url: &str) -> Result<Webhook, StoreError> {
    let webhook = Webhook { url: url.to_owned() };
    if DELIVERED.get(tx, &())?.is_none() {
        let count = EVENT_COUNT.get(tx, &())?.unwrap_or_default();
        DELIVERED.put(tx, &(), &count)?;
    }
    WEBHOOK.put(tx, &(), &webhook)?;
    Ok(webhook)
}

/// The rows that [`set`] reads.
pub fn set_reads() -> [RowKey; 2] {
    [DELIVERED.key(&()), EVENT_COUNT.key(&())]
}

/// The next event to post: one to deliver again, or the one after the last delivered one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    number: u64,
    is_again: bool,
}

fn due(view: &View) -> Result<Option<Due>, StoreError> {
    if let Some((number, ())) = REDELIVERIES.scan(view, Bound::Unbounded, 1)?.pop() {
        let is_again = true;
        return Ok(Some(Due { number, is_again }));
    }
    let delivered = DELIVERED.peek(view, &())?.unwrap_or_default();
    let count = EVENT_COUNT.peek(view, &())?.unwrap_or_default();
    let next = Due {
        number: delivered.saturating_add(1),
        is_again: false,
    };
    Ok((delivered < count).then_some(next))
}

/// Whether there is a webhook, and it has an event to post.
///
/// # Errors
/// When the store fails.
pub(crate) fn is_behind(view: &View) -> Result<bool, StoreError> {
    Ok(WEBHOOK.peek(view, &())?.is_some() && due(view)?.is_some())
}

/// Stores that an event is delivered, or will not be.
fn finish(tx: &mut Transaction<'_>, due: Due) -> Result<(), StoreError> {
    match due.is_again {
        true => REDELIVERIES.delete(tx, &due.number),
        false => DELIVERED.put(tx, &(), &due.number),
    }
}

impl Merchant {
    /// Posts events until `stop`, if the merchant has a directory for the webhook's secret.
    pub(crate) async fn keep_webhook(&self, stop: &StopToken) {
        let Some(dir) = self.webhook_dir.clone() else {
            return;
        };
        let (mut refusals, mut wait_ms) = (0u32, RETRY_FIRST_MS);
        loop {
            let posted = tokio::select! {
                biased;
                () = stop.stopped() => return,
                posted = self.post_next(&dir, refusals) => posted,
            };
            let pause_ms = match posted {
                Ok(true) => {
                    (refusals, wait_ms) = (0, RETRY_FIRST_MS);
                    if let Some(times) = self.complaints.clear(TOPIC, &"") {
                        tracing::info!(times, "the webhook's receiver takes events again");
                    }
                    continue;
                }
                Ok(false) => POLL_MS,
                Err(error) => {
                    refusals = match error.is_refusal() {
                        true => refusals.saturating_add(1),
                        false => 0,
                    };
                    self.complaints.tell(TOPIC, &"", |times| {
                        tracing::warn!(%error, times, "an event could not be delivered to the webhook; it is posted again");
                    });
                    let pause_ms = wait_ms;
                    wait_ms = wait_ms.saturating_mul(2).min(RETRY_MAX_MS);
                    pause_ms
                }
            };
            if !pause(stop, pause_ms).await {
                return;
            }
        }
    }

    /// Posts the next event, which the receiver has refused `refusals` times. Returns false if there is none.
    async fn post_next(&self, dir: &Path, refusals: u32) -> Result<bool, WebhookError> {
        let view = self.store.view();
        let (Some(webhook), Some(due)) = (WEBHOOK.peek(&view, &())?, due(&view)?) else {
            return Ok(false);
        };
        let receiver = Receiver::parse(&webhook.url).map_err(WebhookError::Url)?;
        let secret = WebhookSecret::load(dir)?;
        if let Some(event) = events::find(&view, due.number)? {
            let body = serde_json::to_string(&event).map_err(|e| WebhookError::Failed(e.to_string()))?;
            let post = receiver.post(&secret, &event.id, self.clock.now_ms(), body);
            let answer = tokio::time::timeout(Duration::from_millis(POST_TIMEOUT_MS), post).await;
            match answer.unwrap_or(Err(WebhookError::TimedOut)) {
                Ok(status) if status.is_success() => {}
                Ok(status) => {
                    let error = WebhookError::Refused(status);
                    if !error.is_refusal() || refusals.saturating_add(1) < REFUSED_TRIES_MAX {
                        return Err(error);
                    }
                    tracing::error!(
                        number = due.number, %error,
                        "the webhook's receiver refuses an event; it is left out; `farthing-merchant webhook redeliver` posts it \
                         again"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        self.store.transact([], move |tx| finish(tx, due)).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_receivers() {
        let good = Receiver::parse("http://127.0.0.1:8000/shop?x=1").unwrap();
        assert_eq!(good.addresses, ["127.0.0.1:8000".parse().unwrap()]);
        assert_eq!(
            (good.path.as_str(), good.host.as_str()),
            ("/shop?x=1", "127.0.0.1:8000")
        );
        assert_eq!(Receiver::parse("http://localhost/").unwrap().addresses.len(), 2);
        assert!(Receiver::parse("http://[::1]:8000").is_ok());
        for bad in [
            "https://127.0.0.1/",
            "http://10.0.0.1/",
            "http://example.com/",
            "http://127.0.0.1.example.com/",
            "http://user@127.0.0.1/",
            "127.0.0.1:8000",
            "/shop",
            "",
        ] {
            assert!(Receiver::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_busy_receiver_does_not_refuse_the_event() {
        let refuses = |status| WebhookError::Refused(status).is_refusal();
        assert!(refuses(StatusCode::BAD_REQUEST) && refuses(StatusCode::GONE));
        assert!(!refuses(StatusCode::TOO_MANY_REQUESTS) && !refuses(StatusCode::BAD_GATEWAY));
        assert!(
            !refuses(StatusCode::FOUND),
            "a redirect is not followed, and not final"
        );
    }
}

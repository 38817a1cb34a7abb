//! A client of one party for one task: a withdrawal, an exchange, a purchase, or one record.
//!
//! Each client has a connection of its own, with its own socket and client configuration, so that nothing links it to
//! another. A request without a reply is sent again, on a fresh connection if needed.

use crate::{
    error::{Unanswered, WalletError},
    observer::{Observer, WalletEvent},
};
use farthing_node::{
    call::{CallError, ask},
    card::Card,
    network::{Channel, Lane, Network, NetworkError},
    transport::RATE_LEAST_BYTES,
};
use farthing_protocol::{
    api::{Call, Question},
    refusal::{Later, Refusal},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How long a wallet waits for a party.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// How long a party may be silent on one request before it is sent again.
    pub attempt: Duration,
    /// How long a task is retried while a party is silent before it is left for
    /// [`Wallet::resume`](crate::wallet::Wallet::resume).
    pub total: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempt: Duration::from_secs(5),
            total: Duration::from_secs(60),
        }
    }
}

/// The first pause before a request is repeated. It doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest pause before a request is repeated.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How often the total time of a task can begin anew because the party was heard.
const RESTARTS_MAX: u32 = 16;

/// How often a busy party is asked again before it counts as silent.
const BUSY_TIMES_MAX: usize = 8;

/// Upper bound of the pause that a busy party can ask for.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// The pause that a busy party asks for; `None` if it is not busy.
fn busy_for(error: &CallError) -> Option<Duration> {
    match error {
        CallError::Network(
            NetworkError::Busy { retry_after_ms, .. }
            | NetworkError::NotBrought {
                retry_after_ms: Some(retry_after_ms),
                ..
            },
        )
        | CallError::Refused(Refusal::Later(Later::Busy { retry_after_ms })) => {
            Some(Duration::from_millis(*retry_after_ms).min(BUSY_MAX))
        }
        _ => None,
    }
}

/// A client of one party, over one connection.
pub(crate) struct PeerClient<'w> {
    network: &'w dyn Network,
    observer: &'w dyn Observer,
    retry: RetryPolicy,
    card: Card,
    lane: Lane,
    channel: Option<Arc<dyn Channel>>,
    /// Whether the party was heard in the last attempt, for much longer than a silent one.
    was_heard: bool,
}

impl<'w> PeerClient<'w> {
    pub(crate) fn new(
        network: &'w dyn Network,
        observer: &'w dyn Observer,
        retry: RetryPolicy,
        card: Card,
        lane: Lane,
    ) -> Self {
        PeerClient {
            network,
            observer,
            retry,
            card,
            lane,
            channel: None,
            was_heard: false,
        }
    }

    /// The party, as its card names it.
    pub(crate) fn party(&self) -> String {
        self.card.title()
    }

    /// How long a task is retried while the party is silent.
    pub(crate) fn silence_max(&self) -> Duration {
        self.retry.total
    }

    /// The error of a party that sends less than the slowest line can carry.
    pub(crate) fn too_slow<C: Call>(&self) -> WalletError {
        WalletError::Silent {
            party: self.party(),
            question: C::QUESTION,
            why: format!("it sends less than {RATE_LEAST_BYTES} bytes a second"),
        }
    }

    /// Sends a request once. A busy party is asked again after the pause that it asks for.
    pub(crate) async fn once<C: Call + Clone>(&mut self, call: C) -> Result<C::Reply, Unanswered> {
        let (party, question) = (self.party(), C::QUESTION);
        let mut outcome = self.attempt(call.clone()).await;
        for _ in 0..BUSY_TIMES_MAX {
            let Some(wait) = outcome.as_ref().err().and_then(busy_for) else {
                break;
            };
            self.unanswered(
                question,
                format!("it is busy; the wallet asks again in {} ms", wait.as_millis()),
            );
            sleep(wait).await;
            outcome = self.attempt(call.clone()).await;
        }
        let outcome = outcome.map_err(|error| Unanswered::of(&party, error));
        match &outcome {
            Ok(_) => self.answered::<C>(),
            Err(Unanswered::Again(why)) => {
                self.channel = None;
                self.unanswered(question, why.clone());
            }
            Err(Unanswered::Refused(refusal)) => {
                self.observer.on_event(&WalletEvent::Refused {
                    party,
                    question,
                    why: refusal.to_string(),
                });
            }
            Err(Unanswered::Final(_)) => {}
        }
        outcome
    }

    fn unanswered(&self, question: Question, why: String) {
        self.observer.on_event(&WalletEvent::Unanswered {
            party: self.party(),
            question,
            why,
        });
    }

    /// Says that a request is sent now.
    fn asked<C: Call>(&self) {
        self.observer.on_event(&WalletEvent::Asked {
            party: self.party(),
            question: C::QUESTION,
        });
    }

    /// Says that a request was answered.
    pub(crate) fn answered<C: Call>(&self) {
        self.observer.on_event(&WalletEvent::Answered {
            party: self.party(),
            question: C::QUESTION,
        });
    }

    /// Sends a request once over the connection, if there is one, while other requests are under way on it. The caller
    /// that takes the reply says that it was [answered](PeerClient::answered).
    pub(crate) fn ask_ahead<C: Call + Send + 'static>(
        &self,
        call: C,
    ) -> Option<impl Future<Output = Result<C::Reply, CallError>> + Send + use<C>> {
        let (channel, silence) = (Arc::clone(self.channel.as_ref()?), self.retry.attempt);
        self.asked::<C>();
        Some(async move { ask(channel.as_ref(), call, silence).await })
    }

    async fn attempt<C: Call>(&mut self, call: C) -> Result<C::Reply, CallError> {
        self.asked::<C>();
        let channel = self.connected().await?;
        let began = Instant::now();
        let answer = ask(channel.as_ref(), call, self.retry.attempt).await;
        // A silent party is given up after the time of an attempt. The rest is room for a busy machine.
        self.was_heard = began.elapsed() > self.retry.attempt * 2;
        answer
    }

    /// The connection. It is made if there is none.
    async fn connected(&mut self) -> Result<Arc<dyn Channel>, NetworkError> {
        if let Some(channel) = &self.channel {
            return Ok(Arc::clone(channel));
        }
        let channel = self.network.connect(&self.card, self.lane).await?;
        Ok(self.channel.insert(channel).clone())
    }

    /// Connects ahead of the first request, so that the request need not wait for it. If the connection fails, the
    /// request finds out why.
    pub(crate) async fn prepare(&mut self) {
        let _the_request_tries_again = self.connected().await;
    }

    /// Repeats a request until there is a reply or a refusal, or until the time of the [`RetryPolicy`] has passed.
    pub(crate) async fn ask<C: Call + Clone>(
        &mut self,
        call: &C,
    ) -> Result<Result<C::Reply, Refusal>, WalletError> {
        let mut pause = Backoff::new(self.retry);
        loop {
            let outcome = self.once(call.clone()).await;
            if std::mem::take(&mut self.was_heard) {
                pause.restart();
            }
            match outcome {
                Ok(reply) => return Ok(Ok(reply)),
                Err(Unanswered::Refused(refusal)) => return Ok(Err(refusal)),
                Err(Unanswered::Final(error)) => return Err(error),
                Err(Unanswered::Again(why)) => {
                    if !pause.wait().await {
                        return Err(WalletError::Silent {
                            party: self.party(),
                            question: C::QUESTION,
                            why,
                        });
                    }
                }
            }
        }
    }

    /// Like [`ask`](PeerClient::ask), but a refusal is an error too.
    pub(crate) async fn must<C: Call + Clone>(&mut self, call: &C) -> Result<C::Reply, WalletError> {
        self.ask(call).await?.map_err(|refusal| WalletError::Refused {
            party: self.party(),
            question: C::QUESTION,
            refusal: Box::new(refusal),
        })
    }
}

/// Growing pauses, until the total time of the [`RetryPolicy`] has passed.
pub(crate) struct Backoff {
    total: Duration,
    restarts_left: u32,
    until: Instant,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(retry: RetryPolicy) -> Self {
        Backoff {
            total: retry.total,
            restarts_left: RESTARTS_MAX,
            until: Instant::now() + retry.total,
            next: PAUSE_FIRST,
        }
    }

    /// The party was heard, so the total time begins anew.
    fn restart(&mut self) {
        if let Some(left) = self.restarts_left.checked_sub(1) {
            self.restarts_left = left;
            self.until = Instant::now() + self.total;
        }
    }

    /// Waits for the next pause. Returns `false`, without waiting, when the total time would pass.
    pub(crate) async fn wait(&mut self) -> bool {
        if Instant::now() + self.next > self.until {
            return false;
        }
        sleep(self.next).await;
        self.next = (self.next * 2).min(PAUSE_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::observer::NoObserver;
    use async_trait::async_trait;
    use farthing_node::card::RoleName;
    use farthing_node::fingerprint::Fingerprint;
    use farthing_protocol::{
        api::encode_reply,
        offer::{CatalogPage, CatalogRequest},
    };
    use std::sync::atomic::{AtomicUsize, Ordering};

    const WAIT_MS: u64 = 20;

    /// A merchant that is busy for some connections, and then for some requests.
    #[derive(Clone)]
    struct Crowded {
        unreached: Arc<AtomicUsize>,
        unanswered: Arc<AtomicUsize>,
    }

    fn busy(times: &AtomicUsize) -> Result<(), NetworkError> {
        let left = times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Err(_) => Ok(()),
            Ok(_) => Err(NetworkError::Busy {
                peer: "merchant".into(),
                retry_after_ms: WAIT_MS,
            }),
        }
    }

    #[async_trait]
    impl Network for Crowded {
        async fn connect(&self, _: &Card, _: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
            busy(&self.unreached)?;
            Ok(Arc::new(self.clone()))
        }
    }

    impl Crowded {
        async fn reply(&self) -> Result<Vec<u8>, NetworkError> {
            busy(&self.unanswered)?;
            let page = CatalogPage {
                items: Vec::new(),
                more: false,
            };
            Ok(encode_reply(&Ok(page)))
        }
    }

    #[async_trait]
    impl Channel for Crowded {
        async fn call_into(&self, _: Vec<u8>, _: Duration, reply: &mut Vec<u8>) -> Result<(), NetworkError> {
            *reply = self.reply().await?;
            Ok(())
        }
    }

    /// Whether a busy merchant answers in the end, and how long that took.
    async fn asked(unreached: usize, unanswered: usize) -> (bool, Duration) {
        let merchant = Crowded {
            unreached: Arc::new(unreached.into()),
            unanswered: Arc::new(unanswered.into()),
        };
        let card = Card {
            role: RoleName::Merchant,
            name: "shop".into(),
            address: "127.0.0.1:1".parse().unwrap(),
            fingerprint: Fingerprint([0; 32]),
            identity: farthing_coin::PublicKey([0; 32]),
            fields: Default::default(),
        };
        let mut peer = PeerClient::new(
            &merchant,
            &NoObserver,
            RetryPolicy::default(),
            card,
            Lane::Anonymous,
        );
        let began = Instant::now();
        let outcome = peer.once(CatalogRequest { after: None }).await;
        (outcome.is_ok(), began.elapsed())
    }

    #[tokio::test]
    async fn a_busy_party_is_asked_again_after_its_pause_and_counts_as_silent_in_the_end() {
        let wait = Duration::from_millis(WAIT_MS);
        let (answered, took) = asked(1, 2).await;
        assert!(answered && took >= wait * 3, "{took:?}");
        let (answered, took) = asked(0, BUSY_TIMES_MAX).await;
        assert!(answered && took >= wait * 8, "{took:?}");
        let (answered, took) = asked(1, BUSY_TIMES_MAX).await;
        assert!(!answered && took >= wait * 8, "{took:?}");
    }
}

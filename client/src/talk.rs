//! A conversation with one party about one matter: a withdrawal, an exchange, a purchase, a record.
//!
//! Each has a connection of its own, with its own socket and client configuration, so that nothing joins it
//! to another. A question that got no answer is asked again, on a fresh connection if need be.

use crate::{
    error::{Unanswered, WalletError},
    watch::{Event, Watch},
};
use farthing_node::{
    call::ask,
    card::Card,
    network::{Channel, Lane, Network},
};
use farthing_protocol::{api::Call, refusal::Refusal};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How long a wallet waits and how often it asks.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long one question waits for its answer before it is asked again.
    pub attempt: Duration,
    /// How long a matter is pursued without any answer before it is left for `resume`.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            attempt: Duration::from_secs(5),
            total: Duration::from_secs(60),
        }
    }
}

/// The first pause before a question is asked again; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest pause before a question is asked again.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A conversation with one party.
pub(crate) struct Talk<'w> {
    network: &'w dyn Network,
    watch: &'w dyn Watch,
    patience: Patience,
    card: Card,
    lane: Lane,
    channel: Option<Arc<dyn Channel>>,
}

impl<'w> Talk<'w> {
    pub(crate) fn new(
        network: &'w dyn Network,
        watch: &'w dyn Watch,
        patience: Patience,
        card: Card,
        lane: Lane,
    ) -> Self {
        Talk {
            network,
            watch,
            patience,
            card,
            lane,
            channel: None,
        }
    }

    /// Who it is with.
    pub(crate) fn party(&self) -> String {
        self.card.title()
    }

    /// Asks once.
    pub(crate) async fn once<C: Call>(&mut self, call: C) -> Result<C::Reply, Unanswered> {
        let (party, question) = (self.party(), C::QUESTION);
        let outcome = self.attempt(call).await;
        match &outcome {
            Ok(_) => self.watch.see(&Event::Answered { party, question }),
            Err(Unanswered::Again(why)) => {
                self.channel = None;
                self.watch.see(&Event::Unanswered {
                    party,
                    question,
                    why: why.clone(),
                });
            }
            Err(Unanswered::Refused(refusal)) => {
                self.watch.see(&Event::Refused {
                    party,
                    question,
                    why: refusal.to_string(),
                });
            }
            Err(Unanswered::Final(_)) => {}
        }
        outcome
    }

    async fn attempt<C: Call>(&mut self, call: C) -> Result<C::Reply, Unanswered> {
        let party = self.party();
        self.watch.see(&Event::Asked {
            party: party.clone(),
            question: C::QUESTION,
        });
        let channel = match &self.channel {
            Some(channel) => Arc::clone(channel),
            None => {
                let connecting = self.network.connect(&self.card, self.lane);
                let channel = timeout(self.patience.attempt, connecting)
                    .await
                    .map_err(|_| Unanswered::Again(format!("{party} cannot be reached in time")))?
                    .map_err(|error| Unanswered::of(&party, error.into()))?;
                self.channel.insert(channel).clone()
            }
        };
        ask(channel.as_ref(), call, self.patience.attempt)
            .await
            .map_err(|error| Unanswered::of(&party, error))
    }

    /// Asks until there is an answer or a refusal, or the wallet's patience ends.
    pub(crate) async fn ask<C: Call + Clone>(
        &mut self,
        call: &C,
    ) -> Result<Result<C::Reply, Refusal>, WalletError> {
        let mut pause = Pause::new(self.patience);
        loop {
            match self.once(call.clone()).await {
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

    /// As [`ask`](Talk::ask), where a refusal is an error as well.
    pub(crate) async fn must<C: Call + Clone>(&mut self, call: &C) -> Result<C::Reply, WalletError> {
        self.ask(call).await?.map_err(|refusal| WalletError::Refused {
            party: self.party(),
            question: C::QUESTION,
            refusal: Box::new(refusal),
        })
    }
}

/// Pauses that grow, until patience ends.
pub(crate) struct Pause {
    until: Instant,
    next: Duration,
}

impl Pause {
    pub(crate) fn new(patience: Patience) -> Self {
        Pause {
            until: Instant::now() + patience.total,
            next: PAUSE_FIRST,
        }
    }

    /// Waits a little; `false` when patience has ended.
    pub(crate) async fn wait(&mut self) -> bool {
        if Instant::now() + self.next > self.until {
            return false;
        }
        sleep(self.next).await;
        self.next = (self.next * 2).min(PAUSE_MAX);
        true
    }
}

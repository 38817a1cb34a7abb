//! Shows vouchers to the escrows, so that they are not lost with this process.

use crate::background::instant_after;
use crate::finish::{IN_FLIGHT_MAX, RETRY_FIRST_MS, RETRY_MAX_MS};
use crate::merchant::Merchant;
use crate::streams::sessions::SharedSession;
use farthing_coin::{PublicKey, Signed};
use farthing_node::call::{CallError, ask};
use farthing_node::card::RoleName;
use farthing_node::process::StopToken;
use farthing_protocol::{
    documents::Terms,
    limits::REPLY_TIMEOUT,
    refusal::{PurchaseFault, Refusal},
    stream::{RaiseReply, RaiseRequest, Voucher},
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout_at};

/// How often open streams are looked at when nothing has woken the loop (ms).
pub const LOOKED_AT_EVERY_MS: u64 = 60_000;

/// How long a node that stops shows its last vouchers (ms).
pub const LAST_RAISES_MS: u64 = 3_000;

/// The topics of the complaints about vouchers.
const TOPIC_SILENT: &str = "raise silent";
const TOPIC_REFUSED: &str = "raise refused";

/// The vouchers that a round shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that pay for more than the setting allows.
    Due,
    /// Each one that its escrow does not have.
    All,
}

impl Merchant {
    /// Shows vouchers as they are due. Each escrow has a task of its own, so none waits for a silent one.
    pub(crate) async fn keep_raised(self: &Arc<Self>, stop: &StopToken) {
        let (mut under_way, mut asked, mut silent) = (JoinSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut pause_ms, mut next) = (RETRY_FIRST_MS, instant_after(LOOKED_AT_EVERY_MS));
        loop {
            for (escrow, sessions) in self.to_raise(Which::Due).await {
                if !silent.contains(&escrow) && asked.insert(escrow) {
                    under_way.spawn(Arc::clone(self).raise_all(escrow, sessions));
                }
            }
            tokio::select! {
                biased;
                () = stop.stopped() => break,
                Some(raised) = under_way.join_next() => match raised {
                    Ok((escrow, 0)) => {
                        asked.remove(&escrow);
                    }
                    Ok((escrow, _)) => {
                        asked.remove(&escrow);
                        if silent.is_empty() {
                            next = instant_after(pause_ms);
                        }
                        silent.insert(escrow);
                    }
                    Err(_) => asked.clear(),
                },
                () = self.streams.raise_asked.notified() => {}
                () = sleep_until(next) => {
                    pause_ms = match silent.is_empty() {
                        true => RETRY_FIRST_MS,
                        false => pause_ms.saturating_mul(2).min(RETRY_MAX_MS),
                    };
                    next = instant_after(LOOKED_AT_EVERY_MS);
                    silent.clear();
                }
            }
        }
        // Customers are anonymous: what no escrow has been shown is lost when this process ends.
        let last = self.raise_round(Which::All);
        let _silent = timeout_at(instant_after(LAST_RAISES_MS), last).await;
    }

    /// Shows vouchers to their escrows. Returns how many are not acknowledged then.
    pub async fn raise_round(self: &Arc<Self>, which: Which) -> usize {
        let mut escrows = JoinSet::new();
        for (escrow, sessions) in self.to_raise(which).await {
            escrows.spawn(Arc::clone(self).raise_all(escrow, sessions));
        }
        let mut left = 0_usize;
        while let Some(raised) = escrows.join_next().await {
            left = left.saturating_add(raised.map_or(1, |(_, left)| left));
        }
        left
    }

    /// The streams whose voucher is shown, by escrow.
    async fn to_raise(&self, which: Which) -> BTreeMap<PublicKey, Vec<SharedSession>> {
        let mut due: BTreeMap<PublicKey, Vec<SharedSession>> = BTreeMap::new();
        for shared in self.streams.all() {
            let escrow = {
                let session = shared.lock().await;
                let voucher = match which {
                    // The end of a stream shows its voucher too.
                    Which::Due if session.is_closing() => None,
                    Which::Due => session.due_to_raise(self.settings.raise_above),
                    Which::All => session.to_raise(),
                };
                voucher.map(|_| session.terms().escrow)
            };
            if let Some(escrow) = escrow {
                due.entry(escrow).or_default().push(shared);
            }
        }
        due
    }

    /// Shows the vouchers of one escrow, several at once. Returns how many it has not acknowledged. An escrow that does not
    /// answer is not shown the others in this round.
    async fn raise_all(
        self: Arc<Self>,
        escrow: PublicKey,
        sessions: Vec<SharedSession>,
    ) -> (PublicKey, usize) {
        let mut left = sessions.len();
        let mut sessions = sessions.into_iter();
        let mut under_way = JoinSet::new();
        let mut is_silent = false;
        loop {
            while !is_silent && under_way.len() < IN_FLIGHT_MAX {
                let Some(session) = sessions.next() else { break };
                under_way.spawn(Arc::clone(&self).raise(session));
            }
            match under_way.join_next().await {
                None => return (escrow, left),
                Some(Ok(true)) => left = left.saturating_sub(1),
                Some(_) => is_silent = true,
            }
        }
    }

    /// Shows the voucher of one stream. Returns false if its escrow has to be shown it again.
    async fn raise(self: Arc<Self>, shared: SharedSession) -> bool {
        let (voucher, terms) = {
            let session = shared.lock().await;
            (session.to_raise().cloned(), session.terms().clone())
        };
        let Some(voucher) = voucher else { return true };
        match self.ask_raise(&voucher, &terms).await {
            Ok(reply) if reply.promises(&voucher.body, &terms) => {
                self.complaints.clear(TOPIC_SILENT, &terms.escrow);
                self.complaints.clear(TOPIC_REFUSED, &terms.escrow);
                shared.lock().await.keep_raised(reply.raised);
                self.streams.acknowledged.notify_waiters();
                true
            }
            Ok(_) => {
                self.tell_refused(&terms, "its answer does not fit the voucher");
                false
            }
            // It was decided without the merchant. Closing it brings the decision.
            Err(CallError::Refused(Refusal::Purchase(
                fault @ (PurchaseFault::Committed(_) | PurchaseFault::Unknown(_) | PurchaseFault::Closed(_)),
            ))) => {
                self.tell_refused(&terms, &fault.to_string());
                shared.lock().await.close();
                self.streams.close_asked.notify_one();
                true
            }
            Err(CallError::Refused(refusal)) => {
                self.tell_refused(&terms, &refusal.to_string());
                false
            }
            Err(error) => {
                self.complaints.tell(TOPIC_SILENT, &terms.escrow, |times| {
                    tracing::warn!(%error, times, "an escrow does not take vouchers of streams; it is asked again, and customers wait for their keys");
                });
                false
            }
        }
    }

    async fn ask_raise(&self, voucher: &Signed<Voucher>, terms: &Terms) -> Result<RaiseReply, CallError> {
        let link = self.peers.link(RoleName::Escrow, &terms.escrow)?;
        let request = RaiseRequest {
            voucher: voucher.clone(),
            wants_key: false,
        };
        ask(&*link, request, REPLY_TIMEOUT).await
    }

    fn tell_refused(&self, terms: &Terms, why: &str) {
        self.complaints.tell(TOPIC_REFUSED, &terms.escrow, |times| {
            tracing::error!(escrow = %terms.escrow, why, times, "an escrow has refused a voucher of a stream; no further key of the stream is given");
        });
    }
}

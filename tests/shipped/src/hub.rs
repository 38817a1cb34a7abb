//! The network under a shipped function: it hands every request to the model, or calls the other node at once.

use crate::who::Who;
use async_trait::async_trait;
use farthing_coin::Signed;
use farthing_node::{
    card::{Card, RoleName},
    network::{Acted, Channel, Lane, Network, NetworkError, Service},
};
use farthing_protocol::{
    api::{BankRequest, EscrowRequest, encode_reply},
    decision::SignedDecision,
    documents::BankHold,
    history::{JournalHead, WithHead},
    limits::{REPLY_MAX_BYTES, REQUEST_MAX_BYTES},
    refusal::Refusal,
    settle::Answers,
    wire,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// A request that a running function waits for.
pub struct Asked {
    /// The receiver.
    pub to: Who,
    /// The lane.
    pub lane: Lane,
    /// The request, without a journal's head.
    pub request: Vec<u8>,
    answer: Option<oneshot::Sender<Option<Vec<u8>>>>,
}

#[derive(Default)]
struct State {
    /// Calls go to the other node at once.
    direct: bool,
    asked: Vec<Asked>,
    services: BTreeMap<Who, Arc<dyn Service>>,
}

/// What all wires share.
#[derive(Default)]
pub struct Hub(Mutex<State>);

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `service` answer for `who`.
    pub fn attach(&self, who: Who, service: Arc<dyn Service>) {
        self.state().services.insert(who, service);
    }

    /// Forgets all requests. `direct`: from now on calls go to the other node at once.
    pub fn begin(&self, direct: bool) {
        let mut state = self.state();
        state.direct = direct;
        state.asked.clear();
    }

    /// The number of requests so far, and of those that wait.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state();
        let waiting = state.asked.iter().filter(|asked| asked.answer.is_some());
        (state.asked.len(), waiting.count())
    }

    /// Answers request `number`; `None`: the receiver stays silent.
    pub fn answer(&self, number: usize, reply: Option<Vec<u8>>) {
        let answer = self.state().asked[number].answer.take();
        let _gone = answer.expect("it waits").send(reply);
    }

    /// The requests that wait, by number.
    pub fn waiting(&self) -> Vec<(usize, Who, Lane, Vec<u8>)> {
        let state = self.state();
        let waiting = state
            .asked
            .iter()
            .enumerate()
            .filter(|(_, it)| it.answer.is_some());
        waiting
            .map(|(number, it)| (number, it.to, it.lane, it.request.clone()))
            .collect()
    }

    fn service(&self, who: Who) -> Arc<dyn Service> {
        self.state().services[&who].clone()
    }
}

/// The network of one party.
pub struct Wire(pub Arc<Hub>);

struct Line {
    hub: Arc<Hub>,
    card: Card,
    to: Who,
    lane: Lane,
}

#[async_trait]
impl Network for Wire {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        let to = match card.role {
            RoleName::Bank => Who::Bank,
            RoleName::Escrow => Who::Escrow,
            RoleName::Merchant => Who::Merchant,
            _ => panic!("nobody asks a {}", card.role),
        };
        let (hub, card) = (self.0.clone(), card.clone());
        Ok(Arc::new(Line { hub, card, to, lane }))
    }
}

/// Lists of keys never change here, and what nodes remember of each other's journals is no part of the model.
fn is_constant(to: Who, request: &[u8]) -> bool {
    match to {
        Who::Bank => matches!(
            BankRequest::decode(request),
            Ok(BankRequest::Keys(_) | BankRequest::Witness(_))
        ),
        Who::Escrow => matches!(EscrowRequest::decode(request), Ok(EscrowRequest::Witness(_))),
        _ => false,
    }
}

#[async_trait]
impl Channel for Line {
    async fn call_into(
        &self,
        request: Vec<u8>,
        _: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        if self.hub.state().direct || is_constant(self.to, &request) {
            *reply = self.hub.service(self.to).call(self.lane, request).await;
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.hub.state().asked.push(Asked {
            to: self.to,
            lane: self.lane,
            request: with_head(self.to, &request, || None),
            answer: Some(answer),
        });
        match answered.await {
            Ok(Some(bytes)) => {
                *reply = bytes;
                Ok(())
            }
            _ => Err(NetworkError::TimedOut {
                peer: self.card.title(),
                waited_ms: 0,
                acted: Acted::Unknown,
            }),
        }
    }
}

type Head = Option<Signed<JournalHead>>;

/// The request with this head of its sender's journal, if it is one with a head.
pub fn with_head(to: Who, request: &[u8], head: impl Fn() -> Head) -> Vec<u8> {
    let encoded = match to {
        Who::Bank => match BankRequest::decode(request) {
            Ok(BankRequest::Hold(it)) => wire::encode(&BankRequest::Hold(WithHead { head: head(), ..it })),
            Ok(BankRequest::Push(it)) => wire::encode(&BankRequest::Push(WithHead { head: head(), ..it })),
            _ => return request.to_vec(),
        },
        Who::Escrow => match EscrowRequest::decode(request) {
            Ok(EscrowRequest::Overdue(it)) => {
                wire::encode(&EscrowRequest::Overdue(WithHead { head: head(), ..it }))
            }
            _ => return request.to_vec(),
        },
        _ => return request.to_vec(),
    };
    assert!(request.len() <= REQUEST_MAX_BYTES);
    encoded.expect("it was decoded")
}

/// The reply to `request` with this head of the journal of who replies, if it is one with a head.
pub fn reply_with_head(to: Who, request: &[u8], reply: &[u8], head: impl Fn() -> Head) -> Vec<u8> {
    match to {
        Who::Bank => match BankRequest::decode(request) {
            Ok(BankRequest::Hold(_)) => replaced::<Signed<BankHold>>(reply, head()),
            Ok(BankRequest::Push(_)) => replaced::<Answers>(reply, head()),
            _ => reply.to_vec(),
        },
        Who::Escrow => match EscrowRequest::decode(request) {
            Ok(EscrowRequest::Overdue(_)) => replaced::<SignedDecision>(reply, head()),
            _ => reply.to_vec(),
        },
        _ => reply.to_vec(),
    }
}

fn replaced<T: Serialize + DeserializeOwned>(reply: &[u8], head: Head) -> Vec<u8> {
    let decoded: Result<WithHead<T>, Refusal> = wire::decode(reply, REPLY_MAX_BYTES).expect("a reply");
    encode_reply(&decoded.map(|it| WithHead { body: it.body, head }))
}

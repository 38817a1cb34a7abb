//! A network with one escrow, whose replies the test sets.

use async_trait::async_trait;
use farthing_coin::{SecretKey, Signed};
use farthing_node::{
    card::Card,
    network::{Channel, Lane, Network, NetworkError},
};
use farthing_protocol::{
    api::{AskEscrow, EscrowRequest, encode_reply},
    history::{JournalHead, verify_witness_request},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// The escrow's reply to a question about overdue holds.
type Answer = Arc<dyn Fn(Vec<u8>) -> Option<Vec<u8>> + Send + Sync>;

/// A network with one escrow.
#[derive(Clone)]
pub struct Wire {
    answer: Arc<Mutex<Option<Answer>>>,
    memory: Arc<Mutex<Memory>>,
}

/// The head of the bank's journal that the escrow remembers.
struct Memory {
    escrow: SecretKey,
    remembered: Option<Signed<JournalHead>>,
    silent: bool,
}

impl Wire {
    pub fn new(escrow: SecretKey) -> Wire {
        let memory = Memory {
            escrow,
            remembered: None,
            silent: false,
        };
        Wire {
            answer: Arc::default(),
            memory: Arc::new(Mutex::new(memory)),
        }
    }

    /// Sets the head that the escrow remembers of the bank.
    pub fn remember(&self, head: Option<Signed<JournalHead>>) {
        self.memory.lock().unwrap().remembered = head;
    }

    /// Sets whether the escrow leaves questions about the remembered head unanswered.
    pub fn be_silent(&self, silent: bool) {
        self.memory.lock().unwrap().silent = silent;
    }

    fn testimony(&self, request: &[u8]) -> Option<Option<Vec<u8>>> {
        let Ok(EscrowRequest::Witness(AskEscrow(asked))) = EscrowRequest::decode(request) else {
            return None;
        };
        let memory = self.memory.lock().unwrap();
        let asked = verify_witness_request(asked, &memory.escrow.public()).unwrap();
        let testimony = Signed::sign(asked.respond(memory.remembered.clone(), None), &memory.escrow);
        Some((!memory.silent).then(|| encode_reply(&Ok(testimony))))
    }

    pub fn answer(&self, with: impl Fn(Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Some(Arc::new(with));
    }
}

#[async_trait]
impl Network for Wire {
    async fn connect(&self, _: &Card, _: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Wire {
    async fn reply(&self, request: Vec<u8>) -> Result<Vec<u8>, NetworkError> {
        let answer = self.answer.lock().unwrap().clone();
        self.testimony(&request)
            .unwrap_or_else(|| answer.and_then(|answer| answer(request)))
            .ok_or(NetworkError::Unreachable {
                peer: "escrow".into(),
                reason: "it is down".into(),
            })
    }
}

#[async_trait]
impl Channel for Wire {
    async fn call_into(
        &self,
        request: Vec<u8>,
        _: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        *reply = self.reply(request).await?;
        Ok(())
    }
}

//! A network and a service with probe points. They pass everything else to the network and service that they wrap.

use super::message_probe::{ANSWERED, ASKED, BEFORE_ANSWERING, BEFORE_ASKING, MessageProbe, UNANSWERED};
use crate::{
    card::{Card, RoleName},
    network::{Caller, Channel, Lane, Network, NetworkError, Service},
};
use async_trait::async_trait;
use farthing_protocol::{
    api::{BankRequest, EscrowRequest, MerchantRequest, Question, RelayRequest},
    refusal::Refusal,
};
use std::{sync::Arc, time::Duration};

/// The name of the question in a request to a server of this role.
pub fn question(server: RoleName, request: &[u8]) -> &'static str {
    let question: Result<_, Refusal> = match server {
        RoleName::Bank => BankRequest::decode(request).map(|request| request.question()),
        RoleName::Escrow => EscrowRequest::decode(request).map(|request| request.question()),
        RoleName::Merchant => MerchantRequest::decode(request).map(|request| request.question()),
        RoleName::Relay => RelayRequest::decode(request).map(|request| request.question()),
    };
    question.map_or("nothing that is understood", Question::name)
}

/// Reports a point to the probe, without blocking other tasks.
async fn reach(probe: &Arc<dyn MessageProbe>, point: &'static str, server: RoleName, question: &'static str) {
    let probe = Arc::clone(probe);
    let reached = tokio::task::spawn_blocking(move || probe.message(point, server, question));
    if reached.await.is_err() {
        tracing::error!(point, "the probe failed");
    }
}

/// A network with probe points at every question and answer.
pub(super) struct Asking {
    pub(super) network: Arc<dyn Network>,
    pub(super) probe: Arc<dyn MessageProbe>,
}

struct AskingChannel {
    channel: Arc<dyn Channel>,
    server: RoleName,
    probe: Arc<dyn MessageProbe>,
}

#[async_trait]
impl Network for Asking {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        let channel = self.network.connect(card, lane).await?;
        Ok(Arc::new(AskingChannel {
            channel,
            server: card.role,
            probe: Arc::clone(&self.probe),
        }))
    }
}

#[async_trait]
impl Channel for AskingChannel {
    async fn call_into(
        &self,
        request: Vec<u8>,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        let question = question(self.server, &request);
        reach(&self.probe, BEFORE_ASKING, self.server, question).await;
        let outcome = self.channel.call_into(request, timeout, reply).await;
        let point = if outcome.is_ok() { ANSWERED } else { UNANSWERED };
        reach(&self.probe, point, self.server, question).await;
        outcome
    }
}

/// A service with probe points at every question and answer.
pub(super) struct Asked {
    pub(super) service: Arc<dyn Service>,
    pub(super) role: RoleName,
    pub(super) probe: Arc<dyn MessageProbe>,
}

#[async_trait]
impl Service for Asked {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.call_from(Caller::any(), lane, request).await
    }

    async fn call_from(&self, caller: Caller, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let question = question(self.role, &request);
        reach(&self.probe, ASKED, self.role, question).await;
        let reply = self.service.call_from(caller, lane, request).await;
        reach(&self.probe, BEFORE_ANSWERING, self.role, question).await;
        reply
    }

    fn is_reserved(&self, lane: Lane, request: &[u8]) -> bool {
        self.service.is_reserved(lane, request)
    }
}

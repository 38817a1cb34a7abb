//! A dishonest server in front of an honest one, with its key.

use super::{party::Party, world::World};
use async_trait::async_trait;
use farthing_node::network::{Lane, Service};
use farthing_protocol::{api::encode_reply, refusal::Refusal};
use std::sync::Arc;

/// The honest server behind a cheat.
pub struct Honest(Arc<dyn Service>);

impl Honest {
    /// Its reply.
    pub async fn answer(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.0.call(lane, request).await
    }
}

/// A cheat: what it does with each request.
#[async_trait]
pub trait Cheat: Send + Sync + 'static {
    /// The reply.
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8>;
}

struct Front<C> {
    honest: Honest,
    cheat: Arc<C>,
}

#[async_trait]
impl<C: Cheat> Service for Front<C> {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.cheat.answer(&self.honest, lane, request).await
    }
}

impl World {
    /// Puts a cheat in front of a server, until it is restarted or [`honest`](World::honest) again.
    pub fn cheat<C: Cheat>(&self, party: Party, cheat: C) -> Arc<C> {
        let cheat = Arc::new(cheat);
        let front = Front {
            honest: Honest(self.service(party)),
            cheat: cheat.clone(),
        };
        self.answer(party, Arc::new(front));
        cheat
    }

    /// Removes the cheat in front of a server.
    pub fn honest(&self, party: Party) {
        self.answer(party, self.service(party));
    }

    fn answer(&self, party: Party, service: Arc<dyn Service>) {
        let identity = self.foundation.key(party).public();
        self.network
            .attach(identity, party, service, self.machine(party).life());
    }
}

/// A reply with this refusal.
pub(super) fn refuse(refusal: impl Into<Refusal>) -> Vec<u8> {
    encode_reply::<()>(&Err(refusal.into()))
}

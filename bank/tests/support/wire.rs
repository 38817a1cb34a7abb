//! A network with one escrow on it, which answers what a test says.

use async_trait::async_trait;
use farthing_node::{
    card::Card,
    network::{Channel, Lane, Network, NetworkError},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// What the escrow answers when the bank asks it about overdue holds.
type Answer = Arc<dyn Fn(Vec<u8>) -> Option<Vec<u8>> + Send + Sync>;

/// A network with one escrow.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<Option<Answer>>>);

impl Wire {
    pub fn answer(&self, with: impl Fn(Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static) {
        *self.0.lock().unwrap() = Some(Arc::new(with));
    }
}

#[async_trait]
impl Network for Wire {
    async fn connect(&self, _: &Card, _: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Channel for Wire {
    async fn call(&self, request: Vec<u8>, _: Duration) -> Result<Vec<u8>, NetworkError> {
        let answer = self.0.lock().unwrap().clone();
        answer
            .and_then(|answer| answer(request))
            .ok_or(NetworkError::Unreachable {
                peer: "escrow".into(),
                reason: "it is down".into(),
            })
    }
}

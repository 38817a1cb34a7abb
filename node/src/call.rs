//! Questions and answers between parties: typed calls on a channel, and decisions in the store.

use crate::{
    link::Link,
    network::{Channel, Lane, NetworkError},
};
use async_trait::async_trait;
use farthing_protocol::{
    api::{Call, Caller},
    refusal::{
        AccountFault, CoinsFault, ContractFault, GoodsFault, IssueFault, Later, PurchaseFault, Refusal,
        RequestFault,
    },
    wire::WireError,
};
use farthing_store::{Reads, Store, StoreError, Transaction};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How soon a client that was told `busy` should ask again (ms).
pub const RETRY_AFTER_MS: u64 = 100;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The network: whether the other side has acted may be unknown.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The other side refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The other side's reply is not one.
    #[error("the reply is not understood: {0}; is the other side of another version?")]
    Garbled(#[from] WireError),
}

/// Asks `call` on `channel`.
///
/// # Errors
/// [`CallError`]: the network failed, the other side refused, or its reply is not one.
pub async fn ask<C: Call>(channel: &dyn Channel, call: C, timeout: Duration) -> Result<C::Reply, CallError> {
    let reply = channel.call(call.encode()?, timeout).await?;
    Ok(C::decode_reply(&reply)??)
}

#[async_trait]
impl Channel for Link {
    async fn call(&self, request: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, NetworkError> {
        Link::call(self, request, timeout).await
    }
}

/// Refuses a question that came on the wrong lane, so that a connection is never both identified and anonymous.
///
/// # Errors
/// [`RequestFault::WrongLane`] says which lane is right.
pub fn check_lane(lane: Lane, caller: Caller) -> Result<(), Refusal> {
    let expected = match caller {
        Caller::Anyone => return Ok(()),
        Caller::Identified => Lane::Identified,
        Caller::Anonymous => Lane::Anonymous,
        Caller::Peer => Lane::Peer,
    };
    if lane == expected {
        return Ok(());
    }
    let right = match expected {
        Lane::Identified => "an identified",
        Lane::Anonymous => "an anonymous",
        Lane::Peer => "a peer's",
    };
    Err(RequestFault::WrongLane(right.into()).into())
}

/// Why a transaction decided nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum TxError {
    /// The request is refused.
    Refused(Refusal),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for TxError {
    fn from(error: StoreError) -> Self {
        TxError::Store(error)
    }
}

/// So that `?` passes any of them on.
macro_rules! refuse_with {
    ($($fault:ty),*) => {
        $(impl From<$fault> for TxError {
            fn from(fault: $fault) -> Self {
                TxError::Refused(fault.into())
            }
        })*
    };
}

refuse_with!(
    Refusal,
    RequestFault,
    Later,
    AccountFault,
    IssueFault,
    CoinsFault,
    ContractFault,
    PurchaseFault,
    GoodsFault
);

/// Runs `transaction`, which reads no other rows than `reads`, and returns what it decided once that is durable. A refusal
/// writes nothing, and is returned once everything that it may rest on is durable. As [`Store::transact`], it may run
/// again, and has begun when this returns.
///
/// # Errors
/// The transaction's refusal, or [`Later`] when the store takes no writes.
pub fn decide<T: Send + 'static>(
    store: &Store,
    reads: impl Into<Reads>,
    transaction: impl Fn(&mut Transaction<'_>) -> Result<T, TxError> + Send + 'static,
) -> impl Future<Output = Result<T, Refusal>> + Send {
    let refusal = Arc::new(Mutex::new(None));
    let told = Arc::clone(&refusal);
    let outcome = store.transact(reads, move |tx| {
        transaction(tx).map_err(|error| match error {
            TxError::Store(error) => error,
            TxError::Refused(refusal) => {
                let text = refusal.to_string();
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
                StoreError::Refused(text)
            }
        })
    });
    async move {
        outcome.await.map_err(|error| {
            let refused = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
            match (error, refused) {
                (StoreError::Refused(_), Some(refusal)) => refusal,
                (error, _) => unavailable(&error),
            }
        })
    }
}

/// What a caller is told of a decision that was not made.
pub fn refused(error: TxError) -> Refusal {
    match error {
        TxError::Refused(refusal) => refusal,
        TxError::Store(error) => unavailable(&error),
    }
}

/// What a caller is told when the store cannot answer: to ask again. The operator finds the cause in the log.
pub fn unavailable(error: &StoreError) -> Refusal {
    match error {
        StoreError::Busy { .. } => Later::Busy {
            retry_after_ms: RETRY_AFTER_MS,
        }
        .into(),
        StoreError::Full { .. } => Later::Unavailable("its disk is full".into()).into(),
        other => {
            tracing::error!(error = %other, "the store did not answer");
            Later::Unavailable("its store has stopped; the operator is told in its log".into()).into()
        }
    }
}

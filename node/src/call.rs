//! Typed calls on a channel, and decisions in the store.

use crate::network::{Channel, Lane, NetworkError};
use farthing_protocol::{
    api::{Call, Caller},
    refusal::{
        AccountFault, CoinsFault, ContractFault, GoodsFault, IssueFault, Later, PurchaseFault, Refusal,
        RequestFault,
    },
    wire::WireError,
};
use farthing_store::{DatabaseError, Reads, Store, StoreError, Transaction};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a client waits after `busy` before it asks again (ms).
pub const RETRY_AFTER_MS: u64 = 100;

/// An error of a call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The network failed. It may be unknown whether the other party has acted.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The other party refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The reply cannot be decoded.
    #[error("the reply is not understood: {0}; is the other side of another version?")]
    Garbled(#[from] WireError),
}

/// Sends `call` on `channel` and returns the reply. If the connection fails, that is what the beginning of the reply is
/// worth ([`Call::decode_beginning`]).
///
/// # Errors
/// [`CallError`].
pub async fn ask<C: Call>(channel: &dyn Channel, call: C, timeout: Duration) -> Result<C::Reply, CallError> {
    let mut reply = Vec::new();
    match channel.call_into(call.encode()?, timeout, &mut reply).await {
        Ok(()) => Ok(C::decode_reply(&reply)??),
        Err(error) => C::decode_beginning(&reply).ok_or_else(|| error.into()),
    }
}

/// Refuses a request on the wrong lane. A connection is then never both identified and anonymous.
///
/// # Errors
/// [`RequestFault::WrongLane`] names the right lane.
pub fn check_lane(lane: Lane, caller: Caller) -> Result<(), Refusal> {
    let expected = match caller {
        Caller::Anyone => return Ok(()),
        Caller::Identified => Lane::Identified,
        Caller::Anonymous => Lane::Anonymous,
        Caller::Peer => Lane::Peer,
        Caller::Relay => Lane::Relayed,
    };
    if lane == expected {
        return Ok(());
    }
    let right = match expected {
        Lane::Identified => "an identified",
        Lane::Anonymous => "an anonymous",
        Lane::Peer => "a peer's",
        Lane::Relayed => "a relay's",
    };
    Err(RequestFault::WrongLane(right.into()).into())
}

/// An error of a transaction. It has written nothing.
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

/// Lets `?` convert each fault.
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

/// Runs `transaction` over `reads`, and returns its result once its writes are durable.
///
/// A refusal writes nothing. It is returned once all rows that it may rest on are durable. As with [`Store::transact`],
/// the transaction may run again, and it has begun when this function returns.
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

/// The refusal for an error of a transaction.
pub fn refused(error: TxError) -> Refusal {
    match error {
        TxError::Refused(refusal) => refusal,
        TxError::Store(error) => unavailable(&error),
    }
}

/// The refusal when the store fails: the caller asks again. The log has the cause for the operator.
pub fn unavailable(error: &StoreError) -> Refusal {
    match error {
        StoreError::Busy { .. } => Later::Busy {
            retry_after_ms: RETRY_AFTER_MS,
        }
        .into(),
        StoreError::Database(DatabaseError::Unreachable { .. }) => {
            Later::Unavailable("its database does not answer".into()).into()
        }
        StoreError::Full { .. } => Later::Unavailable("its disk is full".into()).into(),
        StoreError::Archived { .. } => {
            tracing::error!(%error, "a peer asks for a record whose hash is lost");
            Later::Unavailable("a record of its history is archived".into()).into()
        }
        other => {
            tracing::error!(error = %other, "the store did not answer");
            Later::Unavailable("its store has stopped; the operator is told in its log".into()).into()
        }
    }
}

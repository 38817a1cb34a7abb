//! The runtime of an issuance: makes a step's write durable, then sends its request.

use super::{
    record::Written,
    row::At,
    step::{Event, Known, Refused, Then, step},
};
use crate::{
    error::WalletError,
    keys::fetch_keys,
    observer,
    peer_client::{Backoff, PeerClient},
    wallet::Wallet,
};
use farthing_node::card::RoleName;
use farthing_protocol::{issue::IssuanceFault, refusal::Refusal};

/// Drives an issuance until it has ended, and returns its row.
///
/// # Errors
/// When the bank refuses, or does not answer within the time of the retry policy.
pub(crate) async fn drive<R: Refused>(
    wallet: &Wallet,
    at: At,
    peer: &mut PeerClient<'_>,
) -> Result<R, WalletError> {
    let bank = wallet.party_by_key(RoleName::Bank, &at.0)?;
    let seed = wallet.seed_for(&at.0);
    let mut pause = Backoff::new(wallet.env.retry);
    let mut row = load::<R>(wallet, at)?;
    let signers = row.signers(wallet)?;
    let (mut event, mut are_keys_fresh) = (Event::Resumed, false);
    loop {
        let keys = wallet.stored_keys(&bank)?;
        let next = step(
            &Known {
                at,
                row: &row,
                signers: &signers,
                rows: &wallet.store.view(),
                keys: keys.as_deref(),
                are_keys_fresh,
                seed: &seed,
                bank: &bank,
                now_ms: wallet.now_ms(),
            },
            &event,
        )?;
        if let Some(write) = next.write {
            row = write.next().clone();
            match wallet
                .transact(write.reads(&at), move |tx| write.apply(tx, at))
                .await?
            {
                Written::Repeated => return Err(IssuanceFault::RepeatedCommitment.into()),
                Written::Done(None) => {}
                Written::Done(Some(number)) => wallet.observer().on_event(&observer::WalletEvent::Purchase {
                    number,
                    status: "recovered",
                }),
            }
        }
        are_keys_fresh = false;
        event = match next.then {
            Then::Begin(begin) => answer(peer.ask(&begin).await?, Event::Begun),
            Then::Finish(finish) => answer(peer.ask(&finish).await?, Event::Issued),
            Then::FetchKeys => {
                fetch_keys(wallet, &bank).await?;
                are_keys_fresh = true;
                event
            }
            Then::Pause(refusal) => {
                if !pause.wait().await {
                    return Err(WalletError::Silent {
                        party: peer.party(),
                        question: R::QUESTION,
                        why: refusal.to_string(),
                    });
                }
                row = load(wallet, at)?;
                Event::Resumed
            }
            Then::End(outcome) => return outcome.map(|()| row),
        };
    }
}

fn answer<A>(answer: Result<A, Refusal>, event: impl Fn(A) -> Event) -> Event {
    match answer {
        Ok(answer) => event(answer),
        Err(refusal) => Event::Refused(refusal),
    }
}

fn load<R: Refused>(wallet: &Wallet, at: At) -> Result<R, WalletError> {
    R::TABLE
        .peek(&wallet.store.view(), &at)?
        .ok_or(WalletError::Inconsistent(
            "a withdrawal or an exchange is missing",
        ))
}

/// Drives an issuance over a connection of its own.
///
/// # Errors
/// Like [`drive`].
pub(crate) async fn resume<R: Refused>(wallet: &Wallet, at: At) -> Result<(), WalletError> {
    let bank = wallet.party_by_key(RoleName::Bank, &at.0)?;
    let mut peer = wallet.peer_client(&bank, R::LANE);
    drive::<R>(wallet, at, &mut peer).await.map(drop)
}

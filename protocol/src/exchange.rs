//! Exchange: coins in, fresh unlinkable coins of the same worth out.
//!
//! A wallet exchanges coins for change, before their keys end, and after an abort. Without the last, a bank could link
//! an aborted purchase to the next one. The requests are those of a withdrawal, with coins in place of an account:
//!
//! ```text
//! wallet                                  bank
//!   ExchangeBegin   -------------------->   checks that the coins are not used; opens a session
//!                   <--------------------   Begun: one commitment for each coin
//!   (stores its challenges)
//!   ExchangeFinish  -------------------->   takes the coins in and stores challenges and responses in one write
//!                   <--------------------   Signed<Issued>, the same for each repeated request
//! ```
//!
//! Each coin's key signs each of the two requests as a whole. So nobody can reuse a part of a request.

use crate::{
    bounded,
    claim::{SessionClaim, SessionRef},
    coins::{CoinState, VerifiedCoins, check_length, verify},
    documents::{CoinUse, EarlierUse, Issued, coins_digest, describe_challenges, describe_outputs},
    ids::{IssueSource, SessionDigest},
    issuance::Issuance,
    issue::{
        IssuanceFault, IssueState, Owner, SessionRequest, Sessions, check_challenges, check_outputs, finish,
        session_digest,
    },
    limits::{COINS_PER_REQUEST_MAX, RELEASED_GRACE_MS},
    money::Amount,
    refusal::{CoinFault, CoinsFault, IssueFault, Refusal},
    request::check_recipient,
};
use farthing_coin::{
    Challenge, ClientRandomness, Coin, Denomination, DenominationSecret, Document, KeyBook, KeyId, PublicKey,
    RequestId, SecretKey, Seed, Signature, Signed, StatementDigest, Transcript, TranscriptExt,
    answered_commitment,
};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// Asks the bank to open a session. Each coin's key signs its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeBegin {
    /// The recipient.
    pub bank: PublicKey,
    /// Chosen by the wallet, which stores it before it sends the request.
    pub request_id: RequestId,
    /// The coins that will be taken in.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub inputs: Vec<Coin>,
    /// The denomination key of each new coin.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub outputs: Vec<KeyId>,
    /// An input to the bank's nonces, beside the bank's own randomness.
    pub client_randomness: ClientRandomness,
}

impl Document for ExchangeBegin {
    const LABEL: &'static str = "farthing exchange begin";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"request", &self.request_id.0);
        t.bytes(b"inputs", &coins_digest(&self.inputs).0);
        describe_outputs(t, &self.outputs);
        t.bytes(b"client randomness", &self.client_randomness.0);
    }
}

/// Asks the bank to take the coins in and answer the challenges. Each coin's key signs its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeFinish {
    /// The recipient.
    pub bank: PublicKey,
    /// The id of the request.
    pub request_id: RequestId,
    /// The coins that are taken in.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub inputs: Vec<Coin>,
    /// The denomination key of each new coin.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub outputs: Vec<KeyId>,
    /// [`session_digest`] of the commitments that are challenged.
    pub session: SessionDigest,
    /// The wallet's challenges, one for each output.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub challenges: Vec<Challenge>,
}

impl Document for ExchangeFinish {
    const LABEL: &'static str = "farthing exchange finish";

    fn describe(&self, t: &mut Transcript) {
        Finish {
            bank: &self.bank,
            request_id: &self.request_id,
            inputs: &coins_digest(&self.inputs).into(),
            outputs: &self.outputs,
            session: &self.session,
            challenges: &self.challenges,
        }
        .describe(t);
    }
}

/// An [`ExchangeFinish`] with the digest of its coins in place of the coins.
struct Finish<'a> {
    bank: &'a PublicKey,
    request_id: &'a RequestId,
    inputs: &'a IssueSource,
    outputs: &'a [KeyId],
    session: &'a SessionDigest,
    challenges: &'a [Challenge],
}

impl Document for Finish<'_> {
    const LABEL: &'static str = ExchangeFinish::LABEL;

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"request", &self.request_id.0);
        t.bytes(b"inputs", &self.inputs.0);
        describe_outputs(t, self.outputs);
        t.bytes(b"session", &self.session.0);
        describe_challenges(t, self.challenges);
    }
}

/// The digest of the [`ExchangeFinish`] that `issued` answers.
///
/// The first messages of its session are reconstructed from challenges and responses. The wallet that signed this digest
/// can make the new coins from `issued`. `key` finds a denomination of the bank.
///
/// # Errors
/// When the record cannot be an answer to a request.
pub fn finish_digest<'k>(
    bank: &PublicKey,
    issued: &Issued,
    key: impl Fn(&KeyId) -> Option<&'k Denomination>,
) -> Result<StatementDigest, IssuanceFault> {
    let session = answered_session(issued, key)?;
    let finish = Finish {
        bank,
        request_id: &issued.request_id,
        inputs: &issued.source,
        outputs: &issued.outputs,
        session: &session,
        challenges: &issued.challenges,
    };
    Ok(finish.digest())
}

/// The session that `issued` answers, whose first messages are reconstructed from challenges and responses.
///
/// # Errors
/// When the record cannot be an answer to a request.
pub(crate) fn answered_session<'k>(
    issued: &Issued,
    key: impl Fn(&KeyId) -> Option<&'k Denomination>,
) -> Result<SessionDigest, IssuanceFault> {
    let Issued {
        outputs,
        challenges,
        responses,
        ..
    } = issued;
    let lengths = (challenges.len(), responses.len());
    if outputs.len() > COINS_PER_REQUEST_MAX || lengths != (outputs.len(), outputs.len()) {
        return Err(IssuanceFault::Mismatch("number of responses"));
    }
    let mut commitments = Vec::with_capacity(outputs.len());
    for (slot, (key_id, (challenge, response))) in
        outputs.iter().zip(challenges.iter().zip(responses)).enumerate()
    {
        let denomination = key(key_id).ok_or(IssuanceFault::UnknownKey(*key_id))?;
        let commitment = answered_commitment(denomination, challenge, response);
        commitments.push(commitment.map_err(|why| IssuanceFault::Blind { slot, why })?);
    }
    Ok(session_digest(&commitments))
}

/// A request with one signature by each of its coins' keys, in the coins' order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorized<T> {
    /// The request.
    pub body: T,
    /// The signatures, in the order of the inputs.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub authorizations: Vec<Signature>,
}

// ---- the wallet -------------------------------------------------------------------------------------------

/// An exchange as the wallet keeps it. The wallet stores it before it sends the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The bank.
    pub bank: PublicKey,
    /// Derived from the seed and a counter.
    pub request_id: RequestId,
    /// The coins that go in.
    pub inputs: Vec<Coin>,
    /// The denomination key of each new coin.
    pub outputs: Vec<KeyId>,
    /// The state.
    pub state: IssueState,
}

/// Signs `digest` with each coin's key. `keys` are in the order of `coins`.
pub fn authorize(
    coins: &[Coin],
    keys: &[SecretKey],
    operation: CoinUse,
    digest: &StatementDigest,
) -> Vec<Signature> {
    let each = coins.iter().zip(keys);
    each.map(|(coin, key)| key.sign(&operation.statement(&coin.key_id, digest)))
        .collect()
}

impl Issuance for Exchange {
    type BeginBody = ExchangeBegin;
    type Begin = Authorized<ExchangeBegin>;
    type FinishBody = ExchangeFinish;
    type Finish = Authorized<ExchangeFinish>;
    /// The coins' keys, in the order of the inputs.
    type Signers = [SecretKey];

    fn request_id(&self) -> RequestId {
        self.request_id
    }

    fn outputs(&self) -> &[KeyId] {
        &self.outputs
    }

    fn state(&self) -> &IssueState {
        &self.state
    }

    fn with(&self, outputs: Vec<KeyId>, state: IssueState) -> Self {
        Exchange {
            bank: self.bank,
            request_id: self.request_id,
            inputs: self.inputs.clone(),
            outputs,
            state,
        }
    }

    fn begin_body(&self, seed: &Seed) -> ExchangeBegin {
        ExchangeBegin {
            bank: self.bank,
            request_id: self.request_id,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            client_randomness: seed.client_randomness(&self.request_id),
        }
    }

    fn sign_begin(&self, body: ExchangeBegin, coin_keys: &[SecretKey]) -> Authorized<ExchangeBegin> {
        let authorizations = authorize(&self.inputs, coin_keys, CoinUse::ExchangeBegin, &body.digest());
        Authorized { body, authorizations }
    }

    fn finish_body(&self, session: &SessionDigest, challenges: &[Challenge]) -> ExchangeFinish {
        ExchangeFinish {
            bank: self.bank,
            request_id: self.request_id,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            session: *session,
            challenges: challenges.to_vec(),
        }
    }

    fn sign_finish(&self, body: ExchangeFinish, coin_keys: &[SecretKey]) -> Authorized<ExchangeFinish> {
        let authorizations = authorize(&self.inputs, coin_keys, CoinUse::Exchange, &body.digest());
        Authorized { body, authorizations }
    }

    fn on_other_content(
        &self,
        issued: &Signed<Issued>,
        keys: &KeyBook,
        seed: &Seed,
    ) -> Result<(Exchange, Vec<Coin>), IssuanceFault> {
        let coins = finish(
            &self.request_id,
            issued,
            &self.bank,
            &issued.body.source,
            keys,
            seed,
        )?;
        if issued.body.source != coins_digest(&self.inputs).into() {
            let why = "a copy of this wallet used the request for other coins".into();
            return Ok((self.in_state(IssueState::Refused { why }), coins));
        }
        let worth = |ids: &mut dyn Iterator<Item = &KeyId>| -> Option<Amount> {
            let values: Option<Vec<u64>> = ids.map(|id| keys.get(id).map(|d| d.value)).collect();
            Amount::sum(values?)
        };
        let inputs = worth(&mut self.inputs.iter().map(|coin| &coin.key_id));
        if inputs.is_none() || inputs != worth(&mut issued.body.outputs.iter()) {
            return Err(IssuanceFault::Mismatch("worth"));
        }
        Ok((self.with(issued.body.outputs.clone(), IssueState::Done), coins))
    }
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A begin with valid coins, signed by each coin's key. Only [`verify_begin`] makes one.
#[derive(Debug)]
pub struct VerifiedExchangeBegin {
    body: ExchangeBegin,
    digest: StatementDigest,
    coins: VerifiedCoins,
}

/// A finish with valid coins, signed by each coin's key. Only [`verify_finish`] makes one.
#[derive(Debug)]
pub struct VerifiedExchangeFinish {
    body: ExchangeFinish,
    digest: StatementDigest,
    coins: VerifiedCoins,
}

/// Verifies a begin.
///
/// # Errors
/// When it is for another bank, a list has a wrong length, or a coin or authorization is invalid.
pub fn verify_begin(
    begin: Authorized<ExchangeBegin>,
    self_id: &PublicKey,
    keys: &KeyBook,
    rng: &mut impl CryptoRng,
) -> Result<VerifiedExchangeBegin, Refusal> {
    let Authorized { body, authorizations } = begin;
    check_recipient(&body.bank, self_id)?;
    check_length("inputs", body.inputs.len())?;
    check_length("outputs", body.outputs.len())?;
    let digest = body.digest();
    let coins = verify(
        &body.inputs,
        &authorizations,
        CoinUse::ExchangeBegin,
        &digest,
        keys,
        rng,
    )?;
    Ok(VerifiedExchangeBegin { body, digest, coins })
}

/// Verifies a finish.
///
/// # Errors
/// When it is for another bank, a list has a wrong length, a challenge is not canonical, or a coin or
/// authorization is invalid.
pub fn verify_finish(
    finish: Authorized<ExchangeFinish>,
    self_id: &PublicKey,
    keys: &KeyBook,
    rng: &mut impl CryptoRng,
) -> Result<VerifiedExchangeFinish, Refusal> {
    let Authorized { body, authorizations } = finish;
    check_recipient(&body.bank, self_id)?;
    check_length("inputs", body.inputs.len())?;
    check_challenges(&body.challenges, &body.outputs)?;
    let digest = body.digest();
    let coins = verify(
        &body.inputs,
        &authorizations,
        CoinUse::Exchange,
        &digest,
        keys,
        rng,
    )?;
    Ok(VerifiedExchangeFinish { body, digest, coins })
}

/// Checks that every coin can be exchanged or deposited now. `states` are in the coins' order.
pub(crate) fn check_exchangeable(
    coins: &VerifiedCoins,
    states: &[CoinState],
    now_ms: u64,
) -> Result<(), CoinsFault> {
    for (index, (coin, state)) in coins.coins().iter().zip(states).enumerate() {
        if let Some(what) = state.taken() {
            return Err(CoinsFault { index, what });
        }
        let grace_ms = if matches!(state, CoinState::Released(_)) {
            RELEASED_GRACE_MS
        } else {
            0
        };
        let expired_ms = coin.redeem_until_ms.saturating_add(grace_ms);
        if now_ms >= expired_ms {
            let what = CoinFault::Expired { expired_ms };
            return Err(CoinsFault { index, what });
        }
    }
    Ok(())
}

impl VerifiedExchangeBegin {
    /// The digest of the whole request.
    pub fn digest(&self) -> StatementDigest {
        self.digest
    }

    /// The coins, whose rows the bank loads.
    pub fn coins(&self) -> &VerifiedCoins {
        &self.coins
    }

    /// The id of the request.
    pub fn request_id(&self) -> RequestId {
        self.body.request_id
    }

    /// The session that the wallet asks for.
    pub fn session(&self) -> SessionRequest {
        SessionRequest {
            key: (Owner::Coins, self.body.request_id),
            outputs: self.body.outputs.clone(),
            inputs: self.coins.row_keys(),
            randomness: self.body.client_randomness,
        }
    }

    /// Checks that a session may be opened. The check is cheap, and comes before nonces are made. `states` are in the
    /// coins' order.
    ///
    /// # Errors
    /// When a coin cannot be exchanged, a key of the outputs does not issue now, or the sums differ.
    pub fn check(&self, states: &[CoinState], keys: &KeyBook, now_ms: u64) -> Result<(), Refusal> {
        check_exchangeable(&self.coins, states, now_ms)?;
        let outputs = check_outputs(&self.body.outputs, keys, now_ms)?;
        Ok(check_balanced(&self.coins, outputs)?)
    }
}

fn check_balanced(coins: &VerifiedCoins, outputs: Amount) -> Result<(), IssueFault> {
    if coins.total() == outputs {
        return Ok(());
    }
    Err(IssueFault::Unbalanced {
        inputs: coins.total(),
        outputs,
    })
}

/// The rows that a finished exchange writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeWrites {
    /// The new states of the coins, in their order.
    pub states: Vec<CoinState>,
    /// The record that is stored and signed.
    pub issued: Issued,
}

impl VerifiedExchangeFinish {
    /// The digest of the whole request.
    pub fn digest(&self) -> StatementDigest {
        self.digest
    }

    /// The coins, whose rows the bank loads.
    pub fn coins(&self) -> &VerifiedCoins {
        &self.coins
    }

    /// The id of the request.
    pub fn request_id(&self) -> RequestId {
        self.body.request_id
    }

    /// The denomination key of each new coin.
    pub fn outputs(&self) -> &[KeyId] {
        &self.body.outputs
    }

    /// Whether `stored` is the record of this same request.
    pub fn is_repeat_of(&self, stored: &Issued) -> bool {
        stored.source == coins_digest(&self.body.inputs).into()
            && stored.outputs == self.body.outputs
            && stored.challenges == self.body.challenges
    }

    /// Decides a request that was not finished before: all coins are taken in, or none.
    ///
    /// `states` are in the coins' order. `claim` belongs to this request alone. With it the request can be decided again
    /// with other rows.
    ///
    /// # Errors
    /// When the session is gone, a coin cannot be exchanged, a key of the outputs does not issue now, or the sums differ.
    pub fn respond<'k>(
        &self,
        states: &[CoinState],
        sessions: &mut Sessions,
        claim: &mut SessionClaim,
        keys: &KeyBook,
        secret: impl Fn(&KeyId) -> Option<&'k DenominationSecret>,
        now_ms: u64,
    ) -> Result<ExchangeWrites, Refusal> {
        let request = &self.body;
        let session = SessionRef {
            key: (Owner::Coins, request.request_id),
            session: request.session,
            outputs: &request.outputs,
            inputs: &self.coins.row_keys(),
        };
        claim.take(sessions, &session, now_ms)?;
        check_exchangeable(&self.coins, states, now_ms)?;
        let outputs = check_outputs(&request.outputs, keys, now_ms)?;
        check_balanced(&self.coins, outputs)?;
        let responses = claim.respond(&request.challenges, secret)?;
        let taken = |authorization: &Signature| {
            CoinState::Exchanged(EarlierUse {
                operation: CoinUse::Exchange,
                digest: self.digest,
                authorization: *authorization,
            })
        };
        let issued = Issued {
            request_id: request.request_id,
            source: coins_digest(&request.inputs).into(),
            outputs: request.outputs.clone(),
            challenges: request.challenges.clone(),
            responses,
        };
        let states = self
            .coins
            .coins()
            .iter()
            .map(|coin| taken(&coin.authorization))
            .collect();
        Ok(ExchangeWrites { states, issued })
    }
}

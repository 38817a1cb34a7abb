//! Issuing, for withdrawals and exchanges: a wallet's challenges and unblinding, and the bank's open sessions.

use crate::{
    bounded,
    coins::check_length,
    documents::{Issued, describe_outputs},
    ids::{IssueSource, SessionDigest},
    limits::{
        COINS_PER_REQUEST_MAX, NONCES_PER_PAYER_MAX, NONCES_WINDOW_MS, REASON_MAX_BYTES, SESSION_LIFE_MS,
        SESSIONS_MAX, SESSIONS_PER_ACCOUNT_MAX,
    },
    money::Amount,
    refusal::{IssueFault, Later, Refusal},
    request::check_matching,
};
use farthing_coin::{
    BlindError, BootId, Challenge, ClientRandomness, Coin, Commitment, DenominationSecret, Document, KeyBook,
    KeyId, Nonces, PublicKey, RequestId, Response, Seed, SignatureError, Signed, StatementDigest, Transcript,
    TranscriptExt, blind, recover,
};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The bank's first message of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// One commitment for each output, in their order.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub commitments: Vec<Commitment>,
}

/// Names a session by its commitments. So the bank never answers challenges to a closed session with the nonces of
/// another session.
pub fn session_digest(commitments: &[Commitment]) -> SessionDigest {
    let mut t = Transcript::start(b"farthing session");
    t.u64(b"commitments", commitments.len() as u64);
    for commitment in commitments {
        t.bytes(b"A", &commitment.a.0);
        t.bytes(b"B", &commitment.b.0);
    }
    SessionDigest(t.digest32(b"digest"))
}

// ---- the wallet -------------------------------------------------------------------------------------------

/// The state of a withdrawal or an exchange, as the wallet keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IssueState {
    /// The wallet asks for a session. The bank may have opened one, and has taken nothing.
    Beginning,
    /// The wallet has sent its challenges. The bank may have debited the account, or taken the coins in.
    Finishing {
        /// The digest of the commitments that were challenged.
        session: SessionDigest,
        /// The challenges. The wallet repeats the request until the bank answers.
        challenges: Vec<Challenge>,
    },
    /// The new coins are in the wallet.
    Done,
    /// The bank refused, and its session is closed. Nothing was debited, and the coins are as before.
    Refused {
        /// The bank's reason.
        why: String,
    },
}

impl IssueState {
    /// The state after a refusal for the reason `why`, which is cut to the bound of a refusal's text.
    pub(crate) fn refused(why: &str) -> Self {
        IssueState::Refused {
            why: bounded::cut(why, REASON_MAX_BYTES).to_owned(),
        }
    }

    /// The digest of the finish, in the state `Finishing`. `finish` makes the request from session and challenges.
    pub(crate) fn finish_digest<D: Document>(
        &self,
        finish: impl FnOnce(&SessionDigest, &[Challenge]) -> D,
    ) -> Option<StatementDigest> {
        match self {
            IssueState::Finishing { session, challenges } => Some(finish(session, challenges).digest()),
            _ => None,
        }
    }

    /// The state after the bank's first message.
    ///
    /// # Errors
    /// When [`challenge`] does not accept its commitments.
    pub(crate) fn begun(
        request_id: &RequestId,
        outputs: &[KeyId],
        begun: &Begun,
        keys: &KeyBook,
        seed: &Seed,
    ) -> Result<Self, IssuanceFault> {
        Ok(IssueState::Finishing {
            session: session_digest(&begun.commitments),
            challenges: challenge(request_id, outputs, begun, keys, seed)?,
        })
    }

    /// Checks that an answer fits the request. A bank that answers with fewer outputs has taken more than it gave.
    ///
    /// # Errors
    /// [`IssuanceFault::Mismatch`].
    pub(crate) fn check_answer(&self, answer: &Issued, outputs: &[KeyId]) -> Result<(), IssuanceFault> {
        let asked = match self {
            IssueState::Finishing { challenges, .. } => challenges.as_slice(),
            _ => &[],
        };
        if answer.outputs != outputs {
            return Err(IssuanceFault::Mismatch("list of outputs"));
        }
        if answer.challenges != asked {
            return Err(IssuanceFault::Mismatch("list of challenges"));
        }
        Ok(())
    }
}

/// Why a wallet does not accept the bank's answer. The bank is at fault, or somebody who pretends to be the bank.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuanceFault {
    /// The reply is not signed by the bank.
    #[error("the bank's signature is refused: {0}")]
    Signature(SignatureError),
    /// A part of the reply differs from the request.
    #[error("the bank's reply has another {0} than was asked for")]
    Mismatch(&'static str),
    /// A denomination key is not in the bank's list.
    #[error("denomination key {0} is not in the bank's list")]
    UnknownKey(KeyId),
    /// A first message was used before, under another request or slot.
    #[error("the bank repeats a first message that it sent for another coin")]
    RepeatedCommitment,
    /// An output is invalid.
    #[error("output {slot}: {why}")]
    Blind {
        /// The number of the output, from 0.
        slot: usize,
        /// What is wrong with it.
        why: BlindError,
    },
}

/// Makes the wallet's challenges from the bank's first message. All secrets derive from the seed.
///
/// The caller has checked that no commitment was used before under another request or slot.
///
/// # Errors
/// When there is not one commitment for each output, or a commitment is not a pair of group elements.
pub fn challenge(
    request_id: &RequestId,
    outputs: &[KeyId],
    begun: &Begun,
    keys: &KeyBook,
    seed: &Seed,
) -> Result<Vec<Challenge>, IssuanceFault> {
    if begun.commitments.len() != outputs.len() {
        return Err(IssuanceFault::Mismatch("number of commitments"));
    }
    let mut challenges = Vec::with_capacity(outputs.len());
    for (slot, (key_id, commitment)) in outputs.iter().zip(&begun.commitments).enumerate() {
        let denomination = keys.get(key_id).ok_or(IssuanceFault::UnknownKey(*key_id))?;
        let public = seed.coin_key(request_id, slot as u32).public();
        let blinders = seed.blinders(request_id, slot as u32, key_id, commitment);
        let challenge = blind(denomination, &public, commitment, &blinders)
            .map_err(|why| IssuanceFault::Blind { slot, why })?;
        challenges.push(challenge);
    }
    Ok(challenges)
}

/// Makes the coins from `issued`, a reply to any session of the request.
///
/// It reconstructs the commitments from the responses, derives the blinders again, and compares the challenges. So a
/// wallet that was rolled back, restored from its seed or copied also gets its coins from the bank's stored reply.
///
/// # Errors
/// When the reply is not signed by the bank, is not for this request, or does not verify.
pub fn finish(
    request_id: &RequestId,
    issued: &Signed<Issued>,
    bank: &PublicKey,
    source: &IssueSource,
    keys: &KeyBook,
    seed: &Seed,
) -> Result<Vec<Coin>, IssuanceFault> {
    issued.verify(bank).map_err(IssuanceFault::Signature)?;
    let body = &issued.body;
    if body.request_id != *request_id {
        return Err(IssuanceFault::Mismatch("request"));
    }
    if body.source != *source {
        return Err(IssuanceFault::Mismatch("source"));
    }
    if body.challenges.len() != body.outputs.len() || body.responses.len() != body.outputs.len() {
        return Err(IssuanceFault::Mismatch("number of responses"));
    }
    let mut coins = Vec::with_capacity(body.outputs.len());
    let answers = body.challenges.iter().zip(&body.responses);
    for (slot, (key_id, (challenge, response))) in body.outputs.iter().zip(answers).enumerate() {
        let denomination = keys.get(key_id).ok_or(IssuanceFault::UnknownKey(*key_id))?;
        let public = seed.coin_key(request_id, slot as u32).public();
        let coin = recover(
            denomination,
            &public,
            challenge,
            response,
            |key_id, commitment| seed.blinders(request_id, slot as u32, key_id, commitment),
        );
        coins.push(coin.map_err(|why| IssuanceFault::Blind { slot, why })?);
    }
    Ok(coins)
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// The owner of an issuing session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The account that will be debited.
    Account(PublicKey),
    /// The holder of the coins that will be taken in.
    Coins,
    /// The reserve that will be debited.
    Reserve(PublicKey),
}

/// One open session. Its nonces exist only here, until they are used once or wiped.
struct Session {
    outputs: Vec<KeyId>,
    randomness: ClientRandomness,
    commitments: Vec<Commitment>,
    nonces: Vec<Nonces>,
    inputs: Vec<(KeyId, PublicKey)>,
    opened_ms: u64,
    number: u64,
}

/// The key of a session: its owner and the owner's request id.
type SessionKey = (Owner, RequestId);

/// A request for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRequest {
    /// The payer, and the payer's id of the request.
    pub key: (Owner, RequestId),
    /// The denomination key of each new coin.
    pub outputs: Vec<KeyId>,
    /// The coins of an exchange. A coin is in at most one open session, the newest.
    pub inputs: Vec<(KeyId, PublicKey)>,
    /// The wallet's randomness.
    pub randomness: ClientRandomness,
}

/// The right to make the nonces of one session, within the payer's limit. Only [`Sessions::admit`] gives one.
#[derive(Debug)]
pub struct NonceTicket {
    boot_id: BootId,
    number: u64,
}

/// A session with its nonces that is not open yet.
pub struct PreparedSession {
    request: SessionRequest,
    commitments: Vec<Commitment>,
    nonces: Vec<Nonces>,
}

impl std::fmt::Debug for PreparedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PreparedSession({} outputs)", self.request.outputs.len())
    }
}

impl PreparedSession {
    /// Makes the nonces, which costs two multiplications for each output. The caller does this outside of the store's
    /// writer, as all requests wait for the writer.
    pub fn new(request: SessionRequest, ticket: &NonceTicket, rng: &mut impl CryptoRng) -> Self {
        let context = nonce_context(&request, ticket.number);
        let mut nonces = Vec::with_capacity(request.outputs.len());
        let mut commitments = Vec::with_capacity(request.outputs.len());
        for slot in 0..request.outputs.len() as u64 {
            let mut session_id = context.to_vec();
            session_id.extend(slot.to_le_bytes());
            let (nonce, commitment) =
                Nonces::generate(rng, &ticket.boot_id, &session_id, &request.randomness);
            nonces.push(nonce);
            commitments.push(commitment);
        }
        Self {
            request,
            commitments,
            nonces,
        }
    }
}

/// The digest of everything that an answer of this session depends on.
///
/// It goes into the nonces. So two copies of a bank that draw the same randomness make different nonces for different
/// owners, inputs or outputs.
fn nonce_context(request: &SessionRequest, ticket: u64) -> [u8; 32] {
    let (owner, id) = &request.key;
    let mut t = Transcript::start(b"farthing nonce context");
    match owner {
        Owner::Account(account) => t.bytes(b"account", &account.0),
        Owner::Coins => t.bytes(b"coins", &[]),
        Owner::Reserve(reserve) => t.bytes(b"reserve", &reserve.0),
    }
    describe_outputs(&mut t, &request.outputs);
    t.u64(b"inputs", request.inputs.len() as u64);
    for (key_id, coin) in &request.inputs {
        t.bytes(b"input key", &key_id.0);
        t.bytes(b"input", &coin.0);
    }
    t.bytes(b"request", &id.0);
    t.u64(b"turn", ticket);
    t.digest32(b"digest")
}

/// The account, reserve or coin that nonces are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Payer {
    Account(PublicKey),
    Reserve(PublicKey),
    Coin(KeyId, PublicKey),
}

/// How many nonces each payer got in the current window of time.
#[derive(Default)]
struct NonceCounts {
    since_ms: u64,
    nonces: BTreeMap<Payer, usize>,
}

/// The bank's open sessions. They are in memory only, so a restart closes all of them. For that reason the bank cannot
/// answer two challenges with one nonce.
pub struct Sessions {
    boot_id: BootId,
    open: BTreeMap<SessionKey, Session>,
    by_number: BTreeMap<u64, SessionKey>,
    by_input: BTreeMap<(KeyId, PublicKey), SessionKey>,
    next_number: u64,
    next_ticket: u64,
    nonce_counts: NonceCounts,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sessions({} open)", self.open.len())
    }
}

/// A session that was taken out to be answered once.
pub struct TakenSession(Session);

impl std::fmt::Debug for TakenSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TakenSession({} outputs)", self.0.outputs.len())
    }
}

/// The next step for a begin.
#[derive(Debug)]
pub enum Admission {
    /// Make nonces with this ticket.
    Fresh(NonceTicket),
    /// Repeat the first message: the session of this same request is open.
    Open,
}

impl Sessions {
    /// Makes an empty set. `boot_id` is random for each start of the bank, so that the nonces of a copied machine differ.
    pub fn new(boot_id: BootId) -> Self {
        Sessions {
            boot_id,
            open: BTreeMap::new(),
            by_number: BTreeMap::new(),
            by_input: BTreeMap::new(),
            next_number: 0,
            next_ticket: 0,
            nonce_counts: NonceCounts::default(),
        }
    }

    /// The number of open sessions.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Decides whether `request` needs nonces and may have them. It costs no multiplication.
    ///
    /// # Errors
    /// [`Later::Busy`] when the request would exceed [`NONCES_PER_PAYER_MAX`] nonces for its account, or for one of its
    /// coins, within [`NONCES_WINDOW_MS`]. It says when the next window begins.
    pub fn admit(&mut self, request: &SessionRequest, now_ms: u64) -> Result<Admission, Later> {
        self.close_expired(now_ms);
        if self.opened(request).is_some() {
            return Ok(Admission::Open);
        }
        self.nonce_counts.take(request, now_ms)?;
        let number = self.next_ticket;
        self.next_ticket = number.wrapping_add(1);
        Ok(Admission::Fresh(NonceTicket {
            boot_id: self.boot_id,
            number,
        }))
    }

    /// The open session for the same request with the same content.
    fn opened(&self, request: &SessionRequest) -> Option<&Session> {
        self.open.get(&request.key).filter(|open| {
            open.outputs == request.outputs
                && open.inputs == request.inputs
                && open.randomness == request.randomness
        })
    }

    /// The first message of the open session for the same request with the same content.
    ///
    /// # Errors
    /// [`Later::Busy`] when the session was closed after the request was [admitted](Sessions::admit).
    pub fn repeat(&mut self, request: &SessionRequest, now_ms: u64) -> Result<Begun, Later> {
        self.close_expired(now_ms);
        let open = self.opened(request).ok_or(Later::Busy { retry_after_ms: 1 })?;
        Ok(Begun {
            commitments: open.commitments.clone(),
        })
    }

    /// Opens a session. If one is open for the same request with the same content, its first message is repeated.
    ///
    /// A session with other content is replaced, and is never answered.
    pub fn open(&mut self, prepared: PreparedSession, now_ms: u64) -> Begun {
        let PreparedSession {
            request,
            commitments,
            nonces,
        } = prepared;
        if let Ok(begun) = self.repeat(&request, now_ms) {
            return begun;
        }
        let SessionRequest {
            key,
            outputs,
            inputs,
            randomness,
        } = request;
        self.close(&key);
        self.make_room(&key.0);
        for input in &inputs {
            if let Some(other) = self.by_input.get(input).copied() {
                self.close(&other);
            }
        }
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let begun = Begun {
            commitments: commitments.clone(),
        };
        self.by_number.insert(number, key);
        self.by_input.extend(inputs.iter().map(|input| (*input, key)));
        let session = Session {
            outputs,
            randomness,
            commitments,
            nonces,
            inputs,
            opened_ms: now_ms,
            number,
        };
        self.open.insert(key, session);
        begun
    }

    /// Takes the session of `key` out to be answered. After that it is never answered again.
    ///
    /// The session must be the one that `session` names, be for these outputs and inputs, and not have expired.
    ///
    /// # Errors
    /// [`IssueFault::SessionGone`] when no session fits.
    pub fn take(
        &mut self,
        key: &SessionKey,
        session: &SessionDigest,
        outputs: &[KeyId],
        inputs: &[(KeyId, PublicKey)],
        now_ms: u64,
    ) -> Result<TakenSession, IssueFault> {
        self.close_expired(now_ms);
        let fits = self.open.get(key).is_some_and(|open| {
            session_digest(&open.commitments) == *session && open.outputs == outputs && open.inputs == inputs
        });
        if !fits {
            return Err(IssueFault::SessionGone);
        }
        self.close(key).map(TakenSession).ok_or(IssueFault::SessionGone)
    }

    fn close(&mut self, key: &SessionKey) -> Option<Session> {
        let session = self.open.remove(key)?;
        self.by_number.remove(&session.number);
        for input in &session.inputs {
            self.by_input.remove(input);
        }
        Some(session)
    }

    fn close_expired(&mut self, now_ms: u64) {
        while let Some(key) = self.by_number.first_key_value().map(|(_, key)| *key) {
            let expired = self
                .open
                .get(&key)
                .is_none_or(|s| now_ms.saturating_sub(s.opened_ms) > SESSION_LIFE_MS);
            if !expired {
                return;
            }
            self.close(&key);
        }
    }

    fn make_room(&mut self, owner: &Owner) {
        if let Owner::Account(_) | Owner::Reserve(_) = owner {
            let own = self
                .open
                .range((*owner, RequestId([0; 32]))..=(*owner, RequestId([255; 32])));
            let oldest = own
                .clone()
                .min_by_key(|(_, session)| session.number)
                .map(|(key, _)| *key);
            if own.count() >= SESSIONS_PER_ACCOUNT_MAX
                && let Some(key) = oldest
            {
                self.close(&key);
            }
        }
        if self.open.len() >= SESSIONS_MAX
            && let Some(key) = self.by_number.first_key_value().map(|(_, key)| *key)
        {
            self.close(&key);
        }
    }
}

impl NonceCounts {
    /// Counts the nonces of `request` against its payers.
    fn take(&mut self, request: &SessionRequest, now_ms: u64) -> Result<(), Later> {
        let age_ms = now_ms.checked_sub(self.since_ms);
        // A clock that was set back begins a new window too.
        if age_ms.is_none_or(|age_ms| age_ms >= NONCES_WINDOW_MS) {
            self.nonces.clear();
            self.since_ms = now_ms;
        }
        let payers: Vec<Payer> = match request.key.0 {
            Owner::Account(account) => vec![Payer::Account(account)],
            Owner::Reserve(reserve) => vec![Payer::Reserve(reserve)],
            Owner::Coins => request
                .inputs
                .iter()
                .map(|(id, key)| Payer::Coin(*id, *key))
                .collect(),
        };
        let wanted = request.outputs.len();
        let had = |payer: &Payer| self.nonces.get(payer).copied().unwrap_or_default();
        let most = payers.iter().map(had).max().unwrap_or_default();
        let full = self.nonces.len() >= SESSIONS_MAX;
        if most.saturating_add(wanted) > NONCES_PER_PAYER_MAX || full {
            let retry_after_ms = self
                .since_ms
                .saturating_add(NONCES_WINDOW_MS)
                .saturating_sub(now_ms);
            return Err(Later::Busy { retry_after_ms });
        }
        for payer in payers {
            let had = self.nonces.entry(payer).or_default();
            *had = had.saturating_add(wanted);
        }
        Ok(())
    }
}

impl TakenSession {
    /// Answers each challenge with its own nonces and the secret key of its output.
    ///
    /// # Errors
    /// When a challenge is not canonical or a key is unknown. The nonces are wiped in this case too.
    pub fn respond<'k>(
        self,
        challenges: &[Challenge],
        secret: impl Fn(&KeyId) -> Option<&'k DenominationSecret>,
    ) -> Result<Vec<Response>, IssueFault> {
        let Session { outputs, nonces, .. } = self.0;
        if challenges.len() != nonces.len() {
            return Err(IssueFault::SessionGone);
        }
        let mut responses = Vec::with_capacity(nonces.len());
        for (slot, (nonce, (key_id, challenge))) in
            nonces.into_iter().zip(outputs.iter().zip(challenges)).enumerate()
        {
            let secret = secret(key_id).ok_or(IssueFault::UnknownKey(*key_id))?;
            responses.push(
                nonce
                    .respond(secret, challenge)
                    .map_err(|_| IssueFault::Challenge(slot))?,
            );
        }
        Ok(responses)
    }
}

/// Checks that the outputs of a request are within their bound, and that their keys are known and issue now.
/// Returns their worth.
///
/// # Errors
/// Names the first key that fails.
pub fn check_outputs(outputs: &[KeyId], keys: &KeyBook, now_ms: u64) -> Result<Amount, Refusal> {
    check_length("outputs", outputs.len())?;
    let mut total = Amount(0);
    for key_id in outputs {
        let denomination = keys.get(key_id).ok_or(IssueFault::UnknownKey(*key_id))?;
        if !(denomination.issue_from_ms..denomination.issue_until_ms).contains(&now_ms) {
            return Err(IssueFault::NotIssuing(*key_id).into());
        }
        total = total
            .checked_add(Amount(denomination.value))
            .ok_or(IssueFault::Overflow)?;
    }
    Ok(total)
}

/// Checks that a request has one canonical challenge for each output. This comes before any use of a nonce.
///
/// # Errors
/// Names the first challenge that fails.
pub fn check_challenges(challenges: &[Challenge], outputs: &[KeyId]) -> Result<(), Refusal> {
    check_length("outputs", outputs.len())?;
    check_matching("challenges", challenges.len(), outputs.len())?;
    for (slot, challenge) in challenges.iter().enumerate() {
        challenge.check().map_err(|_| IssueFault::Challenge(slot))?;
    }
    Ok(())
}

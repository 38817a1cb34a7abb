//! Withdraw: the bank debits an account, and its owner gets coins.
//!
//! ```text
//! wallet                                  bank
//!   WithdrawBegin   -------------------->   checks that the balance is enough; opens a session, in memory only
//!                   <--------------------   Begun: one commitment for each coin
//!   (stores its challenges)
//!   WithdrawFinish  -------------------->   debits and stores challenges and responses in one write
//!                   <--------------------   Signed<Issued>, the same for each repeated request
//! ```
//!
//! If the bank restarts between the two requests, the session is gone and nothing was debited. Then the wallet begins
//! again under the same request id. If a reply is lost, the wallet sends the same request again.

use crate::{
    bounded,
    claim::{SessionClaim, SessionRef},
    coins::check_length,
    documents::{Issued, describe_challenges, describe_outputs},
    ids::SessionDigest,
    issuance::Issuance,
    issue::{
        IssuanceFault, IssueState, Owner, SessionRequest, Sessions, check_challenges, check_outputs, finish,
    },
    limits::COINS_PER_REQUEST_MAX,
    money::Amount,
    refusal::{AccountFault, IssueFault, Refusal},
    request::{check_account, check_recipient},
};
use farthing_coin::{
    Challenge, ClientRandomness, Coin, DenominationSecret, Document, KeyBook, KeyId, PublicKey, RequestId,
    SecretKey, Seed, Signed, StatementDigest, Transcript, TranscriptExt,
};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// Asks the bank to open a session. Signed by the account's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawBegin {
    /// The recipient.
    pub bank: PublicKey,
    /// The account that will be debited.
    pub account: PublicKey,
    /// Chosen by the wallet, which stores it before it sends the request.
    pub request_id: RequestId,
    /// The denomination key of each coin.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub outputs: Vec<KeyId>,
    /// An input to the bank's nonces, beside the bank's own randomness.
    pub client_randomness: ClientRandomness,
}

impl Document for WithdrawBegin {
    const LABEL: &'static str = "farthing withdraw begin";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"account", &self.account.0);
        t.bytes(b"request", &self.request_id.0);
        describe_outputs(t, &self.outputs);
        t.bytes(b"client randomness", &self.client_randomness.0);
    }
}

/// Asks the bank to debit the account and answer the challenges. Signed by the account's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawFinish {
    /// The recipient.
    pub bank: PublicKey,
    /// The account that is debited.
    pub account: PublicKey,
    /// The id of the request.
    pub request_id: RequestId,
    /// The denomination key of each coin.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub outputs: Vec<KeyId>,
    /// [`session_digest`](crate::issue::session_digest) of the commitments that are challenged.
    pub session: SessionDigest,
    /// The wallet's challenges, one for each output.
    #[serde(deserialize_with = "bounded::list::<_, _, COINS_PER_REQUEST_MAX>")]
    pub challenges: Vec<Challenge>,
}

impl Document for WithdrawFinish {
    const LABEL: &'static str = "farthing withdraw finish";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"account", &self.account.0);
        t.bytes(b"request", &self.request_id.0);
        describe_outputs(t, &self.outputs);
        t.bytes(b"session", &self.session.0);
        describe_challenges(t, &self.challenges);
    }
}

// ---- the wallet -------------------------------------------------------------------------------------------

/// A withdrawal as the wallet keeps it. The wallet stores it before it sends the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The bank.
    pub bank: PublicKey,
    /// The wallet's account.
    pub account: PublicKey,
    /// Derived from the seed and a counter.
    pub request_id: RequestId,
    /// The denomination key of each coin.
    pub outputs: Vec<KeyId>,
    /// The state.
    pub state: IssueState,
}

impl Issuance for Withdrawal {
    type BeginBody = WithdrawBegin;
    type Begin = Signed<WithdrawBegin>;
    type FinishBody = WithdrawFinish;
    type Finish = Signed<WithdrawFinish>;
    type Signers = SecretKey;

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
        Withdrawal {
            outputs,
            state,
            ..*self
        }
    }

    fn begin_body(&self, seed: &Seed) -> WithdrawBegin {
        WithdrawBegin {
            bank: self.bank,
            account: self.account,
            request_id: self.request_id,
            outputs: self.outputs.clone(),
            client_randomness: seed.client_randomness(&self.request_id),
        }
    }

    fn sign_begin(&self, body: WithdrawBegin, account: &SecretKey) -> Signed<WithdrawBegin> {
        Signed::sign(body, account)
    }

    fn finish_body(&self, session: &SessionDigest, challenges: &[Challenge]) -> WithdrawFinish {
        WithdrawFinish {
            bank: self.bank,
            account: self.account,
            request_id: self.request_id,
            outputs: self.outputs.clone(),
            session: *session,
            challenges: challenges.to_vec(),
        }
    }

    fn sign_finish(&self, body: WithdrawFinish, account: &SecretKey) -> Signed<WithdrawFinish> {
        Signed::sign(body, account)
    }

    fn on_other_content(
        &self,
        issued: &Signed<Issued>,
        keys: &KeyBook,
        seed: &Seed,
    ) -> Result<(Withdrawal, Vec<Coin>), IssuanceFault> {
        let coins = finish(
            &self.request_id,
            issued,
            &self.bank,
            &self.account.into(),
            keys,
            seed,
        )?;
        Ok((self.with(issued.body.outputs.clone(), IssueState::Done), coins))
    }
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A begin that its account's key signed. Only [`verify_begin`] makes one.
#[derive(Debug)]
pub struct VerifiedWithdrawBegin(WithdrawBegin);

/// A finish that its account's key signed. Only [`verify_finish`] makes one.
#[derive(Debug)]
pub struct VerifiedWithdrawFinish(WithdrawFinish);

/// Verifies a begin.
///
/// # Errors
/// When it is for another bank, has too many outputs, or is not signed by its account.
pub fn verify_begin(
    begin: Signed<WithdrawBegin>,
    self_id: &PublicKey,
) -> Result<VerifiedWithdrawBegin, Refusal> {
    check_recipient(&begin.body.bank, self_id)?;
    check_length("outputs", begin.body.outputs.len())?;
    check_account(&begin, &begin.body.account)?;
    Ok(VerifiedWithdrawBegin(begin.body))
}

/// Verifies a finish.
///
/// # Errors
/// When it is for another bank, a list has a wrong length, a challenge is not canonical, or it is not signed by
/// its account.
pub fn verify_finish(
    finish: Signed<WithdrawFinish>,
    self_id: &PublicKey,
) -> Result<VerifiedWithdrawFinish, Refusal> {
    check_recipient(&finish.body.bank, self_id)?;
    check_challenges(&finish.body.challenges, &finish.body.outputs)?;
    check_account(&finish, &finish.body.account)?;
    Ok(VerifiedWithdrawFinish(finish.body))
}

impl VerifiedWithdrawBegin {
    /// The digest of the whole request.
    pub fn digest(&self) -> StatementDigest {
        self.0.digest()
    }

    /// The account.
    pub fn account(&self) -> PublicKey {
        self.0.account
    }

    /// The id of the request.
    pub fn request_id(&self) -> RequestId {
        self.0.request_id
    }

    /// The session that the wallet asks for.
    pub fn session(&self) -> SessionRequest {
        SessionRequest {
            key: (Owner::Account(self.0.account), self.0.request_id),
            outputs: self.0.outputs.clone(),
            inputs: Vec::new(),
            randomness: self.0.client_randomness,
        }
    }

    /// Checks that a session may be opened. The check is cheap, and comes before nonces are made.
    ///
    /// # Errors
    /// When the account is unknown or holds too little, or a key of the outputs does not issue now.
    pub fn check(&self, balance: Option<Amount>, keys: &KeyBook, now_ms: u64) -> Result<(), Refusal> {
        let begin = &self.0;
        let balance = balance.ok_or(AccountFault::Unknown(begin.account))?;
        let asked = check_outputs(&begin.outputs, keys, now_ms)?;
        if asked > balance {
            return Err(AccountFault::Balance { balance, asked }.into());
        }
        Ok(())
    }
}

/// The rows that a finished withdrawal writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debit {
    /// The account's new balance.
    pub balance: Amount,
    /// The amount that was debited.
    pub total: Amount,
    /// The record that is stored and signed.
    pub issued: Issued,
}

impl VerifiedWithdrawFinish {
    /// The digest of the whole request.
    pub fn digest(&self) -> StatementDigest {
        self.0.digest()
    }

    /// The account.
    pub fn account(&self) -> PublicKey {
        self.0.account
    }

    /// The id of the request.
    pub fn request_id(&self) -> RequestId {
        self.0.request_id
    }

    /// The denomination key of each new coin.
    pub fn outputs(&self) -> &[KeyId] {
        &self.0.outputs
    }

    /// Whether `stored` is the record of this same request.
    pub fn is_repeat_of(&self, stored: &Issued) -> bool {
        stored.outputs == self.0.outputs && stored.challenges == self.0.challenges
    }

    /// Decides a request that was not finished before.
    ///
    /// A refusal uses the session up too, so no late duplicate can debit the account after it. `claim` belongs to this
    /// request alone. With it the request can be decided again with other rows.
    ///
    /// # Errors
    /// When the session is gone, the account is unknown or holds too little, or a key of the outputs does not issue now.
    pub fn respond<'k>(
        &self,
        balance: Option<Amount>,
        sessions: &mut Sessions,
        claim: &mut SessionClaim,
        keys: &KeyBook,
        secret: impl Fn(&KeyId) -> Option<&'k DenominationSecret>,
        now_ms: u64,
    ) -> Result<Debit, Refusal> {
        let request = &self.0;
        let session = SessionRef {
            key: (Owner::Account(request.account), request.request_id),
            session: request.session,
            outputs: &request.outputs,
            inputs: &[],
        };
        claim.take(sessions, &session, now_ms)?;
        let total = check_outputs(&request.outputs, keys, now_ms)?;
        let held = balance.ok_or(AccountFault::Unknown(request.account))?;
        let balance = held.checked_sub(total).ok_or(AccountFault::Balance {
            balance: held,
            asked: total,
        })?;
        let responses = claim.respond(&request.challenges, secret)?;
        let issued = Issued {
            request_id: request.request_id,
            source: request.account.into(),
            outputs: request.outputs.clone(),
            challenges: request.challenges.clone(),
            responses,
        };
        Ok(Debit {
            balance,
            total,
            issued,
        })
    }
}

/// Refuses a request id that was finished with other content. The refusal has the stored record inside.
pub fn other_content(stored: Signed<Issued>) -> Refusal {
    IssueFault::OtherContent(Box::new(stored)).into()
}

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
    exchange::answered_session,
    ids::{IssueSource, SessionDigest},
    issuance::Issuance,
    issue::{
        IssuanceFault, IssueState, Owner, SessionRequest, Sessions, check_challenges, check_outputs, finish,
    },
    limits::COINS_PER_REQUEST_MAX,
    money::Amount,
    refusal::{AccountFault, IssueFault, Refusal},
    request::{check_account, check_recipient, check_reserve},
    reserve::{FromReserve, reserve_source},
    reserve_sums::ReserveSums,
};
use farthing_coin::{
    Challenge, ClientRandomness, Coin, Denomination, DenominationSecret, Document, KeyBook, KeyId, PublicKey,
    RequestId, SecretKey, Seed, Signature, Signed, StatementDigest, Transcript, TranscriptExt,
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

// ---- a reserve in place of the account --------------------------------------------------------------------

impl Document for FromReserve<WithdrawBegin> {
    const LABEL: &'static str = "farthing reserve withdraw begin";

    fn describe(&self, t: &mut Transcript) {
        self.0.describe(t);
    }
}

impl Document for FromReserve<WithdrawFinish> {
    const LABEL: &'static str = "farthing reserve withdraw finish";

    fn describe(&self, t: &mut Transcript) {
        self.0.describe(t);
    }
}

/// The finish of a withdrawal from `reserve` that `issued` answers. `key` finds a denomination of the bank.
///
/// # Errors
/// When the record cannot be an answer to a request.
pub(crate) fn reserve_finish<'k>(
    bank: &PublicKey,
    reserve: &PublicKey,
    issued: &Issued,
    key: impl Fn(&KeyId) -> Option<&'k Denomination>,
) -> Result<FromReserve<WithdrawFinish>, IssuanceFault> {
    Ok(FromReserve(WithdrawFinish {
        bank: *bank,
        account: *reserve,
        request_id: issued.request_id,
        outputs: issued.outputs.clone(),
        session: answered_session(issued, key)?,
        challenges: issued.challenges.clone(),
    }))
}

/// A withdrawal from a reserve as the wallet keeps it. Its account is the reserve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveWithdrawal(pub Withdrawal);

impl Issuance for ReserveWithdrawal {
    type BeginBody = FromReserve<WithdrawBegin>;
    type Begin = Signed<FromReserve<WithdrawBegin>>;
    type FinishBody = FromReserve<WithdrawFinish>;
    type Finish = Signed<FromReserve<WithdrawFinish>>;
    type Signers = SecretKey;

    fn request_id(&self) -> RequestId {
        self.0.request_id
    }

    fn outputs(&self) -> &[KeyId] {
        &self.0.outputs
    }

    fn state(&self) -> &IssueState {
        &self.0.state
    }

    fn with(&self, outputs: Vec<KeyId>, state: IssueState) -> Self {
        ReserveWithdrawal(self.0.with(outputs, state))
    }

    fn begin_body(&self, seed: &Seed) -> Self::BeginBody {
        FromReserve(self.0.begin_body(seed))
    }

    fn sign_begin(&self, body: Self::BeginBody, reserve: &SecretKey) -> Self::Begin {
        Signed::sign(body, reserve)
    }

    fn finish_body(&self, session: &SessionDigest, challenges: &[Challenge]) -> Self::FinishBody {
        FromReserve(self.0.finish_body(session, challenges))
    }

    fn sign_finish(&self, body: Self::FinishBody, reserve: &SecretKey) -> Self::Finish {
        Signed::sign(body, reserve)
    }

    /// Another copy of this wallet may have used the request id for an exchange or for another reserve. Then the new coins
    /// are this wallet's too, and nothing was debited here.
    fn on_other_content(
        &self,
        issued: &Signed<Issued>,
        keys: &KeyBook,
        seed: &Seed,
    ) -> Result<(Self, Vec<Coin>), IssuanceFault> {
        let (id, source) = (&self.0.request_id, &issued.body.source);
        let coins = finish(id, issued, &self.0.bank, source, keys, seed)?;
        let ended = match *source == reserve_source(&self.0.account, id) {
            true => self.with(issued.body.outputs.clone(), IssueState::Done),
            false => {
                let why = "a copy of this wallet used the request for something else".into();
                self.in_state(IssueState::Refused { why })
            }
        };
        Ok((ended, coins))
    }
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A begin that its payer's key signed. Only [`verify_begin`] and [`verify_reserve_begin`] make one.
#[derive(Debug)]
pub struct VerifiedWithdrawBegin {
    request: WithdrawBegin,
    owner: Owner,
    digest: StatementDigest,
}

/// A finish that its payer's key signed. Only [`verify_finish`] and [`verify_reserve_finish`] make one.
#[derive(Debug)]
pub struct VerifiedWithdrawFinish {
    request: WithdrawFinish,
    owner: Owner,
    digest: StatementDigest,
    signature: Signature,
}

/// Verifies a begin.
///
/// # Errors
/// When it is for another bank, has too many outputs, or is not signed by its account.
pub fn verify_begin(
    begin: Signed<WithdrawBegin>,
    self_id: &PublicKey,
) -> Result<VerifiedWithdrawBegin, Refusal> {
    check_begin(&begin.body, self_id)?;
    check_account(&begin, &begin.body.account)?;
    Ok(VerifiedWithdrawBegin {
        owner: Owner::Account(begin.body.account),
        digest: begin.body.digest(),
        request: begin.body,
    })
}

/// Verifies a begin that a reserve pays.
///
/// # Errors
/// When it is for another bank, has too many outputs, or is not signed by its reserve.
pub fn verify_reserve_begin(
    begin: Signed<FromReserve<WithdrawBegin>>,
    self_id: &PublicKey,
) -> Result<VerifiedWithdrawBegin, Refusal> {
    let reserve = begin.body.0.account;
    check_begin(&begin.body.0, self_id)?;
    check_reserve(&begin, &reserve)?;
    Ok(VerifiedWithdrawBegin {
        owner: Owner::Reserve(reserve),
        digest: begin.body.digest(),
        request: begin.body.0,
    })
}

fn check_begin(request: &WithdrawBegin, self_id: &PublicKey) -> Result<(), Refusal> {
    check_recipient(&request.bank, self_id)?;
    Ok(check_length("outputs", request.outputs.len())?)
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
    check_finish(&finish.body, self_id)?;
    check_account(&finish, &finish.body.account)?;
    Ok(VerifiedWithdrawFinish {
        owner: Owner::Account(finish.body.account),
        digest: finish.body.digest(),
        request: finish.body,
        signature: finish.signature,
    })
}

/// Verifies a finish that a reserve pays.
///
/// # Errors
/// As [`verify_finish`], with the reserve in place of the account.
pub fn verify_reserve_finish(
    finish: Signed<FromReserve<WithdrawFinish>>,
    self_id: &PublicKey,
) -> Result<VerifiedWithdrawFinish, Refusal> {
    let reserve = finish.body.0.account;
    check_finish(&finish.body.0, self_id)?;
    check_reserve(&finish, &reserve)?;
    Ok(VerifiedWithdrawFinish {
        owner: Owner::Reserve(reserve),
        digest: finish.body.digest(),
        request: finish.body.0,
        signature: finish.signature,
    })
}

fn check_finish(request: &WithdrawFinish, self_id: &PublicKey) -> Result<(), Refusal> {
    check_recipient(&request.bank, self_id)?;
    check_challenges(&request.challenges, &request.outputs)
}

/// What a payer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funds {
    /// The balance of an account. Absent if there is no account.
    Account(Option<Amount>),
    /// The sums of a reserve.
    Reserve(ReserveSums),
}

impl Funds {
    /// What the payer has after a debit.
    fn after_debit(self, payer: &PublicKey, asked: Amount) -> Result<Funds, AccountFault> {
        match self {
            Funds::Account(balance) => {
                let balance = balance.ok_or(AccountFault::Unknown(*payer))?;
                let left = balance.checked_sub(asked);
                let left = left.ok_or(AccountFault::Balance { balance, asked })?;
                Ok(Funds::Account(Some(left)))
            }
            Funds::Reserve(sums) => Ok(Funds::Reserve(sums.after_debit(payer, asked)?)),
        }
    }
}

impl VerifiedWithdrawBegin {
    /// The digest of the whole request.
    pub fn digest(&self) -> StatementDigest {
        self.digest
    }

    /// The account or reserve that pays.
    pub fn account(&self) -> PublicKey {
        self.request.account
    }

    /// The id of the request.
    pub fn request_id(&self) -> RequestId {
        self.request.request_id
    }

    /// The session that the wallet asks for.
    pub fn session(&self) -> SessionRequest {
        SessionRequest {
            key: (self.owner, self.request.request_id),
            outputs: self.request.outputs.clone(),
            inputs: Vec::new(),
            randomness: self.request.client_randomness,
        }
    }

    /// Checks that a session may be opened. The check is cheap, and comes before nonces are made.
    ///
    /// # Errors
    /// When the account is unknown, the payer has too little, or a key of the outputs does not issue now.
    pub fn check(&self, funds: Funds, keys: &KeyBook, now_ms: u64) -> Result<(), Refusal> {
        let begin = &self.request;
        if let Funds::Account(None) = funds {
            return Err(AccountFault::Unknown(begin.account).into());
        }
        let asked = check_outputs(&begin.outputs, keys, now_ms)?;
        funds.after_debit(&begin.account, asked)?;
        Ok(())
    }
}

/// The rows that a finished withdrawal writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debit {
    /// What the payer has after it.
    pub funds: Funds,
    /// The amount that was debited.
    pub total: Amount,
    /// The record that is stored and signed.
    pub issued: Issued,
}

impl VerifiedWithdrawFinish {
    /// The digest of the whole request.
    pub fn digest(&self) -> StatementDigest {
        self.digest
    }

    /// The signature of the payer's key.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The account or reserve that pays.
    pub fn account(&self) -> PublicKey {
        self.request.account
    }

    /// The id of the request.
    pub fn request_id(&self) -> RequestId {
        self.request.request_id
    }

    /// The denomination key of each new coin.
    pub fn outputs(&self) -> &[KeyId] {
        &self.request.outputs
    }

    /// What the record of issued coins names as their source.
    fn source(&self) -> IssueSource {
        match self.owner {
            Owner::Reserve(reserve) => reserve_source(&reserve, &self.request.request_id),
            Owner::Account(_) | Owner::Coins => self.request.account.into(),
        }
    }

    /// Whether `stored` is the record of this same request.
    pub fn is_repeat_of(&self, stored: &Issued) -> bool {
        stored.source == self.source()
            && stored.outputs == self.request.outputs
            && stored.challenges == self.request.challenges
    }

    /// Decides a request that was not finished before.
    ///
    /// A refusal uses the session up too, so no late duplicate can debit the payer after it. `claim` belongs to this
    /// request alone. With it the request can be decided again with other rows.
    ///
    /// # Errors
    /// When the session is gone, the account is unknown, the payer has too little, or a key of the outputs does not issue
    /// now.
    pub fn respond<'k>(
        &self,
        funds: Funds,
        sessions: &mut Sessions,
        claim: &mut SessionClaim,
        keys: &KeyBook,
        secret: impl Fn(&KeyId) -> Option<&'k DenominationSecret>,
        now_ms: u64,
    ) -> Result<Debit, Refusal> {
        let request = &self.request;
        let session = SessionRef {
            key: (self.owner, request.request_id),
            session: request.session,
            outputs: &request.outputs,
            inputs: &[],
        };
        claim.take(sessions, &session, now_ms)?;
        let total = check_outputs(&request.outputs, keys, now_ms)?;
        let funds = funds.after_debit(&request.account, total)?;
        let responses = claim.respond(&request.challenges, secret)?;
        let issued = Issued {
            request_id: request.request_id,
            source: self.source(),
            outputs: request.outputs.clone(),
            challenges: request.challenges.clone(),
            responses,
        };
        Ok(Debit { funds, total, issued })
    }
}

/// Refuses a request id that was finished with other content. The refusal has the stored record inside.
pub fn other_content(stored: Signed<Issued>) -> Refusal {
    IssueFault::OtherContent(Box::new(stored)).into()
}

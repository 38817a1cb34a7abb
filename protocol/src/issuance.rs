//! Issuance: the part that withdrawals, from an account or a reserve, and exchanges share at the wallet.
//!
//! ```text
//!   Beginning -> Finishing -> Done
//!       ^  \         |
//!       |   \        +------> Refused
//!       +---------------/
//! ```
//!
//! Both open a session, store their challenges, and repeat the finish until the bank answers. They differ in what pays
//! for the new coins, and in the keys that sign.

use crate::{
    documents::Issued,
    ids::SessionDigest,
    issue::{Begun, IssuanceFault, IssueState},
    refusal::Refusal,
};
use farthing_coin::{Challenge, Coin, Document, KeyBook, KeyId, RequestId, Seed, Signed, StatementDigest};

/// The next request of an issuance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuanceAsk<B, F> {
    /// Open a session.
    Begin(B),
    /// Take the payment and answer.
    Finish(F),
    /// No request: the issuance has ended.
    Nothing,
}

/// A withdrawal or an exchange, as the wallet keeps it. The wallet stores it before it sends the request.
pub trait Issuance: Clone {
    /// The request that opens a session.
    type BeginBody: Document;
    /// The request that opens a session, signed.
    type Begin;
    /// The request that takes the payment.
    type FinishBody: Document;
    /// The request that takes the payment, signed.
    type Finish;
    /// The secret keys that sign: the account's key, or the keys of the coins that go in.
    type Signers: ?Sized;

    /// The id of the request, derived from the seed and a counter.
    fn request_id(&self) -> RequestId;
    /// The denomination key of each new coin.
    fn outputs(&self) -> &[KeyId];
    /// The state.
    fn state(&self) -> &IssueState;
    /// The same issuance with other outputs, in another state.
    fn with(&self, outputs: Vec<KeyId>, state: IssueState) -> Self;
    /// The begin.
    fn begin_body(&self, seed: &Seed) -> Self::BeginBody;
    /// Signs a begin.
    fn sign_begin(&self, body: Self::BeginBody, signers: &Self::Signers) -> Self::Begin;
    /// The finish.
    fn finish_body(&self, session: &SessionDigest, challenges: &[Challenge]) -> Self::FinishBody;
    /// Signs a finish.
    fn sign_finish(&self, body: Self::FinishBody, signers: &Self::Signers) -> Self::Finish;

    /// Takes the record of a request that was finished before with other content.
    ///
    /// Another copy of this wallet finished it, or this wallet did before it was rolled back. The new coins belong to
    /// this wallet in both cases. An exchange becomes `Refused` if its own inputs did not go in, and a withdrawal from a
    /// reserve if the reserve was not debited.
    ///
    /// # Errors
    /// When the answer is not acceptable. The issuance stays as it is.
    fn on_other_content(
        &self,
        issued: &Signed<Issued>,
        keys: &KeyBook,
        seed: &Seed,
    ) -> Result<(Self, Vec<Coin>), IssuanceFault>;

    /// The same issuance in another state.
    fn in_state(&self, state: IssueState) -> Self {
        self.with(self.outputs().to_vec(), state)
    }

    /// The next request. The same state always gives the same request.
    fn ask(&self, signers: &Self::Signers, seed: &Seed) -> IssuanceAsk<Self::Begin, Self::Finish> {
        match self.state() {
            IssueState::Beginning => IssuanceAsk::Begin(self.sign_begin(self.begin_body(seed), signers)),
            IssueState::Finishing { session, challenges } => {
                let body = self.finish_body(session, challenges);
                IssuanceAsk::Finish(self.sign_finish(body, signers))
            }
            IssueState::Done | IssueState::Refused { .. } => IssuanceAsk::Nothing,
        }
    }

    /// The digest of the finish, if that is the next request.
    fn finish_digest(&self) -> Option<StatementDigest> {
        self.state()
            .finish_digest(|session, challenges| self.finish_body(session, challenges))
    }

    /// Takes the bank's first message of a session.
    ///
    /// # Errors
    /// When its commitments are not acceptable.
    fn on_begun(&self, begun: &Begun, keys: &KeyBook, seed: &Seed) -> Result<Self, IssuanceFault> {
        let state = IssueState::begun(&self.request_id(), self.outputs(), begun, keys, seed)?;
        Ok(self.in_state(state))
    }

    /// Takes the bank's answer to the finish.
    ///
    /// # Errors
    /// When the answer is not acceptable, or belongs to another request. The issuance stays as it is.
    fn on_issued(
        &self,
        issued: &Signed<Issued>,
        keys: &KeyBook,
        seed: &Seed,
    ) -> Result<(Self, Vec<Coin>), IssuanceFault> {
        self.state().check_answer(&issued.body, self.outputs())?;
        self.on_other_content(issued, keys, seed)
    }

    /// Begins again under the same request id, as the session is gone.
    fn on_session_gone(&self) -> Self {
        self.in_state(IssueState::Beginning)
    }

    /// Begins again with `outputs` of the same values, as the keys of the outputs issue no more.
    fn on_not_issuing(&self, outputs: Vec<KeyId>) -> Self {
        self.with(outputs, IssueState::Beginning)
    }

    /// Ends the issuance, as the bank's refusal is final.
    fn on_refused(&self, why: &Refusal) -> Self {
        self.in_state(IssueState::refused(&why.to_string()))
    }
}

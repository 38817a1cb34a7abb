//! Issuance: what a withdrawal and an exchange have in common, as the wallet keeps them.
//!
//! ```text
//!   Beginning -> Finishing -> Done
//!       ^  \         |
//!       |   \        +------> Refused
//!       +---------------/
//! ```
//!
//! Both open a session, write their challenges down, and ask to finish until they are answered. They differ in what pays
//! for the new coins, and in who signs.

use crate::{
    documents::Issued,
    ids::SessionDigest,
    issue::{Begun, IssueState, MintFault},
    refusal::Refusal,
};
use farthing_coin::{Challenge, Coin, Document, KeyBook, KeyId, RequestId, Seed, Signed, StatementDigest};

/// What a wallet asks next for an issuance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuanceAsk<B, F> {
    /// Open a session.
    Begin(B),
    /// Take the payment and answer.
    Finish(F),
    /// Nothing: it has ended.
    Nothing,
}

/// A withdrawal or an exchange, as the wallet keeps it. It is written down before what it says is sent.
pub trait Issuance: Clone {
    /// What opens a session.
    type BeginBody: Document;
    /// What opens a session, signed.
    type Begin;
    /// What takes the payment.
    type FinishBody: Document;
    /// What takes the payment, signed.
    type Finish;
    /// The secret keys that sign: the account's, or those of the coins that go in.
    type Signers: ?Sized;

    /// Derived from the seed and a counter.
    fn request_id(&self) -> RequestId;
    /// The denomination key of each new coin.
    fn outputs(&self) -> &[KeyId];
    /// Where it stands.
    fn state(&self) -> &IssueState;
    /// The same issuance with other outputs, in another state.
    fn with(&self, outputs: Vec<KeyId>, state: IssueState) -> Self;
    /// What opens a session.
    fn begin_body(&self, seed: &Seed) -> Self::BeginBody;
    /// Signs what opens a session.
    fn sign_begin(&self, body: Self::BeginBody, signers: &Self::Signers) -> Self::Begin;
    /// What takes the payment.
    fn finish_body(&self, session: &SessionDigest, challenges: &[Challenge]) -> Self::FinishBody;
    /// Signs a finish.
    fn sign_finish(&self, body: Self::FinishBody, signers: &Self::Signers) -> Self::Finish;

    /// The request was finished before with other content: by another copy of this wallet, or before it was rolled
    /// back. The coins are this wallet's all the same. An exchange is `Refused` then if its inputs did not go in.
    ///
    /// # Errors
    /// When the answer is not acceptable; the issuance stays as it is.
    fn on_other_content(
        &self,
        issued: &Signed<Issued>,
        keys: &KeyBook,
        seed: &Seed,
    ) -> Result<(Self, Vec<Coin>), MintFault>;

    /// The same issuance in another state.
    fn in_state(&self, state: IssueState) -> Self {
        self.with(self.outputs().to_vec(), state)
    }

    /// What to ask next. The same state always asks the same.
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

    /// The digest of the finish that it asks, if that is what it asks.
    fn finish_digest(&self) -> Option<StatementDigest> {
        self.state()
            .finish_digest(|session, challenges| self.finish_body(session, challenges))
    }

    /// The bank opened a session.
    ///
    /// # Errors
    /// When its commitments are not acceptable.
    fn on_begun(&self, begun: &Begun, keys: &KeyBook, seed: &Seed) -> Result<Self, MintFault> {
        let state = IssueState::begun(&self.request_id(), self.outputs(), begun, keys, seed)?;
        Ok(self.in_state(state))
    }

    /// The bank answered what was asked.
    ///
    /// # Errors
    /// When the answer is not acceptable, or to something else; the issuance stays as it is.
    fn on_issued(
        &self,
        issued: &Signed<Issued>,
        keys: &KeyBook,
        seed: &Seed,
    ) -> Result<(Self, Vec<Coin>), MintFault> {
        self.state().check_answer(&issued.body, self.outputs())?;
        self.on_other_content(issued, keys, seed)
    }

    /// The session is gone: begin again under the same request id.
    fn on_session_gone(&self) -> Self {
        self.in_state(IssueState::Beginning)
    }

    /// The keys of the outputs issue no more: begin again with `outputs` of the same values.
    fn on_not_issuing(&self, outputs: Vec<KeyId>) -> Self {
        self.with(outputs, IssueState::Beginning)
    }

    /// The bank refused for good.
    fn on_refused(&self, why: &Refusal) -> Self {
        self.in_state(IssueState::refused(&why.to_string()))
    }
}

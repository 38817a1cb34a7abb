//! The claim of one finish on its session, so that a finish can be decided again.
//!
//! A transaction may run again over other rows, and a session is answered once. So what was taken and answered is kept
//! beside the request, until its transaction has ended.

use crate::{
    ids::SessionDigest,
    issue::{Owner, Sessions, Taken},
    refusal::IssueFault,
};
use farthing_coin::{Challenge, DenominationSecret, KeyId, PublicKey, RequestId, Response};

/// The session of one finish. However often the finish is decided, its session is taken out once and answered once.
#[derive(Debug, Default)]
pub struct SessionClaim(ClaimState);

#[derive(Debug, Default)]
enum ClaimState {
    #[default]
    Unclaimed,
    Taken(Taken),
    /// Answered, or there was no such session.
    Ended(Result<Vec<Response>, IssueFault>),
}

impl SessionClaim {
    /// As [`Sessions::take`], the first time; then what came of that.
    ///
    /// # Errors
    /// As [`Sessions::take`], and as [`SessionClaim::respond`] where that has failed before.
    pub(crate) fn take(
        &mut self,
        sessions: &mut Sessions,
        request: &SessionRef<'_>,
        now_ms: u64,
    ) -> Result<(), IssueFault> {
        if let ClaimState::Unclaimed = self.0 {
            let SessionRef {
                key,
                session,
                outputs,
                inputs,
            } = request;
            self.0 = match sessions.take(key, session, outputs, inputs, now_ms) {
                Ok(taken) => ClaimState::Taken(taken),
                Err(gone) => ClaimState::Ended(Err(gone)),
            };
        }
        match &self.0 {
            ClaimState::Ended(Err(fault)) => Err(fault.clone()),
            _ => Ok(()),
        }
    }

    /// As [`Taken::respond`], the first time; then the same answer.
    ///
    /// # Errors
    /// As [`Taken::respond`]; [`IssueFault::SessionGone`] where nothing was taken.
    pub(crate) fn respond<'k>(
        &mut self,
        challenges: &[Challenge],
        secret: impl Fn(&KeyId) -> Option<&'k DenominationSecret>,
    ) -> Result<Vec<Response>, IssueFault> {
        let gone = ClaimState::Ended(Err(IssueFault::SessionGone));
        let answer = match std::mem::replace(&mut self.0, gone) {
            ClaimState::Unclaimed => Err(IssueFault::SessionGone),
            ClaimState::Taken(taken) => taken.respond(challenges, secret),
            ClaimState::Ended(answer) => answer,
        };
        self.0 = ClaimState::Ended(answer.clone());
        answer
    }
}

/// What a finish says of the session that it answers to.
pub(crate) struct SessionRef<'a> {
    pub(crate) key: (Owner, RequestId),
    pub(crate) session: SessionDigest,
    pub(crate) outputs: &'a [KeyId],
    pub(crate) inputs: &'a [(KeyId, PublicKey)],
}

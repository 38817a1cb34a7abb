//! The claim of one finish on its session. With it a finish can be decided again.
//!
//! A transaction may run again with other rows, but a session is answered once. So the session and its answer are kept
//! with the request until its transaction ends.

use crate::{
    ids::SessionDigest,
    issue::{Owner, Sessions, TakenSession},
    refusal::IssueFault,
};
use farthing_coin::{Challenge, DenominationSecret, KeyId, PublicKey, RequestId, Response};

/// The session of one finish. It is taken out once and answered once, also if the finish is decided several times.
#[derive(Debug, Default)]
pub struct SessionClaim(ClaimState);

#[derive(Debug, Default)]
enum ClaimState {
    #[default]
    Unclaimed,
    Taken(TakenSession),
    /// Answered, or not found.
    Ended(Result<Vec<Response>, IssueFault>),
}

impl SessionClaim {
    /// Calls [`Sessions::take`] the first time. After that it repeats the result.
    ///
    /// # Errors
    /// As [`Sessions::take`]. If [`SessionClaim::respond`] has failed before, the same error.
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

    /// Calls [`TakenSession::respond`] the first time. After that it repeats the answer.
    ///
    /// # Errors
    /// As [`TakenSession::respond`]. [`IssueFault::SessionGone`] if no session was taken.
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

/// The session that a finish names.
pub(crate) struct SessionRef<'a> {
    pub(crate) key: (Owner, RequestId),
    pub(crate) session: SessionDigest,
    pub(crate) outputs: &'a [KeyId],
    pub(crate) inputs: &'a [(KeyId, PublicKey)],
}

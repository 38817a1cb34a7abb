//! The error of a call that got no reply.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client_limits::ClientLimits;
use super::code::Code;
use super::limits::RETRY_AFTER_MAX_MS;
use super::timer::{Silent, millis};
use crate::network::{Acted, NetworkError};

/// The failure of a stream without a reply.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server was silent for too long.
    Silent,
    /// The connection is lost, for this reason.
    Lost(String),
    /// The server has reset the stream.
    Reset {
        /// The number of the reset.
        number: u64,
        /// Its meaning, if it is known.
        code: Option<Code>,
    },
    /// The reply is longer than the client allows.
    ReplyTooLong,
    /// The stream broke, for this reason.
    Stream(&'static str),
}

impl From<Silent> for Failure {
    fn from(_: Silent) -> Self {
        Failure::Silent
    }
}

/// Whether the server may have the whole request.
#[derive(Debug, Default)]
pub(crate) struct Sent(AtomicBool);

impl Sent {
    /// Must be called before the end of the request is queued.
    pub(crate) fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn acted(&self) -> Acted {
        match self.0.load(Ordering::Relaxed) {
            true => Acted::Unknown,
            false => Acted::No,
        }
    }
}

/// The server at the other end of a channel.
#[derive(Debug)]
pub(crate) struct Remote {
    title: String,
    limits: ClientLimits,
}

impl Remote {
    /// The server that its card names `title`.
    pub(crate) fn new(title: String, limits: ClientLimits) -> Self {
        Self { title, limits }
    }

    /// Checks the length of a request.
    ///
    /// # Errors
    /// [`NetworkError::TooLong`].
    pub(crate) fn check_request(&self, request: &[u8]) -> Result<(), NetworkError> {
        match request.len() > self.limits.request_max_bytes {
            true => Err(self.too_long(self.limits.request_max_bytes, Acted::No)),
            false => Ok(()),
        }
    }

    /// Appends a part of a reply.
    ///
    /// # Errors
    /// [`Failure::ReplyTooLong`].
    pub(crate) fn append(&self, reply: &mut Vec<u8>, part: &[u8]) -> Result<(), Failure> {
        if reply.len().saturating_add(part.len()) > self.limits.reply_max_bytes {
            return Err(Failure::ReplyTooLong);
        }
        reply.extend_from_slice(part);
        Ok(())
    }

    /// The caller's error for `failure`.
    pub(crate) fn failed(&self, failure: Failure, sent: &Sent, timeout: Duration) -> NetworkError {
        let acted = sent.acted();
        let peer = self.title.clone();
        let refused = |reason: &str| NetworkError::Refused {
            peer: self.title.clone(),
            reason: reason.to_owned(),
        };
        let closed = |reason: String| NetworkError::Closed {
            peer: self.title.clone(),
            reason,
            acted,
        };
        match failure {
            Failure::Silent => NetworkError::TimedOut {
                peer,
                waited_ms: millis(timeout),
                acted,
            },
            Failure::ReplyTooLong => self.too_long(self.limits.reply_max_bytes, acted),
            Failure::Stream(reason) => closed(reason.to_owned()),
            Failure::Lost(reason) => closed(reason),
            Failure::Reset { number, code } => match code {
                Some(Code::Busy { retry_after_ms }) => NetworkError::Busy {
                    peer,
                    retry_after_ms: u64::from(retry_after_ms).min(RETRY_AFTER_MAX_MS),
                },
                Some(Code::RequestTooLong) => refused("it is longer than this server allows"),
                Some(Code::TooSlow) => refused("it did not arrive in time"),
                Some(Code::Failed) => closed("the server failed while it worked on the request".to_owned()),
                other => closed(format!("the stream was reset ({other:?}, code {number})")),
            },
        }
    }

    fn too_long(&self, max_bytes: usize, acted: Acted) -> NetworkError {
        NetworkError::TooLong {
            peer: self.title.clone(),
            max_bytes,
            acted,
        }
    }
}

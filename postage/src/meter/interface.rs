//! The narrow interface of a meter. A hardware security module can take the place of the software.

use super::{
    device::LockReason,
    order::{PrintOrder, Printed},
    rules::{CertifyRefusal, PrintRefusal, RefillRefusal},
};
use crate::documents::{AuditChallenge, MeterAudit, MeterCertificate, MeterRequest, Refill, Registers};
use farthing_coin::Signed;
use farthing_store::StoreError;
use std::io;

/// Why a meter refused or failed. A refusal has changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeterError {
    /// The meter is locked for good.
    #[error(
        "the meter is locked: {0}; it prints nothing any more. Give it up at the office (`farthing-postage office revoke`); \
         the office reissues the rest of its balance to another meter after settlement"
    )]
    Locked(LockReason),
    /// The certificate.
    #[error(transparent)]
    Certify(#[from] CertifyRefusal),
    /// The refill.
    #[error(transparent)]
    Refill(#[from] RefillRefusal),
    /// The print.
    #[error(transparent)]
    Print(#[from] PrintRefusal),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The device.
    #[error("the device of the meter: {0}")]
    Device(#[from] io::Error),
}

/// A meter. Each change is durable before the call returns.
pub trait Meter {
    /// The request for a certificate.
    ///
    /// # Errors
    /// [`MeterError`].
    fn request(&self) -> Result<Signed<MeterRequest>, MeterError>;

    /// Takes the office's certificate. The meter keeps the first one.
    ///
    /// # Errors
    /// [`MeterError`].
    fn certify(&self, certificate: &Signed<MeterCertificate>) -> Result<(), MeterError>;

    /// Applies a refill. Returns the registers afterwards. A refill that was applied before changes nothing.
    ///
    /// # Errors
    /// [`MeterError`].
    fn refill(&self, refill: &Signed<Refill>) -> Result<Registers, MeterError>;

    /// Prints postage.
    ///
    /// # Errors
    /// [`MeterError`].
    fn print(&self, order: &PrintOrder) -> Result<Printed, MeterError>;

    /// States the registers as they are now. `challenge` is the office's question.
    ///
    /// # Errors
    /// [`MeterError`].
    fn audit(&self, challenge: AuditChallenge) -> Result<Signed<MeterAudit>, MeterError>;
}

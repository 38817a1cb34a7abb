//! What stands for the device of a meter: the part that a hardware security module would protect.
//!
//! It holds the key that seals the store, counts the changes, and can be locked. The counter is raised after each change is
//! durable and before its result leaves. So a store that was put back from an older copy is behind it, and is found at
//! the next start.
//!
//! In software all of it can be copied, together with the store. Then the copy and the original print the same sequence
//! numbers. The sorting stations and the office find that, and the meter cannot.

use super::rows::MeterState;
use farthing_store::StoreError;
use serde::{Deserialize, Serialize};
use std::{fmt, io};
use zeroize::Zeroizing;

/// The length of a sealing key (bytes).
pub const KEY_BYTES: usize = 32;

/// Why a meter is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockReason {
    /// The store does not open under the sealing key, or was changed.
    Tampered,
    /// The store is older than the device.
    StoreOlder,
    /// The device is older than the store.
    DeviceOlder,
    /// The office has seen prints that the state does not have.
    BehindOffice,
}

impl fmt::Display for LockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockReason::Tampered => "its sealed state was changed, or is another meter's",
            LockReason::StoreOlder => "its state is older than its device: a copy was put back",
            LockReason::DeviceOlder => "its device is older than its state: a copy was put back",
            LockReason::BehindOffice => {
                "the office has seen prints that its state does not have: a copy was put back"
            }
        })
    }
}

/// The device of a meter.
pub trait Device: Send + Sync {
    /// The key that seals the store.
    fn sealing_key(&self) -> Zeroizing<[u8; KEY_BYTES]>;

    /// The number of changes.
    fn writes(&self) -> u64;

    /// Why it is locked, if it is.
    fn locked(&self) -> Option<LockReason>;

    /// Raises the number of changes, durably. A lower number changes nothing.
    ///
    /// # Errors
    /// When it is not durable.
    fn advance(&self, writes: u64) -> io::Result<()>;

    /// Locks the meter for good, durably.
    ///
    /// # Errors
    /// When it is not durable.
    fn lock(&self, why: LockReason) -> io::Result<()>;
}

/// Why the device and this state do not belong together. One change may be durable without having been counted.
#[must_use]
pub fn disagreement(writes: u64, state: &MeterState) -> Option<LockReason> {
    match state.writes.checked_sub(writes) {
        None => Some(LockReason::StoreOlder),
        Some(0 | 1) => None,
        Some(_) => Some(LockReason::DeviceOlder),
    }
}

/// Whether an error of the store says that the sealed state was changed. Others, such as a full disk, pass.
#[must_use]
pub fn is_tampering(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Damaged { .. } | StoreError::NotSealed { .. } | StoreError::Row { .. }
    )
}

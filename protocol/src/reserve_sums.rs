//! The sums of a [reserve](crate::reserve).

use crate::money::Amount;
use farthing_coin::{PublicKey, Transcript, TranscriptExt};
use serde::{Deserialize, Serialize};

/// The sums of a reserve. Both only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveSums {
    /// All credits together.
    pub credited: Amount,
    /// All debits together.
    pub debited: Amount,
}

impl ReserveSums {
    /// The balance.
    pub fn balance(&self) -> Amount {
        Amount(self.credited.0.saturating_sub(self.debited.0))
    }

    /// The sums after a credit. `None` if they do not fit in an amount.
    #[must_use]
    pub fn after_credit(&self, amount: Amount) -> Option<Self> {
        let credited = self.credited.checked_add(amount)?;
        Some(Self { credited, ..*self })
    }

    /// The sums after a debit of `reserve`.
    ///
    /// # Errors
    /// When the balance is too small.
    pub fn after_debit(&self, reserve: &PublicKey, asked: Amount) -> Result<Self, ReserveFault> {
        match self.debited.checked_add(asked) {
            Some(debited) if debited <= self.credited => Ok(Self { debited, ..*self }),
            _ => Err(ReserveFault {
                reserve: *reserve,
                sums: *self,
                asked,
            }),
        }
    }

    pub(crate) fn describe(&self, t: &mut Transcript) {
        t.u64(b"credited", self.credited.0);
        t.u64(b"debited", self.debited.0);
    }
}

/// A reserve holds too little for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the reserve holds {}, {asked} was asked for", .sums.balance())]
pub struct ReserveFault {
    /// The reserve.
    pub reserve: PublicKey,
    /// Its sums.
    pub sums: ReserveSums,
    /// The amount of the request.
    pub asked: Amount,
}

impl ReserveFault {
    pub(crate) fn describe(&self, t: &mut Transcript) {
        t.bytes(b"reserve", &self.reserve.0);
        self.sums.describe(t);
        t.u64(b"asked", self.asked.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_only_grow_and_a_debit_stays_within_the_credits() {
        let reserve = PublicKey([1; 32]);
        let sums = ReserveSums::default().after_credit(Amount(5)).unwrap();
        let sums = sums.after_debit(&reserve, Amount(3)).unwrap();
        assert_eq!(sums.balance(), Amount(2));
        for asked in [3, u64::MAX] {
            let fault = ReserveFault {
                reserve,
                sums,
                asked: Amount(asked),
            };
            assert_eq!(sums.after_debit(&reserve, Amount(asked)), Err(fault));
        }
        assert_eq!(sums.after_credit(Amount(u64::MAX)), None);
    }
}

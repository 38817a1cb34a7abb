//! The parties.

/// A party of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// The bank.
    Bank,
    /// The escrow.
    Escrow,
    /// The merchant.
    Merchant,
    /// The customer's wallet.
    Wallet,
}

impl Who {
    /// All parties.
    pub const ALL: [Who; 4] = [Who::Bank, Who::Escrow, Who::Merchant, Who::Wallet];

    /// Its place in a list of all.
    pub fn place(self) -> usize {
        self as usize
    }
}

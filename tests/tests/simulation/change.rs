//! Change and refunds of purchases.

use farthing_simulation::{change, local};

/// A story that checks itself.
macro_rules! story {
    ($name:ident) => {
        #[test]
        fn $name() {
            local(change::$name());
        }
    };
}

story!(a_purchase_gives_change);
story!(the_change_is_received_later);
story!(the_bank_learns_of_the_commit_later);
story!(a_copy_of_the_wallet_receives_the_change);
story!(a_restore_after_change);
story!(a_refund_is_received);

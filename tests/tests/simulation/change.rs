//! Change and refunds of purchases.

story!(change::a_purchase_gives_change);
story!(change::the_change_is_received_later);
story!(change::the_bank_learns_of_the_commit_later);
story!(change::a_copy_of_the_wallet_receives_the_change);
story!(change::a_restore_after_change);
story!(change::a_refund_is_received);

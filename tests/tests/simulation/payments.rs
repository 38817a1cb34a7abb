//! Payments by deposit that go wrong.

story!(payments::a_payment_that_was_given_up_arrives);
story!(payments::a_payment_that_was_made_is_not_given_up);
story!(payments::a_wallet_dies_while_a_payment_is_given_up);
story!(payments::a_copy_of_the_wallet_pays_with_the_same_coins);
story!(payments::a_restore_after_payments);
story!(payments::a_donation_is_made_once_and_proven_by_its_donor);
story!(payments::a_donation_to_no_account_is_refused);

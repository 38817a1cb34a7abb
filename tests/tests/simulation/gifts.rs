//! Gifts.

story!(gifts::a_gift_is_accepted_once);
story!(gifts::a_gift_is_taken_back);
story!(gifts::a_gift_is_accepted_and_taken_back_at_once);
story!(gifts::the_recipient_dies_while_a_gift_is_accepted);
story!(gifts::a_gift_is_accepted_later);
story!(gifts::a_gift_is_taken_back_while_it_is_accepted);
story!(gifts::a_gift_whose_payment_is_lost);
story!(gifts::a_restore_takes_a_gift_back);

//! Gifts.

use farthing_simulation::{gifts, local};

/// A story that checks itself.
macro_rules! story {
    ($name:ident) => {
        #[test]
        fn $name() {
            local(gifts::$name());
        }
    };
}

story!(a_gift_is_accepted_once);
story!(a_gift_is_taken_back);
story!(a_gift_is_accepted_and_taken_back_at_once);
story!(the_recipient_dies_while_a_gift_is_accepted);
story!(a_gift_is_accepted_later);
story!(a_gift_is_taken_back_while_it_is_accepted);
story!(a_gift_whose_payment_is_lost);
story!(a_restore_takes_a_gift_back);

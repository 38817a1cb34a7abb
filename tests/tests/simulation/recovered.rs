//! Purchases whose escrow gives no decision. The planted defects are searched for with these stories too.

use farthing_simulation::{local, recovered};

/// A story that checks itself.
macro_rules! story {
    ($name:ident) => {
        #[test]
        fn $name() {
            local(recovered::$name());
        }
    };
}

story!(the_escrow_is_gone_before_the_hold);
story!(a_hold_that_arrives_after_the_recovery);
story!(an_escrow_that_holds_and_is_silent);
story!(a_hold_that_arrives_in_the_middle_of_a_recovery);
story!(an_answer_to_a_recovery_that_is_lost);
story!(an_abort_in_the_middle_of_a_recovery);

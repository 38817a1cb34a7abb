//! Purchases whose escrow gives no decision. The planted defects are searched for with these stories too.

story!(recovered::the_escrow_is_gone_before_the_hold);
story!(recovered::a_hold_that_arrives_after_the_recovery);
story!(recovered::an_escrow_that_holds_and_is_silent);
story!(recovered::a_hold_that_arrives_in_the_middle_of_a_recovery);
story!(recovered::an_answer_to_a_recovery_that_is_lost);
story!(recovered::an_abort_in_the_middle_of_a_recovery);

//! What the bank forgets once it is long past. The planted defects are searched for with these stories too.

story!(long_past::what_is_long_past_is_forgotten);
story!(long_past::a_clock_that_goes_back_brings_no_spent_coin_back);
story!(long_past::an_old_scan_record_is_written_again);
story!(long_past::wallets_that_come_back_after_years);

#[test]
#[ignore = "prints what a round of shopping leaves at the bank"]
fn rows_of_a_round() {
    farthing_simulation::local(farthing_simulation::long_past::rows_of_a_round());
}

//! The numbers from which a wallet's secrets derive, and restores that must find all of them. The planted defects are
//! searched for with these stories too.

story!(numbers::a_coin_that_is_held_elsewhere_keeps_its_number);
story!(numbers::a_coin_that_is_held_elsewhere_keeps_no_other_from_an_exchange);
story!(numbers::no_two_banks_know_one_account_key);
story!(numbers::a_shared_account_key_is_shown_only_where_the_customer_says_so);
story!(numbers::withdrawals_of_both_accounts_are_found);
story!(numbers::numbers_that_came_to_nothing_hide_no_coins);
story!(numbers::a_bank_that_shows_no_scan_record_hides_no_coins);
story!(numbers::an_old_scan_record_that_arrives_again_changes_nothing);
story!(numbers::a_scan_record_has_room_for_every_restore);
story!(numbers::a_wallet_that_is_restored_fifty_times_still_works);

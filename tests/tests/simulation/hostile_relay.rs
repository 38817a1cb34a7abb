//! A relay that breaks the protocol, and what a relay sees.

use farthing_simulation::{hostile_relay, local};

#[test]
fn nothing_that_a_hostile_relay_says_is_final() {
    local(hostile_relay::nothing_that_a_hostile_relay_says_is_final());
}

#[test]
fn a_key_that_the_server_has_not_signed_is_not_used() {
    local(hostile_relay::a_key_that_the_server_has_not_signed_is_not_used());
}

#[test]
fn two_keys_of_one_day_stop_the_wallet_and_convict_the_server() {
    local(hostile_relay::two_keys_of_one_day_stop_the_wallet_and_convict_the_server());
}

#[test]
fn an_honest_relay_tells_no_two_keys_of_one_day() {
    local(hostile_relay::an_honest_relay_tells_no_two_keys_of_one_day());
}

#[test]
fn a_target_that_has_lost_its_keys_signs_no_second_one_for_a_day() {
    local(hostile_relay::a_target_that_has_lost_its_keys_signs_no_second_one_for_a_day());
}

#[test]
fn two_worlds_that_differ_in_what_is_asked_are_the_same_at_the_relay() {
    local(hostile_relay::two_worlds_that_differ_in_what_is_asked_are_the_same_at_the_relay());
}

//! The checks, the cheapest first: stories of one schedule each, then days with faults at every message.

use crate::{
    clones, copies, denials, disks, heads, homes, links, lists, local, papers, past, payments, postage,
    strangers, streams,
};
use farthing_client::rows::Delivery;
use farthing_node::admin::AdminHandler;
use farthing_protocol::money::Amount;
use farthing_simulation::{
    customer::CustomerMachine,
    fault::Fault,
    hostile_relay, long_past,
    machine::Death,
    numbers, recovered,
    shopping::{Mode, day},
    stories,
    world::World,
};
use serde_json::json;
use std::{collections::BTreeMap, pin::Pin, sync::Arc, sync::OnceLock, time::Duration};

/// What the account has at first.
const FUNDS: Amount = Amount(5000);

/// What the customer withdraws.
const WITHDRAWN: Amount = Amount(2000);

/// Each kind of fault meets one message in this many of a cancelled purchase. (The simulation's own tests run all.)
const CANCEL_STEP: usize = 3;

/// Time in which servers finish their work for a customer who died.
const A_WHILE: Duration = Duration::from_secs(60);

/// A schedule that runs, and panics where a promise is broken.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()>>>;

/// Schedules of one kind.
pub(crate) struct Check {
    /// Its name in tables.
    pub(crate) name: &'static str,
    /// The schedule of this number; `None` after the last.
    pub(crate) schedule: fn(usize) -> Option<Running>,
}

/// A check of one schedule.
macro_rules! story {
    ($name:literal, $story:path) => {
        Check {
            name: $name,
            schedule: |number| (number == 0).then(|| Box::pin($story()) as Running),
        }
    };
}

/// Every check.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "an undisturbed day",
        schedule: |number| Some(run_day(*Mode::ALL.get(number)?, vec![])),
    },
    story!("a record is cut off", disks::a_record_is_cut_off),
    story!(
        "a file of the journal ends, and a snapshot is damaged",
        disks::a_file_of_the_journal_ends_and_a_snapshot_is_damaged
    ),
    story!(
        "an index of another journal, and older rows",
        disks::an_index_of_another_journal_and_older_rows
    ),
    story!(
        "a payment for postage that is shown twice",
        postage::a_payment_for_postage_that_is_shown_twice
    ),
    story!(
        "a payment for postage to another account",
        postage::a_payment_for_postage_to_another_account
    ),
    story!(
        "a refill that is applied twice",
        postage::a_refill_that_is_applied_twice
    ),
    story!(
        "a refill that the office has not signed",
        postage::a_refill_that_the_office_has_not_signed
    ),
    story!(
        "a print that is interrupted",
        postage::a_print_that_is_interrupted
    ),
    story!(
        "a print on a disk that fails",
        postage::a_print_on_a_disk_that_fails
    ),
    story!(
        "a meter whose state is put back",
        postage::a_meter_whose_state_is_put_back
    ),
    story!(
        "a copied meter that is refilled",
        postage::a_copied_meter_that_is_refilled
    ),
    story!(
        "a copied meter that is asked",
        postage::a_copied_meter_that_is_asked
    ),
    story!(
        "a copied meter at two stations",
        postage::a_copied_meter_at_two_stations
    ),
    story!(
        "a letter that is posted twice",
        postage::a_letter_that_is_posted_twice
    ),
    story!("a letter that was changed", postage::a_letter_that_was_changed),
    story!(
        "letters out of their time and number",
        postage::letters_out_of_their_time_and_number
    ),
    story!(
        "a clock that goes back after a purge",
        postage::a_clock_that_goes_back_after_a_purge
    ),
    story!("an older list of meters", postage::an_older_list_of_meters),
    story!(
        "a meter that is settled at once",
        postage::a_meter_that_is_settled_at_once
    ),
    story!("an office that denies", postage::an_office_that_denies),
    story!(
        "nothing that a hostile relay says is final",
        hostile_relay::nothing_that_a_hostile_relay_says_is_final
    ),
    story!(
        "a key that the server has not signed is not used",
        hostile_relay::a_key_that_the_server_has_not_signed_is_not_used
    ),
    story!(
        "two keys of one day stop the wallet and convict the server",
        hostile_relay::two_keys_of_one_day_stop_the_wallet_and_convict_the_server
    ),
    story!(
        "an honest relay tells no two keys of one day",
        hostile_relay::an_honest_relay_tells_no_two_keys_of_one_day
    ),
    story!(
        "a target that has lost its keys signs no second one for a day",
        hostile_relay::a_target_that_has_lost_its_keys_signs_no_second_one_for_a_day
    ),
    story!(
        "two worlds that differ in what is asked are the same at the relay",
        hostile_relay::two_worlds_that_differ_in_what_is_asked_are_the_same_at_the_relay
    ),
    story!("a bit of a journal flips", stories::a_bit_of_a_journal_flips),
    story!("more than the account has", strangers::more_than_the_account_has),
    story!(
        "a session that the account cannot pay",
        strangers::a_session_that_the_account_cannot_pay
    ),
    story!("scan records without end", strangers::scan_records_without_end),
    story!(
        "the same session after a restart",
        strangers::the_same_session_after_a_restart
    ),
    story!(
        "coins worth less than the price",
        strangers::coins_worth_less_than_the_price
    ),
    story!("a forged abort", strangers::a_forged_abort),
    story!("an abort without a cause", strangers::an_abort_without_a_cause),
    story!(
        "a goods key that is not the offer's",
        strangers::a_goods_key_that_is_not_the_offers
    ),
    story!(
        "a sealed key that is not the offer's",
        strangers::a_sealed_key_that_is_not_the_offers
    ),
    story!(
        "a sealed key of another offer",
        strangers::a_sealed_key_of_another_offer
    ),
    story!(
        "a goods key that unwraps nothing",
        strangers::a_goods_key_that_unwraps_nothing
    ),
    story!(
        "a sealed offer, and coins that are held",
        strangers::a_sealed_offer_and_coins_that_are_held
    ),
    story!(
        "a cancel that nobody has paid for",
        strangers::a_cancel_that_nobody_has_paid_for
    ),
    story!(
        "a coin that cancels again and again",
        strangers::a_coin_that_cancels_again_and_again
    ),
    story!(
        "a hold that is not overdue",
        strangers::a_hold_that_is_not_overdue
    ),
    story!(
        "a cancel that nobody else brings to the bank",
        strangers::a_cancel_that_nobody_else_brings_to_the_bank
    ),
    story!(
        "a hold that arrives after its abort",
        strangers::a_hold_that_arrives_after_its_abort
    ),
    story!("a list that is too long", strangers::a_list_that_is_too_long),
    story!(
        "a deposit that arrives twice",
        payments::a_deposit_that_arrives_twice
    ),
    story!(
        "two withdrawals from one reserve",
        payments::two_withdrawals_from_one_reserve
    ),
    story!(
        "a refund that arrives twice",
        payments::a_refund_that_arrives_twice
    ),
    story!(
        "other keys for an escrow after a restart",
        lists::other_keys_for_an_escrow_after_a_restart
    ),
    story!(
        "other keys for a merchant after a restart",
        lists::other_keys_for_a_merchant_after_a_restart
    ),
    story!(
        "made-up holds at a silent bank",
        lists::made_up_holds_at_a_silent_bank
    ),
    story!(
        "a head while more is written",
        heads::a_head_while_more_is_written
    ),
    story!("a hold in an escrow's name", heads::a_hold_in_an_escrows_name),
    story!(
        "an overdue purchase in the bank's name",
        heads::an_overdue_purchase_in_the_banks_name
    ),
    story!("two clones and two accounts", clones::two_clones_and_two_accounts),
    story!("a clone of a running bank", clones::a_clone_of_a_running_bank),
    story!(
        "a cancel in a currency that is none",
        strangers::a_cancel_in_a_currency_that_is_none
    ),
    story!("text that steers a terminal", homes::text_that_steers_a_terminal),
    story!("a report where there is one", homes::a_report_where_there_is_one),
    story!("two cards at once", homes::two_cards_at_once),
    story!(
        "a wallet that others can read",
        homes::a_wallet_that_others_can_read
    ),
    story!(
        "the names of a wallet's goods",
        homes::the_names_of_a_wallets_goods
    ),
    story!("a catalogue without an end", homes::a_catalogue_without_an_end),
    story!(
        "an older bank that nobody can tell",
        copies::an_older_bank_that_nobody_can_tell
    ),
    story!(
        "an older bank whose escrow has just restarted",
        copies::an_older_bank_whose_escrow_has_just_restarted
    ),
    story!(
        "an older bank that was told once",
        copies::an_older_bank_that_was_told_once
    ),
    story!(
        "an older bank that another escrow has let up",
        copies::an_older_bank_that_another_escrow_has_let_up
    ),
    story!("a receipt with another key", papers::a_receipt_with_another_key),
    story!(
        "goods that are not the offer's",
        papers::goods_that_are_not_the_offers
    ),
    story!(
        "a file that is not the goods",
        papers::a_file_that_is_not_the_goods
    ),
    story!("a donation in another name", papers::a_donation_in_another_name),
    story!(
        "a donation that is shown twice",
        papers::a_donation_that_is_shown_twice
    ),
    story!("a refusal of 100 KB", papers::a_refusal_of_100_kb),
    story!(
        "papers of an abort without a cause",
        papers::papers_of_an_abort_without_a_cause
    ),
    story!(
        "a finish that was never answered",
        denials::a_finish_that_was_never_answered
    ),
    story!(
        "a debit that is refused without a signature",
        denials::a_debit_that_is_refused_without_a_signature
    ),
    story!(
        "a coin that nobody has denied",
        denials::a_coin_that_nobody_has_denied
    ),
    story!(
        "what is said under a name is said nowhere else",
        links::what_is_said_under_a_name_is_said_nowhere_else
    ),
    story!(
        "one wallet buys two things at once",
        stories::one_wallet_buys_two_things_at_once
    ),
    story!(
        "the customer never comes back",
        stories::the_customer_never_comes_back
    ),
    story!("a cancel after the commit", stories::a_cancel_after_the_commit),
    story!(
        "the merchant of a sealed offer is gone",
        stories::the_merchant_of_a_sealed_offer_is_gone
    ),
    story!(
        "a cancel after a sealed commit",
        stories::a_cancel_after_a_sealed_commit
    ),
    story!(
        "everything arrives again after the abort",
        stories::everything_arrives_again_after_the_abort
    ),
    story!(
        "everything arrives again after the commit",
        stories::everything_arrives_again_after_the_commit
    ),
    story!(
        "a copy of the wallet buys later",
        stories::a_copy_of_the_wallet_buys_later
    ),
    story!(
        "three restores of one wallet",
        stories::three_restores_of_one_wallet
    ),
    story!(
        "a payment arrives after the restore",
        stories::a_payment_arrives_after_the_restore
    ),
    story!(
        "a payment that was given up arrives",
        farthing_simulation::payments::a_payment_that_was_given_up_arrives
    ),
    story!(
        "an escrow that holds and is silent",
        recovered::an_escrow_that_holds_and_is_silent
    ),
    story!("a full list of keys", lists::a_full_list_of_keys),
    story!("years that pass", long_past::what_is_long_past_is_forgotten),
    story!(
        "a clock that goes back for years",
        long_past::a_clock_that_goes_back_brings_no_spent_coin_back
    ),
    story!(
        "wallets that come back after years",
        long_past::wallets_that_come_back_after_years
    ),
    story!(
        "an abort of a forgotten purchase",
        past::an_abort_of_a_forgotten_purchase
    ),
    story!(
        "a cancel of a forgotten purchase",
        past::a_cancel_of_a_forgotten_purchase
    ),
    story!(
        "a commit that its bank has not heard of",
        past::a_commit_that_its_bank_has_not_heard_of
    ),
    story!(
        "an escrow whose clock is years ahead",
        past::an_escrow_whose_clock_is_years_ahead
    ),
    story!(
        "a cancel for a thousand years",
        past::a_cancel_for_a_thousand_years
    ),
    story!(
        "an old scan record",
        long_past::an_old_scan_record_is_written_again
    ),
    story!(
        "two banks and one customer",
        numbers::no_two_banks_know_one_account_key
    ),
    story!(
        "coins that are held elsewhere, and others",
        numbers::a_coin_that_is_held_elsewhere_keeps_no_other_from_an_exchange
    ),
    story!(
        "a scan record of many restores",
        numbers::a_scan_record_has_room_for_every_restore
    ),
    story!(
        "numbers that came to nothing",
        numbers::numbers_that_came_to_nothing_hide_no_coins
    ),
    story!(
        "a bank that shows no scan record",
        numbers::a_bank_that_shows_no_scan_record_hides_no_coins
    ),
    story!(
        "an old scan record that arrives again",
        numbers::an_old_scan_record_that_arrives_again_changes_nothing
    ),
    story!(
        "a coin that is held elsewhere",
        numbers::a_coin_that_is_held_elsewhere_keeps_its_number
    ),
    story!(
        "a voucher that is forged or pays too little",
        streams::a_voucher_that_is_forged_or_pays_too_little
    ),
    story!(
        "a lower voucher that comes later",
        streams::a_lower_voucher_that_comes_later
    ),
    story!(
        "an end with a lower voucher",
        streams::an_end_with_a_lower_voucher
    ),
    story!(
        "an end that a voucher overtakes",
        streams::an_end_that_a_voucher_overtakes
    ),
    story!(
        "a promise on a disk that fails",
        streams::a_promise_on_a_disk_that_fails
    ),
    story!(
        "a stream that is sold twice",
        streams::a_stream_that_is_sold_twice
    ),
    story!(
        "an end that the merchant has not signed",
        streams::an_end_that_the_merchant_has_not_signed
    ),
    story!("vouchers without end", streams::vouchers_without_end),
    story!(
        "an open stream that is cancelled",
        streams::an_open_stream_that_is_cancelled
    ),
    story!(
        "a stream whose sealed key is not the offer's",
        streams::a_stream_whose_sealed_key_is_not_the_offers
    ),
    story!(
        "a commit for less without a voucher",
        streams::a_commit_for_less_without_a_voucher
    ),
    story!(
        "an escrow that takes no vouchers",
        streams::an_escrow_that_takes_no_vouchers
    ),
    story!(
        "a merchant that has lost its last voucher",
        streams::a_merchant_that_has_lost_its_last_voucher
    ),
    story!(
        "a merchant that dies at the end of a stream",
        streams::a_merchant_that_dies_at_the_end_of_a_stream
    ),
    story!("sales that are long past", crate::sales::sales_that_are_long_past),
    story!(
        "a merchant that says that all is paid",
        streams::a_merchant_that_says_that_all_is_paid
    ),
    story!(
        "ticks that the merchant has not signed",
        streams::ticks_that_the_merchant_has_not_signed
    ),
    story!("ticks that do not open", streams::ticks_that_do_not_open),
    story!(
        "a tick that is shown with another key",
        streams::a_tick_that_is_shown_with_another_key
    ),
    story!("a promise that is not kept", streams::a_promise_that_is_not_kept),
    Check {
        name: "the wallet dies at a message of a purchase, and comes back",
        schedule: |number| one_death(Mode::Buy, &[Return::Killed, Return::Phrase], number),
    },
    Check {
        name: "the wallet dies at a message of a stream, and comes back",
        schedule: |number| one_death(Mode::Stream, &[Return::Killed], number),
    },
    Check {
        name: "one fault at a message of a purchase",
        schedule: |number| one_fault(Mode::Buy, 1, number),
    },
    Check {
        name: "a reply is lost, and nothing gets through behind it",
        schedule: |number| {
            let message = number as u64;
            let silence = vec![(message, Fault::LoseReply), (message + 1, Fault::Partition)];
            (message < messages_of(Mode::Buy)).then(|| run_day(Mode::Buy, silence))
        },
    },
    Check {
        name: "one fault at a message of a cancelled purchase",
        schedule: |number| one_fault(Mode::Cancel, CANCEL_STEP, number),
    },
];

fn run_day(mode: Mode, faults: Vec<(u64, Fault)>) -> Running {
    Box::pin(async move {
        run(mode, faults).await;
    })
}

/// One fault at one message: each kind at every n-th message, with another offset for each kind.
fn one_fault(mode: Mode, step: usize, number: usize) -> Option<Running> {
    let messages = messages_of(mode);
    let kinds = Fault::LEAVING_THE_SENDER.into_iter().zip(0..);
    let of_kind = |(fault, shift): (Fault, usize)| {
        let first = (shift % step) as u64;
        (first..messages)
            .step_by(step)
            .map(move |message| (message, fault))
    };
    let fault = kinds.flat_map(of_kind).nth(number)?;
    Some(run_day(mode, vec![fault]))
}

async fn setting(mode: Mode) -> (Arc<World>, CustomerMachine) {
    let world = World::of(21, mode.population()).await;
    let customer = world.customer("alice", FUNDS).await;
    (world, customer)
}

/// Runs a day. Returns the number of its messages.
async fn run(mode: Mode, faults: Vec<(u64, Fault)>) -> u64 {
    let (world, customer) = setting(mode).await;
    let wallet = customer.wallet();
    world.network.schedule(faults);
    day(&world, &wallet, mode, WITHDRAWN).await;
    let messages = world.network.messages();
    world.network.heal();
    world.check(&[&wallet]).await;
    sales_are_closed(&world).await;
    messages
}

/// Every sale of the merchant's is credited, or has ended without one.
async fn sales_are_closed(world: &World) {
    let sales = world
        .merchant(0)
        .admin(json!({ "do": "sales", "after": null }))
        .await;
    let sales = sales.expect("the sales");
    for sale in sales["lines"].as_array().expect("lines") {
        let closed = ["credited", "ended"].iter().any(|state| sale["state"] == *state);
        assert!(closed, "progress: a sale stays {}", sale["state"]);
    }
}

/// Number of messages of an undisturbed day.
fn messages_of(mode: Mode) -> u64 {
    static COUNTS: OnceLock<BTreeMap<Mode, u64>> = OnceLock::new();
    let count = |mode| {
        // On a thread of its own, where nothing is planted and no other runtime runs.
        let counted = std::thread::spawn(move || local(run(mode, vec![])));
        (mode, counted.join().expect("an undisturbed day"))
    };
    COUNTS.get_or_init(|| Mode::ALL.map(count).into())[&mode]
}

/// How a dead customer comes back.
#[derive(Clone, Copy)]
enum Return {
    /// The process was killed.
    Killed,
    /// The machine is lost. The customer has the phrase.
    Phrase,
}

/// One death at each message of a day in turn. After each kind the customer comes back in each of these ways.
fn one_death(mode: Mode, backs: &[Return], number: usize) -> Option<Running> {
    let deaths = [Fault::SenderDiesAfter, Fault::SenderDiesBefore];
    let kinds: Vec<_> = deaths
        .into_iter()
        .flat_map(|death| backs.iter().map(move |back| (death, *back)))
        .collect();
    let message = (number / kinds.len()) as u64;
    let (death, back) = kinds[number % kinds.len()];
    (message < messages_of(mode)).then(|| Box::pin(die_and_return(mode, message, death, back)) as Running)
}

async fn die_and_return(mode: Mode, message: u64, death: Fault, back: Return) {
    let (world, customer) = setting(mode).await;
    let wallet = customer.wallet();
    world.network.schedule([(message, death)]);
    tokio::select! {
        () = day(&world, &wallet, mode, WITHDRAWN) => {}
        () = customer.died() => {}
    }
    drop(wallet);
    world.network.heal();
    tokio::time::sleep(A_WHILE).await;
    let wallet = match back {
        Return::Killed => customer.wallet_after(Death::Killed),
        Return::Phrase => {
            let wallet = CustomerMachine::with_phrase_of(&world, &customer, "alice-again").wallet();
            let restored = wallet.restore(&world.parties().bank, world.dir()).await;
            restored.expect("the restore");
            wallet
        }
    };
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    for (number, row) in wallet.purchases().expect("the purchases") {
        if row.delivery == Delivery::OnDemand {
            let driven = wallet.drive_purchase(number).await;
            driven.expect("a purchase of the past ends as it had ended");
        }
    }
    world.check(&[&wallet]).await;
}

//! One purchase in each mode, with every fault at every message and every durable write of it, and pairs of them.

use crate::local;
use farthing_tests::simulation::{
    schedule::{Length, Morning, Schedule},
    shopping::Mode,
};
use std::time::Instant;

const SEED: u64 = 1;

/// Of how many pairs one is run, unless all are asked for with `FARTHING_SCHEDULES=all`. All are prime to the number of
/// kinds of faults, so that every kind meets every other.
const PAIRS_OF_A_PURCHASE: usize = 11;
const PAIRS_OF_A_CANCEL: usize = 53;
const PAIRS_OF_A_SEALED_PURCHASE: usize = 11;

async fn run_all(
    mode: Mode,
    morning: Morning,
    what: &str,
    schedules: impl Fn(&Length) -> Vec<Schedule>,
    step: usize,
) {
    let length = morning.run(&Schedule::default()).await;
    let schedules = schedules(&length);
    let (began, mut ran) = (Instant::now(), 0);
    for schedule in schedules.iter().step_by(step) {
        let failed = FailureNote(format!("seed {SEED}, {mode:?}, {schedule:?}"));
        morning.run(schedule).await;
        std::mem::forget(failed);
        ran += 1;
    }
    let writes: u64 = length.writes.values().sum();
    println!(
        "{mode:?}: {ran} of {} schedules of {what}, over {} messages and {writes} durable writes; {:.1} ms each",
        schedules.len(),
        length.messages,
        began.elapsed().as_secs_f64() * 1000.0 / f64::from(ran.max(1)),
    );
}

/// Says which schedule it was that failed.
struct FailureNote(String);

impl Drop for FailureNote {
    fn drop(&mut self) {
        eprintln!("failed: {}", self.0);
    }
}

fn one_in(sampled: usize) -> usize {
    match std::env::var("FARTHING_SCHEDULES") {
        Ok(which) if which == "all" => 1,
        _ => sampled,
    }
}

async fn singles(mode: Mode) {
    let morning = Morning::new(SEED, mode).await;
    run_all(mode, morning, "one fault", Length::singles, 1).await;
}

#[test]
fn every_single_fault_of_a_purchase() {
    local(singles(Mode::Buy));
}

#[test]
fn every_single_fault_of_a_cancelled_purchase() {
    local(singles(Mode::Cancel));
}

#[test]
fn every_single_fault_of_a_sealed_purchase() {
    local(singles(Mode::Sealed));
}

#[test]
fn every_single_fault_of_a_cancelled_sealed_purchase() {
    local(singles(Mode::SealedCancel));
}

async fn pairs(mode: Mode, sampled: usize) {
    let morning = Morning::new(SEED, mode).await.with_coins().await;
    run_all(
        mode,
        morning,
        "two faults at messages",
        Length::pairs,
        one_in(sampled),
    )
    .await;
}

#[test]
fn pairs_of_faults_at_the_messages_of_a_purchase() {
    local(pairs(Mode::Buy, PAIRS_OF_A_PURCHASE));
}

#[test]
fn pairs_of_faults_at_the_messages_of_a_cancelled_purchase() {
    local(pairs(Mode::Cancel, PAIRS_OF_A_CANCEL));
}

#[test]
fn pairs_of_faults_at_the_messages_of_a_sealed_purchase() {
    local(pairs(Mode::Sealed, PAIRS_OF_A_SEALED_PURCHASE));
}

//! The examples run to their end.

#[path = "../examples/withdraw.rs"]
mod withdraw;

#[test]
fn withdraw_runs() {
    withdraw::main().expect("the example runs");
}

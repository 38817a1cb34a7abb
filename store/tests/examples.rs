//! The examples run to their end.

#[path = "../examples/accounts.rs"]
mod accounts;

#[test]
fn accounts_runs() {
    accounts::main().expect("the example runs");
}

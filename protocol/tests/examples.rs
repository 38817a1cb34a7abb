//! The examples run to their end.

#[path = "../examples/purchase.rs"]
mod purchase;

#[test]
fn purchase_runs() {
    purchase::main().expect("the example runs");
}

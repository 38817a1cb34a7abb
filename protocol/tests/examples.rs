//! The examples run without an error.

#[path = "../examples/purchase.rs"]
mod purchase;

#[test]
fn the_purchase_example_runs() {
    purchase::main().expect("the example runs");
}

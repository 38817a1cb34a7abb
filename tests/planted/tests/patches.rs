//! Every planted defect applies to the current code. A few are found, each in a copy of the workspace without other
//! mistakes. `.ci/campaign` runs the checks on all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_planted::{
    hooks::{self, hooked},
    patch::Patch,
    tree::TreeCopy,
};
use std::path::Path;

/// The mistakes of every run, with the tests that find them. They are in the pure crates, which build fastest.
const FEW: [(&str, &[&str]); 3] = [
    (
        "CoinsNotBlinded",
        &["-p", "farthing-coin", "--test", "independent"],
    ),
    (
        "CurrencyUnchecked",
        &["-p", "farthing-coin", "--test", "key_list"],
    ),
    (
        "LengthUnchecked",
        &["-p", "farthing-protocol", "--test", "bounds"],
    ),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn every_patch_applies() {
    let patches = Patch::read_all(root()).expect("the patches");
    let refused = patches.iter().filter_map(|patch| patch.edits(root()).err());
    let refused: Vec<String> = refused.map(|why| why.to_string()).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    if let Err(why) = hooks::edits(root(), &patches) {
        panic!("{why}");
    }
}

#[test]
fn a_few_are_found() {
    let patches = Patch::read_all(root()).expect("the patches");
    for (name, args) in FEW {
        let patch = patches.iter().find(|patch| patch.name == name);
        let edits = patch
            .unwrap_or_else(|| panic!("there is no {name}"))
            .edits(root());
        let edits = edits.unwrap_or_else(|why| panic!("{why}"));
        let copy = TreeCopy::of(root(), "one", &edits).expect("a copy of the workspace");
        match copy.is_found_by(args) {
            Ok(true) => println!("{name} is found"),
            Ok(false) => panic!(
                "`cargo test {}` does not find {name}: extend that test",
                args.join(" ")
            ),
            Err(why) => panic!("with {name}: {why}"),
        }
    }
}

const CODE: &str = "\
impl Shop {
    /// The price.
    pub(crate) fn price(
        &self,
    ) -> u64 {
        let price = self.price;
        if price > 9 {
            return 9;
        }
        price
    }
}
";

fn patch(diff: &str) -> Patch {
    let text = format!("The price has no bound.\n\n--- a/shop.rs\n+++ b/shop.rs\n{diff}");
    Patch::parse("Unbounded", &text).expect("a patch")
}

#[test]
fn a_patch_becomes_a_second_body() {
    let diff = "@@ -6,5 +6,2 @@\n         let price = self.price;\n-        if price > 9 {\n-            return 9;\n-        }\n         price\n";
    let bounded = patch(diff);
    let wrong = CODE.replace("        if price > 9 {\n            return 9;\n        }\n", "");
    assert_eq!(bounded.files[0].apply("Unbounded", CODE), Ok(wrong));
    let hooked = hooked("shop.rs", CODE, &[bounded]).expect("a second body");
    assert_eq!(
        hooked,
        "\
impl Shop {
    /// The price.
    pub(crate) fn price(
        &self,
    ) -> u64 {
if farthing_planted::is_planted(\"Unbounded\") {
        let price = self.price;
        price
} else {
        let price = self.price;
        if price > 9 {
            return 9;
        }
        price
}
    }
}
"
    );
}

#[test]
fn what_does_not_fit_says_what_to_do() {
    let absent = patch("@@ @@\n-        if price > 10 {\n+        if price > 11 {\n");
    let change = patch("@@ @@\n-        if price > 9 {\n+        if price > 10 {\n");
    let outside = patch("@@ @@\n-    /// The price.\n+    /// A price.\n");
    for (code, patch, expected) in [
        (CODE.to_owned(), absent, "exactly once"),
        (CODE.repeat(2), change, "exactly once"),
        (CODE.to_owned(), outside, "outside the body"),
    ] {
        let why = hooked("shop.rs", &code, &[patch]).expect_err("it does not fit");
        assert!(why.contains(expected) && why.contains("git diff -U0"), "{why}");
    }
    for text in [
        "",
        "--- a/shop.rs\n",
        "A sentence.\n",
        "A sentence.\n@@ @@\n",
        "A sentence.\n+++ b/f\n@@ @@\n*\n",
    ] {
        assert!(Patch::parse("None", text).is_err(), "{text}");
    }
}

//! No modules of a crate name each other in a circle, so that every crate can be read from the bottom to the top.
//!
//! An edge leads from a module to each other module that defines an item that the first module names: in `use`, or in a
//! path. A name that another module only re-exports leads to the module that defines it. A parent that calls its
//! child, whose child uses the parent's types, is a circle. A call of a method is no edge, as its path has no module.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod circles;
mod tree;

use circles::circles;
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};
use tree::Tree;

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The directories of the workspace's packages, as its `Cargo.toml` names them.
fn packages() -> Vec<String> {
    let text = fs::read_to_string(workspace().join("Cargo.toml")).expect("the workspace");
    let manifest: toml::Table = toml::from_str(&text).expect("a manifest");
    let members = manifest["workspace"]["members"].as_array().expect("members");
    let names = members.iter().map(|member| member.as_str().expect("a name"));
    names.map(str::to_owned).collect()
}

/// The root files of all crates in a package's `src`.
fn roots(package: &str) -> Vec<PathBuf> {
    let src = workspace().join(package).join("src");
    let mut roots = vec![src.join("lib.rs"), src.join("main.rs")];
    if let Ok(programs) = fs::read_dir(src.join("bin")) {
        roots.extend(programs.map(|entry| entry.expect("an entry").path()));
    }
    // A package whose programs lie in directories of their own: `src/load/main.rs`.
    let entries = fs::read_dir(&src).expect("sources");
    roots.extend(entries.map(|entry| entry.expect("an entry").path().join("main.rs")));
    roots.retain(|root| root.is_file());
    roots
}

#[test]
fn no_modules_name_each_other_in_a_circle() {
    let mut report = String::new();
    for package in packages() {
        let roots = roots(&package);
        assert!(!roots.is_empty(), "{package} has no crate");
        for root in roots {
            let tree = Tree::read(&root);
            for circle in circles(&tree) {
                writeln!(report, "{package}: {} -> {}", circle.join(" -> "), circle[0]).unwrap();
            }
        }
    }
    assert!(
        report.is_empty(),
        "modules name each other in a circle:\n{report}"
    );
}

fn circles_of(text: &str) -> Vec<String> {
    let tree = Tree::parse(text);
    circles(&tree).iter().map(|circle| circle.join(" -> ")).collect()
}

#[test]
fn two_modules_that_import_each_other_are_a_circle() {
    let found =
        circles_of("mod a { use crate::b::B; pub struct A; } mod b { use crate::a::A; pub struct B; }");
    assert_eq!(found, ["a -> b"]);
}

#[test]
fn paths_in_bodies_macros_and_attributes_are_found() {
    let body = "mod a { pub fn f() { crate::b::g(); } } mod b { pub fn g() { super::a::f(); } }";
    assert_eq!(circles_of(body), ["a -> b"]);
    let in_macro = r#"mod a { pub fn f() { println!("{}", crate::b::X) } } mod b { use super::a; pub const X: u8 = 0; }"#;
    assert_eq!(circles_of(in_macro), ["a -> b"]);
    let attribute = r#"mod a { struct A { #[serde(with = "crate::b")] a: u8 } } mod b { use super::a; }"#;
    assert_eq!(circles_of(attribute), ["a -> b"]);
}

#[test]
fn a_parent_and_a_child_that_use_each_other_are_a_circle() {
    let found =
        circles_of("mod a { mod b { use super::A; pub fn f(a: A) {} } pub struct A; fn g() { b::f(A) } }");
    assert_eq!(found, ["a -> a::b"]);
}

#[test]
fn a_reexport_leads_to_the_definition() {
    let root = "mod a { use crate::B; pub struct A; } mod b { pub struct B; } pub use a::A; pub use b::B;";
    assert!(circles_of(root).is_empty());
    let glob =
        "mod a { use super::*; pub struct A; fn f(b: super::B) {} } mod b { pub struct B; } pub use b::*;";
    assert!(circles_of(glob).is_empty());
    let renamed =
        "mod a { use crate::C; pub struct A; } mod b { use crate::a::A; pub struct B; } use b::B as C;";
    assert_eq!(circles_of(renamed), ["a -> b"]);
}

#[test]
fn an_exported_macro_leads_to_its_module() {
    let own = "mod a { #[macro_export] macro_rules! b { () => { $crate::c!() } } #[macro_export] macro_rules! c { () => {} } pub struct A; } pub use a::A;";
    assert!(circles_of(own).is_empty());
    let other = "mod a { #[macro_export] macro_rules! b { () => { $crate::c::D } } } mod c { pub struct D; fn f() { crate::b!() } }";
    assert_eq!(circles_of(other), ["a -> c"]);
}

#[test]
fn a_root_that_defines_what_its_modules_use_is_on_a_circle() {
    let found = circles_of(
        "mod a { fn f() -> u8 { crate::SUITE } pub struct A; } pub use a::A; pub const SUITE: u8 = 1;",
    );
    assert_eq!(found, ["crate -> a"]);
}

#[test]
fn tests_and_other_crates_are_no_circle() {
    let test = "mod a { pub struct A; #[cfg(test)] mod tests { use crate::b::B; } } mod b { use super::a::A; pub struct B; }";
    assert!(circles_of(test).is_empty());
    let other =
        "mod a { use hex::b; fn f() { ::b::g(); x.b::<u8>(); } } mod b { use super::a::f; pub fn g() {} }";
    assert!(circles_of(other).is_empty());
}

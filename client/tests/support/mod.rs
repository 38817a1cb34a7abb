//! Runs the program `farthing` on a wallet of its own.

use farthing_coin::Seed;
use farthing_node::{
    card::{Card, RoleName},
    fingerprint::Fingerprint,
};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// An empty directory for one test.
pub(crate) fn directory(test: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{test}"));
    let _absent = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Runs a command with `input` on its standard input.
pub(crate) fn farthing(dir: &Path, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing"));
    command
        .env_remove("FARTHING_LOG")
        .env_remove("FARTHING_PASSWORD")
        .env("FARTHING_WALLET", dir.join("wallet"))
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that has failed already does not read its input.
    let _gone = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs a command that ends with `code`, and returns its one JSON value.
pub(crate) fn json(dir: &Path, code: i32, args: &[&str], input: &str) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let output = farthing(dir, &args, input);
    let text = String::from_utf8(output.stdout).unwrap();
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text} {says}");
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The card of a party that nobody can reach.
pub(crate) fn card(role: RoleName, name: &str, key: u8) -> String {
    let identity = Seed::from_bytes(&[key; 32]).account_key().public();
    let card = Card {
        role,
        name: name.into(),
        // Nothing listens on this port, the one of the discard service.
        address: "127.0.0.1:9".parse().unwrap(),
        fingerprint: Fingerprint([key; 32]),
        identity,
        fields: Default::default(),
    };
    card.to_string()
}

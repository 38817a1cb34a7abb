//! The files that packages and images are made of. `packaging/check` installs the packages themselves.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    process::{Command, Output},
};

/// The most that `systemd-analyze security` may find: 10 is a service without any restriction.
const EXPOSURE_MAX: &str = "15";

/// Every role with a service.
const ROLES: [&str; 4] = ["bank", "escrow", "merchant", "relay"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What `systemd-analyze` says. `None` if this machine has none.
fn systemd_analyze(args: &[&str], unit: &Path) -> Option<Output> {
    match Command::new("systemd-analyze").args(args).arg(unit).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        run => Some(run.unwrap()),
    }
}

#[test]
fn the_services_are_valid_and_restricted() {
    let temporary = tempfile::tempdir().unwrap();
    let render = Command::new(root().join("packaging/render"))
        .arg(temporary.path())
        .status();
    assert!(render.unwrap().success());
    for role in ROLES {
        let unit = temporary.path().join(format!("{role}/farthing-{role}.service"));
        let text = fs::read_to_string(&unit).unwrap();
        assert!(!text.contains("@ROLE@") && !text.contains("@PORT@"), "{text}");
        // The program is not installed here, so the unit names another one.
        let installed = format!("ExecStart=/usr/bin/farthing-{role}");
        assert!(text.contains(&installed), "{text}");
        let here = format!("ExecStart={}", env!("CARGO_BIN_EXE_farthing-tested"));
        fs::write(&unit, text.replace(&installed, &here)).unwrap();
        let security = [
            "security",
            "--offline=true",
            "--threshold",
            EXPOSURE_MAX,
            "--no-pager",
        ];
        for args in [&["verify", "--man=no"][..], &security] {
            let Some(said) = systemd_analyze(args, &unit) else {
                println!("SKIPPED: this machine has no systemd-analyze");
                return;
            };
            assert!(said.status.success(), "{role}: {said:?}");
        }
    }
}

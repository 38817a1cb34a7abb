//! A few cells of the fault matrix, and their page. `farthing-lab faults` runs all cells.

use serde_json::Value;
use std::{fs, process::Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_farthing-tested");

/// One cell of each kind: lost, late, dead, killed and frozen on both sides, at a write, on a full disk. Also the
/// exchange after a cancel, which an earlier command left open, and payments and a refund.
const CELLS: [&str; 13] = [
    "escrow → bank: hold / answer lost",
    "escrow → bank: hold / request late",
    "merchant → escrow: release / server killed, answering",
    "customer → merchant: deliver / asker killed, answered",
    "customer → escrow: cancel / server frozen",
    "customer → escrow: pay / answer lost",
    "customer → bank: exchange, begin / request lost",
    "bank writes, asked “hold” / killed after the sync",
    "customer writes the merchant’s “deliver” / killed before the sync",
    "bank writes, asked “hold” / disk full",
    "A payment to another person / customer → bank: deposit / answer lost",
    "Coins paid back into the account / bank writes, asked “deposit” / killed after the sync",
    "A refund of a purchase / merchant → bank: refund / server killed, answering",
];

#[test]
fn a_few_cells_of_the_matrix_keep_every_promise_and_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    let mut command = Command::new(PROGRAM);
    command
        .args(["faults", "--json", "--jobs", "4", "--out"])
        .arg(&page);
    for cell in CELLS {
        command.args(["--only", cell]);
    }
    let said = command.output().unwrap();
    let told: Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&said.stderr)));
    assert_eq!(told["ok"], true, "{told}");
    assert!(said.status.success(), "{told}");
    let cells = told["cells"].as_array().unwrap();
    promises_are_checked(&told, cells);
    let page = fs::read_to_string(page).unwrap();
    let data = shown_on(&page, cells.len());
    for cell in data["cells"].as_array().unwrap() {
        if cell["class"] != "not-run" {
            steps_are_shown(&data, cell["steps"].as_array().unwrap());
        }
    }
}

/// Every cell that ran was checked for every promise. Only a full disk may be skipped.
fn promises_are_checked(told: &Value, cells: &[Value]) {
    for wanted in CELLS {
        let cell = cells
            .iter()
            .find(|cell| cell["name"].as_str().unwrap().ends_with(wanted));
        let cell = cell.unwrap_or_else(|| panic!("{wanted} is not there: {told}"));
        let outcome = cell["outcome"].as_str().unwrap();
        if outcome.starts_with("not run") {
            assert!(wanted.contains("disk full"), "{cell}");
            eprintln!("skipped: {wanted}: {outcome}");
            continue;
        }
        let checks = cell["checks"].as_array().unwrap();
        for promise in ["money", "goods", "finality", "progress"] {
            assert!(
                checks.iter().any(|check| check["promise"] == promise),
                "{promise}: {cell}"
            );
        }
    }
}

/// The page's data. The page must show this number of cells.
fn shown_on(page: &str, cells: usize) -> Value {
    for number in 0..cells {
        assert!(
            page.contains(&format!("href=\"#c{number}\" id=\"m{number}\"")),
            "cell {number} is not on the page"
        );
    }
    let data = page
        .split("id=\"data\">")
        .nth(1)
        .unwrap()
        .split("</script>")
        .next()
        .unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["cells"].as_array().unwrap().len(), cells);
    data
}

/// The steps of a cell show its beginning and its fault, and no dead process acts.
fn steps_are_shown(data: &Value, steps: &[Value]) {
    let texts = data["texts"].as_array().unwrap();
    let text = |step: &Value, at: usize| {
        texts[step[at].as_u64().unwrap() as usize]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let kind = |step: &Value| data["kinds"][step[1].as_u64().unwrap() as usize].clone();
    assert!(
        steps.iter().any(|step| kind(step) == "fault"),
        "no fault in {steps:?}"
    );
    assert!(
        steps
            .iter()
            .any(|step| text(step, 5).contains("farthing withdraw")),
        "no beginning"
    );
    assert!(!speaks_when_dead(data, steps), "a dead process acts in {steps:?}");
}

/// Whether a killed party sends, answers or writes before it is started again.
fn speaks_when_dead(data: &Value, steps: &[Value]) -> bool {
    let mut dead = Vec::new();
    steps.iter().any(|step| {
        let (kind, party) = (&data["kinds"][step[1].as_u64().unwrap() as usize], &step[2]);
        let label = &data["texts"][step[6].as_u64().unwrap() as usize];
        match kind.as_str().unwrap() {
            "fault" if label == "killed" => dead.push(party.clone()),
            // A node is started again, and the customer runs the next command.
            "mended" | "command" => dead.retain(|one| one != party),
            "ask" | "answer" | "write" => return dead.contains(party),
            _ => {}
        }
        false
    })
}

//! Prints the table as plain lines. `farthing-lab atomicity` prints it properly and writes the page.

#![allow(clippy::disallowed_methods, reason = "it prints nothing of another party")]

use farthing_model::{
    catalog::{catalog, planted},
    check::Finding,
};
use std::io::Write;

fn main() -> std::io::Result<()> {
    // The name of a system begins with the first argument.
    let only = std::env::args().nth(1).unwrap_or_default();
    let mut out = std::io::stdout();
    let planted = planted().into_iter().map(|planted| planted.entry);
    for entry in catalog()
        .into_iter()
        .chain(planted)
        .filter(|entry| entry.id.starts_with(&only))
    {
        let checked = entry.check(20_000_000);
        let cells: Vec<&str> = checked
            .findings
            .iter()
            .map(|(_, finding)| match finding {
                Finding::Holds => "holds",
                Finding::Fails { .. } => "FAILS",
                Finding::NotApplicable(_) => "-",
            })
            .collect();
        writeln!(
            out,
            "{:30} {:28} {:>9} states {} {:>7.1?}  {}",
            checked.system,
            checked.scenario.name,
            checked.states,
            if checked.complete { "complete" } else { "not all" },
            checked.took,
            cells.join(" ")
        )?;
        for (property, finding) in &checked.findings {
            if let Finding::Fails { why, .. } = finding {
                writeln!(out, "    {}: {why}", property.name())?;
            }
        }
    }
    Ok(())
}

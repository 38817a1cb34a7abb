//! Output: a table for people, JSON lines for programs.

use crate::{
    floor::Floor,
    least::LeastCost,
    run::{Attacked, Latency, Measured},
};
use anyhow::Result;
use farthing_node::table::{Align, table as printed};
use serde_json::{Map, Value, json};
use std::io::Write;

/// Prints one line of JSON on standard output.
pub(crate) fn line(result: &Measured, floor: &Floor) -> Result<()> {
    let parties = result.costs.parties.iter();
    let parties: Map<String, Value> = parties
        .map(|(name, cost)| Ok(((*name).to_owned(), serde_json::to_value(cost)?)))
        .collect::<Result<_>>()?;
    let kind = &result.kind;
    let mut value = json!({
        "mode": kind.mode,
        "relay": kind.is_relayed,
        "under_way": result.under_way,
        "coins": kind.coins,
        "seconds": result.seconds,
        "done": result.done,
        "per_second": result.per_second,
        "coins_per_second": result.per_second * kind.coins as f64,
        "latency_ms": result.latency,
        "server_cpu_us": result.costs.server_cpu_us(),
        "each": parties,
        "settling_seconds": result.settling_seconds,
        "failures": result.failures,
        "asked_again": result.costs.unanswered,
        "refused": result.costs.refused,
        "busy": result.costs.busy,
        "audit": result.audit,
        "operations": floor,
        "floor": LeastCost::of(floor, kind),
    });
    if let (Some(spent), Some(fields)) = (result.spent, value.as_object_mut()) {
        fields.insert("spent".into(), spent.into());
    }
    if let (Some(attacked), Some(fields)) = (&result.attacked, value.as_object_mut()) {
        fields.insert("hostile".into(), hostile(attacked, result.latency));
    }
    if let (Some(us), Some(fields)) = (result.prepared_cpu_us, value.as_object_mut()) {
        fields.insert("prepared_cpu_us".into(), us.into());
    }
    writeln!(std::io::stdout(), "{value}")?;
    Ok(())
}

/// What hostile clients did, and the latency as a multiple of the quiet one.
fn hostile(attacked: &Attacked, latency: Latency) -> Value {
    let quiet = attacked.quiet;
    json!({
        "kind": attacked.kind,
        "done": attacked.done,
        "per_second": attacked.done.per_second(),
        "p50_to_quiet": quiet.map(|quiet| latency.p50 / quiet.p50),
        "p99_to_quiet": quiet.map(|quiet| latency.p99 / quiet.p99),
    })
}

/// A line on hostile clients for people.
fn hostile_text(result: &Measured) -> Option<String> {
    let attacked = result.attacked.as_ref()?;
    let ratio = |of: fn(&Latency) -> f64| {
        let quiet = attacked.quiet.as_ref().map(of);
        quiet.map_or(0.0, |quiet| of(&result.latency) / quiet)
    };
    let done = attacked.done;
    Some(format!(
        "\n\nwith {} under way and beside hostile clients (`{}`): p50 is {:.1} times the quiet one, p99 {:.1} times;\n\
         {:.0} hostile requests a second: {} answered, {} refused, {} told that the node is busy, {} given up or lost",
        result.under_way,
        attacked.kind.name(),
        ratio(|latency| latency.p50),
        ratio(|latency| latency.p99),
        done.per_second(),
        done.answered,
        done.refused,
        done.busy,
        done.unanswered,
    ))
}

/// The columns of the runs.
const RUNS: [(&str, Align); 8] = [
    ("UNDER WAY", Align::Right),
    ("A SECOND", Align::Right),
    ("P50 MS", Align::Right),
    ("P90 MS", Align::Right),
    ("P99 MS", Align::Right),
    ("MAX MS", Align::Right),
    ("SERVERS MS", Align::Right),
    ("CLIENT MS", Align::Right),
];

/// The columns of each party's resources for one unit of work.
const EACH: [(&str, Align); 11] = [
    ("UNDER WAY", Align::Right),
    ("PARTY", Align::Left),
    ("CPU US", Align::Right),
    ("SYNCS", Align::Right),
    ("TRANSACTIONS", Align::Right),
    ("JOURNAL B", Align::Right),
    ("DISK B", Align::Right),
    ("REQUESTS", Align::Right),
    ("HANDSHAKES", Align::Right),
    ("FRAMES B", Align::Right),
    ("PEAK MIB", Align::Right),
];

/// The number under way, marked if hostile clients were there.
fn under_way(result: &Measured) -> String {
    let mark = if result.attacked.is_some() {
        " attacked"
    } else {
        ""
    };
    format!("{}{mark}", result.under_way)
}

/// Prints the table for people on standard output.
pub(crate) fn table(results: &[Measured], floor: &Floor) {
    let Some(first) = results.first() else { return };
    let mut rows = Vec::new();
    let mut each = Vec::new();
    for result in results {
        let latency = result.latency;
        rows.push([
            under_way(result),
            format!("{:.0}", result.per_second),
            format!("{:.1}", latency.p50),
            format!("{:.1}", latency.p90),
            format!("{:.1}", latency.p99),
            format!("{:.1}", latency.max),
            format!("{:.2}", result.costs.server_cpu_us() / 1e3),
            format!("{:.2}", result.costs.client_cpu_us() / 1e3),
        ]);
        for (name, cost) in &result.costs.parties {
            each.push([
                under_way(result),
                (*name).to_owned(),
                format!("{:.0}", cost.cpu_us),
                format!("{:.2}", cost.syncs),
                format!("{:.2}", cost.transactions),
                format!("{:.0}", cost.journal_bytes),
                format!("{:.0}", cost.written_bytes),
                format!("{:.2}", cost.requests),
                cost.connections
                    .map_or("-".to_owned(), |count| format!("{count:.2}")),
                cost.frame_bytes
                    .map_or("-".to_owned(), |bytes| format!("{bytes:.0}")),
                (cost.memory_peak_bytes / (1024 * 1024)).to_string(),
            ]);
        }
    }
    let noun = first.kind.mode.noun();
    let what = first.kind.text();
    let failed: u64 = results.iter().flat_map(|result| result.failures.values()).sum();
    let after = first
        .spent
        .map_or(String::new(), |coins| format!(", after {coins} spent coins"));
    let prepared = first.prepared_cpu_us.map_or(String::new(), |us| {
        format!(
            "\n\nbefore the clock started, {:.2} ms of the client's CPU for each {noun}",
            us / 1e3
        )
    });
    let attacks: String = results.iter().filter_map(hostile_text).collect();
    let text = format!(
        "{what}{after}\n\n{}\n\nfor each {noun}\n\n{}\n\nsingle operations on this machine now\n\n{}\n\n\
         {}{prepared}{attacks}\n\n{failed} failed at first; the books agree to the unit after each run",
        printed(RUNS, &rows),
        printed(EACH, &each),
        floor.text(),
        LeastCost::of(floor, &first.kind).text(noun),
    );
    let _gone = writeln!(std::io::stdout(), "{text}");
}

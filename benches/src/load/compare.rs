//! Alternating rounds with the load program of an older checkout.
//!
//! The two programs run one after another, and the order changes with each round. So a machine that becomes slower or
//! faster meets both. Each program has fresh nodes of its own build.

use crate::{args::Args, bars};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use farthing_node::table::{Align, table};
use serde_json::{Map, Value, json};
use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// The load program in a checkout that was built in release.
const PROGRAM: &str = "target/release/load";

/// The most of a program's error that is repeated (characters).
const ERROR_MAX_CHARS: usize = 800;

/// A figure of a run: its name, its place in the line of JSON, and how many of its units make one of the table's.
struct Figure {
    name: &'static str,
    at: &'static str,
    divisor: f64,
}

/// The figures that are compared. One that neither program prints is left out.
const FIGURES: [Figure; 10] = [
    figure("a second", "/per_second", 1.0),
    figure("p50, ms", "/latency_ms/p50", 1.0),
    figure("p99, ms", "/latency_ms/p99", 1.0),
    figure("servers' CPU, ms", "/server_cpu_us", 1e3),
    figure("client's CPU, ms", "/each/client/cpu_us", 1e3),
    figure("bank's CPU, ms", "/each/bank/cpu_us", 1e3),
    figure("escrow's CPU, ms", "/each/escrow/cpu_us", 1e3),
    figure("merchant's CPU, ms", "/each/merchant/cpu_us", 1e3),
    figure("relay's CPU, ms", "/each/relay/cpu_us", 1e3),
    figure("client's syncs", "/each/client/syncs", 1.0),
];

const fn figure(name: &'static str, at: &'static str, divisor: f64) -> Figure {
    Figure { name, at, divisor }
}

/// One of the two programs.
struct Program {
    path: PathBuf,
    name: &'static str,
    /// The flags that not every program knows.
    own: Vec<&'static str>,
}

/// Compares this program with the one in the checkout `old`, and prints medians and ratios.
///
/// # Errors
/// When a program is missing or fails.
pub(crate) async fn run(args: &Args, old: &Path) -> Result<()> {
    let path = old.join(PROGRAM);
    if !path.is_file() {
        bail!(
            "there is no {}; run `cargo build --release -p benches --bin load` in {}",
            path.display(),
            old.display()
        );
    }
    let flags = [(args.relay, "--relay"), (args.prepared, "--prepared")];
    let flags = flags.iter().filter(|(is_asked, _)| *is_asked);
    let flags: Vec<&str> = flags.map(|(_, flag)| *flag).collect();
    let help = help(&path).await?;
    let (known, left_out): (Vec<&str>, Vec<&str>) =
        flags.iter().copied().partition(|flag| help.contains(*flag));
    let new = Program {
        path: std::env::current_exe().context("this program cannot be found")?,
        name: "new",
        own: flags,
    };
    let old = Program {
        path,
        name: "old",
        own: known,
    };
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        let bar = bars::busy(format!("round {round} of {}", args.rounds));
        let (older, newer) = match round % 2 {
            1 => {
                let older = old.run(args, round).await?;
                (older, new.run(args, round).await?)
            }
            _ => {
                let newer = new.run(args, round).await?;
                (old.run(args, round).await?, newer)
            }
        };
        bar.finish_and_clear();
        rounds.push((older, newer));
    }
    print(args, &rounds, &left_out)
}

/// The help of a program, which names the flags that it knows.
async fn help(path: &Path) -> Result<String> {
    let output = Command::new(path).arg("--help").output().await;
    let output = output.with_context(|| path.display().to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Program {
    /// Runs it once, and returns its lines.
    async fn run(&self, args: &Args, round: u64) -> Result<Vec<Value>> {
        let mut command = Command::new(&self.path);
        command.args(arguments(args)).args(&self.own);
        if let Some(dir) = &args.dir {
            command
                .arg("--dir")
                .arg(dir.join(format!("{}-{round}", self.name)));
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await;
        let output = output.with_context(|| self.path.display().to_string())?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let line = text.trim().lines().last().unwrap_or_default();
            let line: String = line.chars().take(ERROR_MAX_CHARS).collect();
            bail!("{} failed: {line}", self.path.display());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().map(serde_json::from_str);
        let lines: Vec<Value> = lines
            .collect::<Result<_, _>>()
            .with_context(|| format!("{} prints no JSON", self.path.display()))?;
        if lines.len() != args.under_way.len() {
            bail!(
                "{} has printed {} runs, and not {}",
                self.path.display(),
                lines.len(),
                args.under_way.len()
            );
        }
        Ok(lines)
    }
}

/// The arguments of both programs.
fn arguments(args: &Args) -> Vec<OsString> {
    let under_way: Vec<String> = args.under_way.iter().map(u64::to_string).collect();
    let mode = args.mode.to_possible_value();
    let mode = mode.map_or(String::new(), |mode| mode.get_name().to_owned());
    let mut all = vec![
        "--json".to_owned(),
        format!("--mode={mode}"),
        format!("--under-way={}", under_way.join(",")),
        format!("--seconds={}", args.seconds),
        format!("--goods={}", args.goods),
    ];
    all.extend(args.coins.map(|coins| format!("--coins={coins}")));
    all.into_iter().map(OsString::from).collect()
}

/// One figure over all rounds.
#[derive(Debug, PartialEq)]
struct Compared {
    /// Medians. `None` if the program does not print the figure.
    old: Option<f64>,
    new: Option<f64>,
    /// The ratio of new to old in each round: median, least, most.
    ratio: Option<[f64; 3]>,
}

impl Compared {
    /// The figure in the run at place `run` of each round. `None` if no program has it.
    fn of(figure: &Figure, rounds: &[(Vec<Value>, Vec<Value>)], run: usize) -> Option<Compared> {
        let value = |lines: &[Value]| {
            let found = lines.get(run).and_then(|line| line.pointer(figure.at));
            found.and_then(Value::as_f64).map(|value| value / figure.divisor)
        };
        let old: Vec<f64> = rounds.iter().filter_map(|(old, _)| value(old)).collect();
        let new: Vec<f64> = rounds.iter().filter_map(|(_, new)| value(new)).collect();
        let pairs = rounds
            .iter()
            .filter_map(|(old, new)| Some((value(old)?, value(new)?)));
        let ratios = pairs.filter(|(old, _)| *old > 0.0).map(|(old, new)| new / old);
        let ratios: Vec<f64> = ratios.collect();
        let compared = Compared {
            ratio: median(&ratios).map(|middle| {
                let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
                let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                [middle, least, most]
            }),
            old: median(&old),
            new: median(&new),
        };
        (compared.old.is_some() || compared.new.is_some()).then_some(compared)
    }
}

/// The median; `None` of nothing.
fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values.get(low)? + values.get(high)?) / 2.0)
}

/// The columns of the comparison.
const COLUMNS: [(&str, Align); 7] = [
    ("UNDER WAY", Align::Right),
    ("", Align::Left),
    ("OLD", Align::Right),
    ("NEW", Align::Right),
    ("RATIO", Align::Right),
    ("LEAST", Align::Right),
    ("MOST", Align::Right),
];

fn print(args: &Args, rounds: &[(Vec<Value>, Vec<Value>)], left_out: &[&str]) -> Result<()> {
    let mut rows = Vec::new();
    for (run, under_way) in args.under_way.iter().enumerate() {
        let mut figures = Map::new();
        for figure in &FIGURES {
            let Some(compared) = Compared::of(figure, rounds, run) else {
                continue;
            };
            let Compared { old, new, ratio } = compared;
            let text = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
            let [middle, least, most] = [0, 1, 2].map(|at| ratio.and_then(|ratio| ratio.get(at).copied()));
            rows.push([
                under_way.to_string(),
                figure.name.to_owned(),
                text(old),
                text(new),
                text(middle),
                text(least),
                text(most),
            ]);
            let value = json!({ "old": old, "new": new, "ratio": middle, "least": least, "most": most });
            figures.insert(figure.name.to_owned(), value);
        }
        if args.json {
            let line = json!({
                "mode": args.mode,
                "relay": args.relay,
                "prepared": args.prepared,
                "under_way": under_way,
                "old_without": left_out,
                "rounds": rounds.len(),
                "compared": figures,
            });
            writeln!(std::io::stdout(), "{line}")?;
        }
    }
    if !args.json {
        let without = match left_out {
            [] => String::new(),
            flags => format!(
                "; the older program does not know {}, and ran without",
                flags.join(" and ")
            ),
        };
        writeln!(
            std::io::stdout(),
            "{}\n\nmedians of {} rounds; RATIO is the median of each round's new to old, LEAST and MOST its range{without}",
            table(COLUMNS, &rows),
            rounds.len()
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let line = |rate: f64| vec![json!({ "per_second": rate })];
        let rounds = [
            (line(100.0), line(200.0)),
            (line(10.0), line(30.0)),
            (line(50.0), line(50.0)),
        ];
        let rate = figure("a second", "/per_second", 1.0);
        let expected = Compared {
            old: Some(50.0),
            new: Some(50.0),
            ratio: Some([2.0, 1.0, 3.0]),
        };
        assert_eq!(Compared::of(&rate, &rounds, 0), Some(expected));
        assert_eq!(Compared::of(&rate, &rounds, 1), None);
        let relay = figure("relay", "/each/relay/cpu_us", 1e3);
        assert_eq!(Compared::of(&relay, &rounds, 0), None);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }
}

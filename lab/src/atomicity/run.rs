//! Checks all rows, several at a time. Each row has one thread, so that its counterexamples are the shortest.

use farthing_model::{
    catalog::{Entry, Planted},
    check::{Checked, Finding},
    promise::is_promised,
    property::Property,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// A checked row of the table.
pub struct Row {
    /// The name of the system on the command line.
    pub id: &'static str,
    /// One sentence about the system.
    pub about: &'static str,
    /// What was found.
    pub checked: Checked,
}

/// A checked defect.
pub struct Defect {
    /// The name of its patch.
    pub name: String,
    /// What was found.
    pub checked: Checked,
}

/// What was found.
pub struct Results {
    /// The rows of the table.
    pub rows: Vec<Row>,
    /// The planted defects. None if only some systems were checked.
    pub defects: Vec<Defect>,
    /// The time of all of it.
    pub took: Duration,
}

/// Checks `entries`, and the planted defects with `whole`.
#[must_use]
pub fn check_all(entries: Vec<Entry>, whole: bool, bound: usize, jobs: usize) -> Results {
    let began = Instant::now();
    let planted = if whole { all_planted() } else { Vec::new() };
    let all: Vec<&Entry> = entries
        .iter()
        .chain(planted.iter().map(|planted| &planted.entry))
        .collect();
    let mut checked = in_parallel(&all, bound, jobs).into_iter();
    let rows = entries
        .iter()
        .zip(&mut checked)
        .map(|(entry, checked)| Row {
            id: entry.id,
            about: entry.about,
            checked,
        })
        .collect();
    let defect = |(planted, checked): (&Planted, Checked)| Defect {
        name: planted.name.clone(),
        checked,
    };
    Results {
        rows,
        defects: planted.iter().zip(checked).map(defect).collect(),
        took: began.elapsed(),
    }
}

/// The planted defects of the models, and of the functions that the programs run.
fn all_planted() -> Vec<Planted> {
    let mut planted = farthing_model::catalog::planted();
    planted.extend(farthing_shipped::catalog::planted());
    planted
}

fn in_parallel(entries: &[&Entry], bound: usize, jobs: usize) -> Vec<Checked> {
    let bar = ProgressBar::new(entries.len() as u64);
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} rows  {elapsed}  {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((number, entry)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    entries.get(number).map(|entry| (number, entry))
                } {
                    bar.set_message(format!("{}, {}", entry.system, entry.scenario.name));
                    let checked = entry.check(bound);
                    bar.inc(1);
                    found
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((number, checked));
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, checked)| checked).collect()
}

impl Results {
    /// What is not as it has to be: a property of Farthing that fails where its design promises it, or a planted defect
    /// that no property shows.
    #[must_use]
    pub fn surprises(&self) -> Vec<String> {
        let broken = self.rows.iter().flat_map(|row| {
            let checked = &row.checked;
            let is_broken = |(property, finding): &&(Property, Finding)| {
                finding.fails() && is_promised(row.id, &checked.scenario, *property)
            };
            checked.findings.iter().filter(is_broken).map(|(property, _)| {
                let (system, scenario) = (checked.system, checked.scenario.name);
                format!("{system}, {scenario}: {} fails", property.name())
            })
        });
        let unseen = self
            .defects
            .iter()
            .filter(|defect| defect.checked.failing().is_empty())
            .map(|defect| format!("the planted defect {} breaks no property", defect.name));
        let untested = Property::ALL.into_iter().filter(|property| {
            let mut all = self.rows.iter().map(|row| &row.checked);
            let defects = self.defects.iter().map(|defect| &defect.checked);
            !self.defects.is_empty()
                && !all.any(|it| it.failing().contains(&property.name()))
                && !defects.clone().any(|it| it.failing().contains(&property.name()))
        });
        let untested =
            untested.map(|property| format!("nothing breaks {}, so it is not tested", property.name()));
        broken.chain(unseen).chain(untested).collect()
    }
}

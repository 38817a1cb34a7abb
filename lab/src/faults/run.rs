//! Runs the cells of the matrix, several theatres at once, each with one purchase at a time.

use super::{
    audit::{Audit, Check, End, settles},
    director::Director,
    errand::Errand,
    matrix::{Cell, Place, Route, What, cells, places},
    record::Log,
    stage::Theatre,
    story::{Step, tell},
};
use farthing_kit::error::RunError;
use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How often a cell is run whose place was not reached.
const RUNS_MAX: usize = 3;

/// How a cell has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The customer has the goods, and did nothing more than she would have without the fault.
    Bought,
    /// She has the goods, and has carried on by hand so many times.
    Retried(usize),
    /// Her coins are back, and she has carried on by hand so many times.
    CoinsBack(usize),
    /// A promise is broken: these.
    Violated(Vec<String>),
    /// The fault could not be had, for this reason.
    NotRun(String),
}

impl Outcome {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Outcome::Bought => "bought".into(),
            Outcome::Retried(more) => format!("bought, after {}", commands(*more)),
            Outcome::CoinsBack(0) => "coins back".into(),
            Outcome::CoinsBack(more) => format!("coins back, after {}", commands(*more)),
            Outcome::Violated(what) => format!("violated: {}", what.join("; ")),
            Outcome::NotRun(why) => format!("not run: {why}"),
        }
    }
}

fn commands(more: usize) -> String {
    match more {
        1 => "one more command".into(),
        more => format!("{more} more commands"),
    }
}

/// A run that has ended: a cell, or a route without a fault.
#[derive(Debug, Clone)]
pub struct Ended {
    /// On which route.
    pub route: Route,
    /// With which fault.
    pub cell: Option<Cell>,
    /// How.
    pub outcome: Outcome,
    /// Step by step.
    pub steps: Vec<Step>,
    /// What was counted at its end.
    pub checks: Vec<Check>,
    /// How long it took.
    pub took: Duration,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Results {
    /// Each route without a fault.
    pub references: Vec<Ended>,
    /// The places, in order.
    pub places: Vec<Place>,
    /// The cells, in order of their places.
    pub cells: Vec<Ended>,
    /// How long all of it took.
    pub took: Duration,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program that is wallet and node.
    pub program: PathBuf,
    /// Where the theatres are made.
    pub dir: PathBuf,
    /// How many theatres at once.
    pub jobs: usize,
    /// Where lossy lines draw from.
    pub seed: u64,
    /// Only cells whose names have every word of one of these in them; all cells if there are none.
    pub only: Vec<String>,
}

/// Is told how many cells there are, and then of each that has ended.
pub trait Progress: Send + Sync {
    /// So many cells will be run.
    fn begin(&self, cells: usize);
    /// One has ended.
    fn ended(&self, ended: &Ended);
}

type Queue = Arc<Mutex<VecDeque<(usize, Cell)>>>;

/// What the theatres of a run share.
struct Shared {
    plan: Plan,
    progress: Arc<dyn Progress>,
    theatres: AtomicUsize,
    ended: Mutex<Vec<(usize, Ended)>>,
}

/// Runs all of it.
///
/// # Errors
/// When a theatre cannot be made, or does not work without faults.
pub async fn run(plan: Plan, progress: Arc<dyn Progress>) -> Result<Results, RunError> {
    let begun = Instant::now();
    let shared = Arc::new(Shared {
        plan,
        progress,
        theatres: AtomicUsize::new(0),
        ended: Mutex::default(),
    });
    let first = shared.theatre(false).await?;
    let (references, places, first) = references(&shared, first).await?;
    let all = cells(&places).into_iter().enumerate();
    let chosen = all.filter(|(_, cell)| is_wanted(&cell.to_string(), &shared.plan.only));
    let (on_disks, others): (Vec<_>, Vec<_>) = chosen.partition(|(_, cell)| cell.fault.needs_disk());
    shared.progress.begin(on_disks.len() + others.len());
    let (on_disks, others) = (queue(on_disks), queue(others));
    let mut workers = JoinSet::new();
    workers.spawn(work(Arc::clone(&shared), others.clone(), false, Some(first)));
    workers.spawn(work(Arc::clone(&shared), on_disks, true, None));
    for _ in 2..shared.plan.jobs {
        workers.spawn(work(Arc::clone(&shared), others.clone(), false, None));
    }
    while let Some(done) = workers.join_next().await {
        done.map_err(|why| RunError::Broken(why.to_string()))??;
    }
    let mut ended = std::mem::take(&mut *shared.ended.lock().unwrap_or_else(PoisonError::into_inner));
    ended.sort_by_key(|(number, _)| *number);
    Ok(Results {
        references,
        places,
        cells: ended.into_iter().map(|(_, ended)| ended).collect(),
        took: begun.elapsed(),
    })
}

/// Whether every word of one of `patterns` is in `name`, in letters of either size, or there are no patterns.
fn is_wanted(name: &str, patterns: &[String]) -> bool {
    let name = name.to_lowercase();
    let fits = |pattern: &String| {
        pattern
            .to_lowercase()
            .split_whitespace()
            .all(|word| name.contains(word))
    };
    patterns.is_empty() || patterns.iter().any(fits)
}

fn queue(cells: Vec<(usize, Cell)>) -> Queue {
    Arc::new(Mutex::new(cells.into()))
}

/// Runs every route without faults, which shows the places.
async fn references(
    shared: &Shared,
    mut theatre: Theatre,
) -> Result<(Vec<Ended>, Vec<Place>, Theatre), RunError> {
    let (mut references, mut passed) = (Vec::new(), Vec::new());
    for route in Route::ALL {
        let (log, ended) = once(shared, &mut theatre, route, None, usize::MAX).await?;
        if let Outcome::Violated(what) = &ended.outcome {
            let what = what.join("; ");
            return Err(RunError::Broken(format!(
                "{}, without a fault: {what}",
                route.title()
            )));
        }
        passed.push((route, log.passed));
        references.push(ended);
    }
    Ok((references, places(&passed), theatre))
}

impl Shared {
    /// A theatre in which everyone has once dealt with everyone, so that nobody has keys to fetch.
    async fn theatre(&self, disks: bool) -> Result<Theatre, RunError> {
        let number = self.theatres.fetch_add(1, Ordering::Relaxed);
        let dir = self.plan.dir.join(number.to_string());
        let mut theatre = Theatre::build(&self.plan.program, &dir, disks).await?;
        once(self, &mut theatre, Route::Bought, None, usize::MAX).await?;
        Ok(theatre)
    }

    fn keep(&self, number: usize, ended: Ended) {
        self.progress.ended(&ended);
        let mut all = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((number, ended));
    }
}

/// Takes cells from the queue until there are none.
async fn work(
    shared: Arc<Shared>,
    queue: Queue,
    disks: bool,
    mut theatre: Option<Theatre>,
) -> Result<(), RunError> {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    while let Some((number, cell)) = next() {
        let mut at = match theatre.take() {
            Some(theatre) => theatre,
            None => match shared.theatre(disks).await {
                Ok(theatre) => theatre,
                // Without the right to mount there is no disk that can be filled.
                Err(why) if disks => {
                    shared.keep(number, not_run(cell, why.to_string()));
                    continue;
                }
                Err(why) => return Err(why),
            },
        };
        let ended = until_reached(&shared, &mut at, &cell, number).await?;
        // Whatever broke one purchase must not show in the next.
        if !matches!(ended.outcome, Outcome::Violated(_)) {
            theatre = Some(at);
        }
        shared.keep(number, ended);
    }
    Ok(())
}

fn not_run(cell: Cell, why: String) -> Ended {
    Ended {
        route: cell.place.route,
        cell: Some(cell),
        outcome: Outcome::NotRun(why),
        steps: Vec::new(),
        checks: Vec::new(),
        took: Duration::ZERO,
    }
}

/// Runs a cell until its place was reached, or it seems that it never is.
async fn until_reached(
    shared: &Shared,
    theatre: &mut Theatre,
    cell: &Cell,
    number: usize,
) -> Result<Ended, RunError> {
    for _ in 0..RUNS_MAX {
        let (log, ended) = once(shared, theatre, cell.place.route, Some(cell), number).await?;
        if log.happened || matches!(ended.outcome, Outcome::Violated(_)) {
            return Ok(ended);
        }
    }
    let why = format!("in {RUNS_MAX} runs the purchase did not come by there");
    Ok(not_run(cell.clone(), why))
}

/// One run.
async fn once(
    shared: &Shared,
    theatre: &mut Theatre,
    route: Route,
    cell: Option<&Cell>,
    number: usize,
) -> Result<(Log, Ended), RunError> {
    let begun = Instant::now();
    let stage = Arc::clone(&theatre.stage);
    let seed = shared.plan.seed.wrapping_add(number as u64);
    let director = Director::new(Arc::clone(&stage), route, cell.cloned(), seed);
    let name = customer_name(stage.dir())?;
    let work = async {
        let customer = stage.newcomer(&name).await?;
        let errand = Errand::new(director.clone(), customer.clone());
        let before = stage.books().await?;
        director.begin();
        let went = errand.goes(route).await;
        director.mend().await;
        let settled = settles(&stage, &director).await;
        // The fault may have been in what is settled in the background; what is only counted now has none.
        director.mend().await;
        let log = director.end();
        let audit = async {
            let (more, settled) = (went?, settled?);
            let audit = Audit::take(&stage, &before, &customer, settled).await?;
            Ok((audit, more))
        };
        let audit = audit.await;
        Ok::<_, RunError>((log, audit, customer))
    };
    let (log, audit, customer) = tokio::select! {
        done = work => done?,
        () = director.conduct(&mut theatre.points) => return Err(RunError::Stopped),
    };
    theatre.start_again(&log.waiting).await?;
    let (outcome, checks) = judge(&log, audit);
    if !matches!(outcome, Outcome::Violated(_)) {
        // Each wallet takes room, and nobody asks after it any more.
        let _left = fs::remove_dir_all(customer.dir());
    }
    let ended = Ended {
        route,
        cell: cell.cloned(),
        outcome,
        steps: tell(&log.events),
        checks,
        took: begun.elapsed(),
    };
    Ok((log, ended))
}

fn judge(log: &Log, audit: Result<(Audit, usize), RunError>) -> (Outcome, Vec<Check>) {
    let (audit, more) = match audit {
        Ok(audit) => audit,
        Err(why) => return (Outcome::Violated(vec![why.to_string()]), Vec::new()),
    };
    let broken = audit.violated();
    let broken = broken.map(|it| format!("{}: {} is {}, must be {}", it.promise, it.what, it.is, it.must_be));
    let violated: Vec<String> = broken.chain(log.failed.iter().cloned()).collect();
    let outcome = match (violated.is_empty(), audit.end, more) {
        (false, ..) => Outcome::Violated(violated),
        (true, End::Coins, more) => Outcome::CoinsBack(more),
        (true, End::Goods, 0) => Outcome::Bought,
        (true, End::Goods, more) => Outcome::Retried(more),
    };
    (outcome, audit.checks)
}

/// A name that no customer of this theatre has had.
fn customer_name(dir: &Path) -> Result<String, RunError> {
    use farthing_store::entropy::{Entropy, SystemEntropy};
    let mut random = [0; 6];
    SystemEntropy.fill(&mut random);
    let name = format!("alice-{}", hex::encode(random));
    match dir.join(&name).exists() {
        true => Err(RunError::Broken(format!("{name} is there twice"))),
        false => Ok(name),
    }
}

/// Whether a place is a message.
#[must_use]
pub fn is_message(place: &Place) -> bool {
    matches!(place.what, What::Message { .. })
}

/// How many cells have ended each way, by what it is called.
#[must_use]
pub fn tally(results: &Results) -> Vec<(&'static str, usize)> {
    let count =
        |which: fn(&Outcome) -> bool| results.cells.iter().filter(|cell| which(&cell.outcome)).count();
    vec![
        ("bought", count(|it| matches!(it, Outcome::Bought))),
        (
            "bought after retry",
            count(|it| matches!(it, Outcome::Retried(_))),
        ),
        ("coins back", count(|it| matches!(it, Outcome::CoinsBack(_)))),
        ("not run", count(|it| matches!(it, Outcome::NotRun(_)))),
        ("violated", count(|it| matches!(it, Outcome::Violated(_)))),
    ]
}

#[cfg(test)]
mod tests;

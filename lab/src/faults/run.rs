//! Runs the cells of the matrix, in several theatres at the same time. Each theatre runs one purchase at a time.

use super::{
    audit::{Check, End, RunAudit, RunParties},
    director::Director,
    errand::{Errand, Payee},
    matrix::{Cell, Place, Route, What, cells, places},
    record::Log,
    settling::settles,
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

/// The maximum number of runs of a cell whose place is not reached.
const RUNS_MAX: usize = 3;

/// The result of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellResult {
    /// The customer has the goods, with no more commands than without the fault.
    Bought,
    /// The customer has the goods, after this number of additional commands.
    Retried(usize),
    /// The customer has the coins back, after this number of additional commands.
    CoinsBack(usize),
    /// The payment or the refund is made, after this number of additional commands.
    Paid(usize),
    /// These promises are broken.
    Violated(Vec<String>),
    /// The fault could not be caused, for this reason.
    NotRun(String),
}

impl CellResult {
    /// The result in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            CellResult::Bought => "bought".into(),
            CellResult::Retried(more) => format!("bought, after {}", commands(*more)),
            CellResult::CoinsBack(0) => "coins back".into(),
            CellResult::CoinsBack(more) => format!("coins back, after {}", commands(*more)),
            CellResult::Paid(0) => "paid".into(),
            CellResult::Paid(more) => format!("paid, after {}", commands(*more)),
            CellResult::Violated(what) => format!("violated: {}", what.join("; ")),
            CellResult::NotRun(why) => format!("not run: {why}"),
        }
    }
}

fn commands(more: usize) -> String {
    match more {
        1 => "one more command".into(),
        more => format!("{more} more commands"),
    }
}

/// A completed run: of a cell, or of a route without a fault.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The route.
    pub route: Route,
    /// The place and the fault, or `None` without a fault.
    pub cell: Option<Cell>,
    /// The result.
    pub outcome: CellResult,
    /// The steps of the run.
    pub steps: Vec<Step>,
    /// The comparisons of its audit.
    pub checks: Vec<Check>,
    /// The duration of the run.
    pub took: Duration,
}

/// The results of the matrix.
#[derive(Debug, Clone)]
pub struct Results {
    /// Each route without a fault.
    pub references: Vec<Ended>,
    /// The places, in order.
    pub places: Vec<Place>,
    /// The cells, in order of their places.
    pub cells: Vec<Ended>,
    /// The duration of all runs.
    pub took: Duration,
}

/// The parameters of a run of the matrix.
#[derive(Debug, Clone)]
pub struct MatrixOptions {
    /// The program of the wallet and the nodes.
    pub program: PathBuf,
    /// The directory of the theatres.
    pub dir: PathBuf,
    /// The number of concurrent theatres.
    pub jobs: usize,
    /// The seed of the lossy lines.
    pub seed: u64,
    /// The patterns of the cells to run. A cell matches a pattern if its name has every word of it. Without patterns
    /// all cells run.
    pub only: Vec<String>,
    /// The database of the nodes' stores. `None` if they are in their directories.
    pub store: Option<String>,
}

/// An observer of a run of the matrix.
pub trait MatrixObserver: Send + Sync {
    /// Called once, with the number of cells to run.
    fn begin(&self, cells: usize);
    /// Called after each cell.
    fn ended(&self, ended: &Ended);
}

type Queue = Arc<Mutex<VecDeque<(usize, Cell)>>>;

/// The state that the theatres share.
struct Shared {
    plan: MatrixOptions,
    progress: Arc<dyn MatrixObserver>,
    theatres: AtomicUsize,
    ended: Mutex<Vec<(usize, Ended)>>,
}

/// Runs the matrix.
///
/// # Errors
/// When a theatre cannot be created, or does not work without faults.
pub async fn run(plan: MatrixOptions, progress: Arc<dyn MatrixObserver>) -> Result<Results, RunError> {
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

/// Whether `name` has every word of one of `patterns`, ignoring case. Without patterns every name matches.
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

/// Runs every route without faults, to find the places.
async fn references(
    shared: &Shared,
    mut theatre: Theatre,
) -> Result<(Vec<Ended>, Vec<Place>, Theatre), RunError> {
    let (mut references, mut passed) = (Vec::new(), Vec::new());
    for route in Route::ALL {
        let (log, ended) = once(shared, &mut theatre, route, None, usize::MAX).await?;
        if let CellResult::Violated(what) = &ended.outcome {
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
    /// Creates a theatre in which all parties have had a purchase, so that no party has to fetch keys.
    async fn theatre(&self, disks: bool) -> Result<Theatre, RunError> {
        let number = self.theatres.fetch_add(1, Ordering::Relaxed);
        let dir = self.plan.dir.join(number.to_string());
        let mut theatre = Theatre::build(&self.plan.program, &dir, disks, self.plan.store.as_deref()).await?;
        once(self, &mut theatre, Route::Bought, None, usize::MAX).await?;
        Ok(theatre)
    }

    fn keep(&self, number: usize, ended: Ended) {
        self.progress.ended(&ended);
        let mut all = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((number, ended));
    }
}

/// Runs cells from the queue until it is empty.
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
                // Without the permission to mount there is no disk that can be filled.
                Err(why) if disks => {
                    shared.keep(number, not_run(cell, why.to_string()));
                    continue;
                }
                Err(why) => return Err(why),
            },
        };
        let ended = until_reached(&shared, &mut at, &cell, number).await?;
        // The fault that broke one purchase must not affect the next one.
        if !matches!(ended.outcome, CellResult::Violated(_)) {
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
        outcome: CellResult::NotRun(why),
        steps: Vec::new(),
        checks: Vec::new(),
        took: Duration::ZERO,
    }
}

/// Runs a cell until its place is reached, at most [`RUNS_MAX`] times.
async fn until_reached(
    shared: &Shared,
    theatre: &mut Theatre,
    cell: &Cell,
    number: usize,
) -> Result<Ended, RunError> {
    for _ in 0..RUNS_MAX {
        let (log, ended) = once(shared, theatre, cell.place.route, Some(cell), number).await?;
        if log.happened || matches!(ended.outcome, CellResult::Violated(_)) {
            return Ok(ended);
        }
    }
    let why = format!("in {RUNS_MAX} runs the purchase did not reach this place");
    Ok(not_run(cell.clone(), why))
}

/// Runs one purchase.
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
        let payee = match route {
            Route::Sent => Some(Payee::at(&stage, &format!("{name}-payee")).await?),
            _ => None,
        };
        let errand = Errand::new(director.clone(), &stage, customer.clone(), payee.as_ref());
        let before = stage.books().await?;
        director.begin();
        let went = errand.goes(route).await;
        director.mend().await;
        let settled = settles(&stage, &director).await;
        // The fault may have happened during the settlement. No fault may happen during the audit.
        director.mend().await;
        let log = director.end();
        let audit = async {
            let (more, settled) = (went?, settled?);
            let of = RunParties {
                route,
                customer: &customer,
                payee: payee.as_ref(),
            };
            let audit = RunAudit::take(&stage, &before, of, settled).await?;
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
    if !matches!(outcome, CellResult::Violated(_)) {
        // The wallet is not needed any more, and its files take room.
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

fn judge(log: &Log, audit: Result<(RunAudit, usize), RunError>) -> (CellResult, Vec<Check>) {
    let (audit, more) = match audit {
        Ok(audit) => audit,
        Err(why) => return (CellResult::Violated(vec![why.to_string()]), Vec::new()),
    };
    let broken = audit.violated();
    let broken = broken.map(|it| format!("{}: {} is {}, must be {}", it.promise, it.what, it.is, it.must_be));
    let violated: Vec<String> = broken.chain(log.failed.iter().cloned()).collect();
    let outcome = match (violated.is_empty(), audit.end, more) {
        (false, ..) => CellResult::Violated(violated),
        (true, End::Coins, more) => CellResult::CoinsBack(more),
        (true, End::Paid, more) => CellResult::Paid(more),
        (true, End::Goods, 0) => CellResult::Bought,
        (true, End::Goods, more) => CellResult::Retried(more),
    };
    (outcome, audit.checks)
}

/// A new customer name for this theatre.
fn customer_name(dir: &Path) -> Result<String, RunError> {
    use farthing_store::entropy::{Entropy, SystemEntropy};
    let mut random = [0; 6];
    SystemEntropy.fill(&mut random);
    let name = format!("alice-{}", hex::encode(random));
    match dir.join(&name).exists() {
        true => Err(RunError::Broken(format!("the customer {name} exists already"))),
        false => Ok(name),
    }
}

/// Whether a place is a message.
#[must_use]
pub fn is_message(place: &Place) -> bool {
    matches!(place.what, What::Message { .. })
}

/// The number of cells with each result, with the name of the result.
#[must_use]
pub fn tally(results: &Results) -> Vec<(&'static str, usize)> {
    let count =
        |which: fn(&CellResult) -> bool| results.cells.iter().filter(|cell| which(&cell.outcome)).count();
    vec![
        ("bought", count(|it| matches!(it, CellResult::Bought))),
        (
            "bought after retry",
            count(|it| matches!(it, CellResult::Retried(_))),
        ),
        ("coins back", count(|it| matches!(it, CellResult::CoinsBack(_)))),
        ("paid", count(|it| matches!(it, CellResult::Paid(_)))),
        ("not run", count(|it| matches!(it, CellResult::NotRun(_)))),
        ("violated", count(|it| matches!(it, CellResult::Violated(_)))),
    ]
}

#[cfg(test)]
mod tests;

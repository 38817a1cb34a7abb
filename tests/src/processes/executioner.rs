//! Lets processes continue at every named point, and kills the process that reaches a chosen one.

use super::{run::runtime, testbed::Testbed};
use farthing_kit::points::{Party, Point, Points, Reached};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// A named point of a process, and how many times it was reached before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NthPoint {
    /// The party that the process belongs to.
    pub party: Party,
    /// The point.
    pub point: Point,
    /// How many times the party reached the point before.
    pub before: usize,
}

impl fmt::Display for NthPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} at {:?}, time {}",
            self.party,
            self.point,
            self.before + 1
        )
    }
}

#[derive(Debug)]
struct Seen {
    places: Vec<NthPoint>,
    times: BTreeMap<(Party, Point), usize>,
    last: Instant,
    killed: BTreeSet<NthPoint>,
}

/// Observes every point that the processes of a testbed reach, until it is dropped.
#[derive(Debug)]
pub struct Executioner {
    seen: Arc<Mutex<Seen>>,
    socket: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for Executioner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Executioner {
    /// Lets every process of `testbed` continue, except the processes that reach one of `places`: they are killed (SIGKILL).
    pub fn watch(testbed: &Testbed, places: Vec<NthPoint>) -> Executioner {
        let socket = testbed.layout.probe.clone().expect("a testbed that is probed");
        let _context = runtime().enter();
        let mut points = Points::listen(&socket).expect("a socket");
        let seen = Arc::new(Mutex::new(Seen {
            places: Vec::new(),
            times: BTreeMap::new(),
            last: Instant::now(),
            killed: BTreeSet::new(),
        }));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let reached = points.next().await;
                let mut seen = shared.lock().expect("no holder of the lock panicked");
                let place = seen.note(&reached);
                if places.contains(&place) {
                    kill(&reached);
                    seen.killed.insert(place);
                }
                drop(seen);
                // The process continues only now, if it was not killed.
                drop(reached);
            }
        });
        Executioner { seen, socket, task }
    }

    /// Stops observing. All processes continue at every point.
    pub fn stop(&self) {
        self.task.abort();
        let _gone = fs::remove_file(&self.socket);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder of the lock panicked")
    }

    /// Whether a process was killed at this place.
    pub fn has_killed(&self, place: &NthPoint) -> bool {
        self.seen().killed.contains(place)
    }

    /// Time since a process last reached a point.
    pub fn silence(&self) -> Duration {
        self.seen().last.elapsed()
    }

    /// Every place that was reached, in order.
    pub fn places(&self) -> Vec<NthPoint> {
        self.seen().places.clone()
    }
}

impl Seen {
    fn note(&mut self, reached: &Reached) -> NthPoint {
        let times = self
            .times
            .entry((reached.party, reached.point.clone()))
            .or_default();
        let place = NthPoint {
            party: reached.party,
            point: reached.point.clone(),
            before: *times,
        };
        *times += 1;
        self.places.push(place.clone());
        self.last = Instant::now();
        place
    }
}

fn kill(reached: &Reached) {
    let pid = reached.process_id().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::KILL).expect("the process waits at the point");
}

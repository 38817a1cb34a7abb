//! Lets processes go on from point to point, and kills one of them where it stands.

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

/// A point of a process on the way of something, and the how-manyeth time it is reached there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NthPoint {
    /// Whose process.
    pub party: Party,
    /// Which point.
    pub point: Point,
    /// Reached so often before.
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

/// Hears of every point that a testbed's processes reach, while it is there.
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
    /// Lets every process of `testbed` go on, but those that reach one of `places`: they are killed (SIGKILL).
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
        let here = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let reached = points.next().await;
                let mut seen = here.lock().expect("nobody has panicked with it");
                let place = seen.note(&reached);
                if places.contains(&place) {
                    kill(&reached);
                    seen.killed.insert(place);
                }
                drop(seen);
                // It goes on only now: a process that was killed does not.
                drop(reached);
            }
        });
        Executioner { seen, socket, task }
    }

    /// Lets everybody go on from now on, and hears of nothing any more.
    pub fn stop(&self) {
        self.task.abort();
        let _gone = fs::remove_file(&self.socket);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody has panicked with it")
    }

    /// Whether it has killed there.
    pub fn has_killed(&self, place: &NthPoint) -> bool {
        self.seen().killed.contains(place)
    }

    /// For how long nobody has reached anything.
    pub fn silence(&self) -> Duration {
        self.seen().last.elapsed()
    }

    /// Every place so far, in the order in which they were reached.
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
    kill_process(pid, Signal::KILL).expect("it stands there");
}

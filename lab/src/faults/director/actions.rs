//! The director's actions on lines, processes and disks, and how each is mended.

use super::{
    super::{
        matrix::called,
        record::{Action, EventKind},
    },
    Director, State,
};
use farthing_kit::{
    disk::SmallDisk,
    error::RunError,
    line::{Gate, Way},
    points::{Message, Party},
};
use farthing_node::card::RoleName;
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;
use tokio::time::sleep;

/// How long a killed node stays down.
const AWAY: Duration = Duration::from_millis(300);

/// The maximum number of attempts to start a node.
const STARTS_MAX: usize = 5;

/// How long a process is frozen: longer than a wallet waits for an answer.
const FROZEN: Duration = Duration::from_millis(2600);

/// How long a disk is full: long enough that a write fails, and shorter than the time limit of a wallet's command.
const FULL: Duration = Duration::from_millis(1500);

/// How long a line stays cut, if its asker does not give up sooner: longer than a server waits for another server.
const CUT_MAX: Duration = Duration::from_secs(12);

impl Director {
    pub(super) fn cut(&self, state: &mut State, asker: Party, server: RoleName, way: Way, gate: Gate) {
        if let Some(line) = self.0.stage.line(asker, server) {
            line.set_gate(way, gate);
            state.write(EventKind::Done(Action::Cut(asker, server, way)));
        }
    }

    /// Cuts a line until its asker gives up `message`.
    pub(super) fn lose(&self, state: &mut State, asker: Party, message: &Message, way: Way, gate: Gate) {
        self.cut(state, asker, message.server, way, gate);
        state.heal = Some((asker, message.clone()));
        let director = self.clone();
        // This task is not awaited: all lines are healed at the end of the run.
        tokio::spawn(async move {
            sleep(CUT_MAX).await;
            let mut state = director.state();
            director.give_up(&mut state, asker, None);
        });
    }

    /// Heals the line of `asker`, which has given up `message`. `None` is any message.
    pub(super) fn give_up(&self, state: &mut State, asker: Party, message: Option<&Message>) {
        let cut = state.heal.as_ref();
        let meant =
            cut.is_some_and(|(of, what)| *of == asker && message.is_none_or(|message| message == what));
        if meant && let Some((_, message)) = state.heal.take() {
            if let Some(line) = self.0.stage.line(asker, message.server) {
                line.heal();
            }
            state.write(EventKind::Done(Action::Healed(asker, message.server)));
        }
    }

    fn process_of(&self, state: &State, party: Party) -> Option<Pid> {
        let id = match party {
            Party::Wallet => state.wallet,
            Party::Node(role) => self.0.stage.node(role).process_id(),
        };
        Pid::from_raw(i32::try_from(id?).ok()?)
    }

    fn signal(&self, state: &mut State, party: Party, signal: Signal) {
        let process = self.process_of(state, party);
        let sent = process.map(|process| kill_process(process, signal));
        if !matches!(sent, Some(Ok(()))) {
            state
                .log
                .failed
                .push(format!("the {} took no signal", called(party)));
        }
    }

    /// Kills a party. A node restarts after [`AWAY`]. The customer repeats a command of the wallet.
    pub(super) fn kill(&self, state: &mut State, party: Party) {
        state
            .killed
            .extend(self.process_of(state, party).map(Pid::as_raw_pid));
        self.signal(state, party, Signal::KILL);
        state.write(EventKind::Done(Action::Killed(party)));
        state.in_flight.retain(|(asker, _)| *asker != party);
        let Party::Node(role) = party else { return };
        let director = self.clone();
        self.later(state, AWAY, async move {
            // Before it starts: it asks its peers before it says that it is ready.
            director.record(Action::Restarted(party));
            if let Err(why) = director.restart(role).await {
                director.record(Action::Failed(format!("the {role} does not start again: {why}")));
            }
        });
    }

    /// Restarts a node, with several attempts, as a service manager does. An operator's command that runs at the same
    /// time can have its directory open.
    async fn restart(&self, role: RoleName) -> Result<(), RunError> {
        let node = self.0.stage.node(role);
        for _ in 1..STARTS_MAX {
            if node.restart().await.is_ok() {
                return Ok(());
            }
            sleep(AWAY).await;
        }
        Ok(node.restart().await?)
    }

    pub(super) fn freeze(&self, state: &mut State, party: Party) {
        self.signal(state, party, Signal::STOP);
        state.write(EventKind::Done(Action::Frozen(party)));
        let director = self.clone();
        self.later(state, FROZEN, async move {
            let mut state = director.state();
            director.signal(&mut state, party, Signal::CONT);
            state.write(EventKind::Done(Action::Thawed(party)));
        });
    }

    pub(super) fn fill_disk(&self, state: &mut State, party: Party) {
        let Some(disk) = self.0.stage.disks.get(&party) else {
            state.log.failed.push("its disk cannot be filled".into());
            return;
        };
        if let Err(error) = disk.fill() {
            state
                .log
                .failed
                .push(format!("its disk cannot be filled: {error}"));
        }
        state.write(EventKind::Done(Action::DiskFull(party)));
        let director = self.clone();
        self.later(state, FULL, async move {
            let freed = director.0.stage.disks.get(&party).map(SmallDisk::free);
            director.record(match freed {
                Some(Ok(())) => Action::DiskFree(party),
                _ => Action::Failed("its disk cannot be made larger again".into()),
            });
        });
    }

    /// Mends something after a delay. The run does not end before.
    fn later(&self, state: &mut State, after: Duration, mend: impl Future<Output = ()> + Send + 'static) {
        state.mending += 1;
        let director = self.clone();
        tokio::spawn(async move {
            sleep(after).await;
            mend.await;
            director.state().mending -= 1;
        });
    }
}

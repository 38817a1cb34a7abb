//! What a director does to lines, processes and disks, and how each of it is mended.

use super::{
    super::{
        matrix::called,
        record::{Deed, Happened},
    },
    Director, State,
};
use farthing_kit::{
    disk::SmallDisk,
    error::RunError,
    points::{Message, Party},
    relay::{Gate, Way},
};
use farthing_node::card::RoleName;
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;
use tokio::time::sleep;

/// How long a node that was killed is away.
const AWAY: Duration = Duration::from_millis(300);

/// How often a node is started before it is said not to start.
const STARTS_MAX: usize = 5;

/// How long a process is frozen: longer than a wallet waits for an answer.
const FROZEN: Duration = Duration::from_millis(2600);

/// How long a disk is full: longer than anybody needs to meet it, and shorter than a wallet's patience.
const FULL: Duration = Duration::from_millis(1500);

/// How long a line stays cut at most, if nobody gives up sooner: longer than a server waits for another.
const CUT_MAX: Duration = Duration::from_secs(12);

impl Director {
    pub(super) fn cut(&self, state: &mut State, asker: Party, server: RoleName, way: Way, gate: Gate) {
        if let Some(line) = self.0.stage.line(asker, server) {
            line.set_gate(way, gate);
            state.write(Happened::Done(Deed::Cut(asker, server, way)));
        }
    }

    /// Cuts a line until its asker gives `message` up.
    pub(super) fn lose(&self, state: &mut State, asker: Party, message: &Message, way: Way, gate: Gate) {
        self.cut(state, asker, message.server, way, gate);
        state.heal = Some((asker, message.clone()));
        let director = self.clone();
        // Nobody waits for this: when the run ends all lines are healed.
        tokio::spawn(async move {
            sleep(CUT_MAX).await;
            let mut state = director.state();
            director.give_up(&mut state, asker, None);
        });
    }

    /// `asker` has given `message` up (or whatever it was): its line is healed.
    pub(super) fn give_up(&self, state: &mut State, asker: Party, message: Option<&Message>) {
        let cut = state.heal.as_ref();
        let meant =
            cut.is_some_and(|(of, what)| *of == asker && message.is_none_or(|message| message == what));
        if meant && let Some((_, message)) = state.heal.take() {
            if let Some(line) = self.0.stage.line(asker, message.server) {
                line.heal();
            }
            state.write(Happened::Done(Deed::Healed(asker, message.server)));
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

    /// Kills a party. A node is started again after a while; a wallet's command is run again by its customer.
    pub(super) fn kill(&self, state: &mut State, party: Party) {
        state
            .killed
            .extend(self.process_of(state, party).map(Pid::as_raw_pid));
        self.signal(state, party, Signal::KILL);
        state.write(Happened::Done(Deed::Killed(party)));
        state.in_flight.retain(|(asker, _)| *asker != party);
        let Party::Node(role) = party else { return };
        let director = self.clone();
        self.later(state, AWAY, async move {
            director.note(match director.restart(role).await {
                Ok(()) => Deed::Restarted(party),
                Err(why) => Deed::Failed(format!("the {role} does not start again: {why}")),
            });
        });
    }

    /// Starts a node again, as often as it takes: as service managers do, since a command of its operator's that ran
    /// while it was away may have its directory open.
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
        state.write(Happened::Done(Deed::Frozen(party)));
        let director = self.clone();
        self.later(state, FROZEN, async move {
            let mut state = director.state();
            director.signal(&mut state, party, Signal::CONT);
            state.write(Happened::Done(Deed::Thawed(party)));
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
        state.write(Happened::Done(Deed::DiskFull(party)));
        let director = self.clone();
        self.later(state, FULL, async move {
            let freed = director.0.stage.disks.get(&party).map(SmallDisk::free);
            director.note(match freed {
                Some(Ok(())) => Deed::DiskFree(party),
                _ => Deed::Failed("its disk cannot be made larger again".into()),
            });
        });
    }

    /// Mends something after a while; the run does not end before.
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

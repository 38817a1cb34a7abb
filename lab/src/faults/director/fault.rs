//! The moment of each fault, and the action at this moment.

use super::{
    super::{
        matrix::{Fault, What},
        record::{Action, EventKind},
    },
    Director, Phase, State,
};
use farthing_kit::{
    faults::Faults,
    line::{Gate, Way},
    points::{Message, Party, Point, Reached},
};
use farthing_store::probe::{AFTER_APPEND, AFTER_INDEX, AFTER_OPEN, AFTER_REPLY, AFTER_SYNC, BEFORE_APPEND};

/// The faults of a lossy line.
const LOSSY: Faults = Faults {
    seed: 0,
    lose_percent: 30,
    repeat_percent: 10,
    reorder_percent: 20,
    delay_ms: 0,
    jitter_ms: 0,
    rate: 0,
};

impl Director {
    pub(super) fn act(&self, state: &mut State, reached: Reached, entered: Option<(What, usize)>) {
        let Some(cell) = &self.0.cell else { return };
        if !state.on_route || state.phase == Phase::Over {
            self.let_late_go(state, &reached);
            return;
        }
        let target = (cell.place.what.clone(), cell.place.nth);
        if let (Fault::DiskFull, What::Write { party, .. }) = (cell.fault, &cell.place.what) {
            let before =
                !matches!(&reached.point, Point::Store(name) if name != AFTER_OPEN && name != AFTER_REPLY);
            if before && reached.party == *party {
                self.fill_before_write(state);
            }
            return;
        }
        if entered == Some(target) {
            state.phase = Phase::Here;
        }
        if state.phase != Phase::Ahead {
            match &cell.place.what {
                What::Message { asker, message } => {
                    let (asker, message) = (*asker, message.clone());
                    self.act_on_message(state, reached, cell.fault, asker, &message);
                }
                What::Write { party, .. } => self.act_on_write(state, &reached, cell.fault, *party),
            }
        }
    }

    /// Fills the disk of the fault's writer if its next write is the place of the fault.
    pub(super) fn fill_before_write(&self, state: &mut State) {
        if let Some(cell) = &self.0.cell
            && let (Fault::DiskFull, What::Write { party, .. }) = (cell.fault, &cell.place.what)
            && state.tracker.next_write(*party) == (cell.place.what.clone(), cell.place.nth)
        {
            state.phase = Phase::Over;
            self.fill_disk(state, *party);
        }
    }

    fn act_on_message(
        &self,
        state: &mut State,
        reached: Reached,
        fault: Fault,
        asker: Party,
        message: &Message,
    ) {
        let server = Party::Node(message.server);
        let (party, of) = (reached.party, &reached.point);
        let asking = party == asker && *of == Point::BeforeAsking(message.clone());
        let asked = party == server && *of == Point::Asked(message.clone());
        let answering =
            party == server && *of == Point::BeforeAnswering(message.clone()) && state.phase == Phase::Served;
        let answered = party == asker && *of == Point::Answered(message.clone());
        if asked && state.phase == Phase::Here {
            state.phase = Phase::Served;
        }
        let line = message.server;
        let now = match fault {
            Fault::RequestLost | Fault::Lossy | Fault::DeadThere | Fault::DeadBack | Fault::AskerKilled => {
                asking
            }
            Fault::ServerKilled | Fault::ServerFrozen | Fault::Late => asked,
            Fault::ReplyLost | Fault::ServerKilledAnswering | Fault::AskerFrozen => answering,
            Fault::AskerKilledAnswered => answered,
            _ => false,
        };
        if !now {
            return;
        }
        state.phase = Phase::Over;
        let (there, back) = (Way::ToServer, Way::ToClient);
        match fault {
            Fault::RequestLost => self.lose(state, asker, message, there, Gate::Handshakes),
            Fault::ReplyLost => self.lose(state, asker, message, back, Gate::Handshakes),
            Fault::DeadThere => self.lose(state, asker, message, there, Gate::Drop),
            Fault::DeadBack => self.lose(state, asker, message, back, Gate::Drop),
            Fault::Lossy => {
                if let Some(found) = self.0.stage.line(asker, line) {
                    for (way, more) in [(there, 0), (back, 1)] {
                        let seed = self.0.seed.wrapping_mul(2).wrapping_add(more);
                        found.set_faults(way, Faults { seed, ..LOSSY });
                    }
                }
                state.write(EventKind::Done(Action::Lossy(asker, line)));
            }
            Fault::Late => {
                state.write(EventKind::Done(Action::KeptBack(server)));
                state.kept = Some(reached);
            }
            Fault::AskerKilled | Fault::AskerKilledAnswered => self.kill(state, asker),
            Fault::ServerKilled | Fault::ServerKilledAnswering => self.kill(state, server),
            Fault::ServerFrozen => self.freeze(state, server),
            Fault::AskerFrozen => self.freeze(state, asker),
            _ => {}
        }
    }

    fn act_on_write(&self, state: &mut State, reached: &Reached, fault: Fault, party: Party) {
        let moment = match fault {
            Fault::KilledBefore => BEFORE_APPEND,
            Fault::KilledUnsynced | Fault::Frozen => AFTER_APPEND,
            Fault::KilledSynced => AFTER_SYNC,
            _ => AFTER_INDEX,
        };
        if reached.party != party || reached.point != Point::Store(moment.into()) {
            return;
        }
        state.phase = Phase::Over;
        match fault {
            Fault::Frozen => self.freeze(state, party),
            _ => self.kill(state, party),
        }
    }

    /// Releases the delayed request when the same question was asked again and answered.
    fn let_late_go(&self, state: &mut State, reached: &Reached) {
        let again = match self.target_message() {
            Some((asker, message)) => {
                reached.party == asker && reached.point == Point::Answered(message.clone())
            }
            None => false,
        };
        if again && let Some(kept) = state.kept.take() {
            state.write(EventKind::Done(Action::LetGo(kept.party)));
        }
    }

    pub(super) fn let_go(&self) {
        let mut state = self.state();
        if let Some(kept) = state.kept.take() {
            state.write(EventKind::Done(Action::LetGo(kept.party)));
        }
    }
}

//! A run told step by step, and drawn as a sequence diagram: who asked whom, what was lost, who was killed, what was
//! written.

use super::{
    matrix::called,
    record::{Deed, Event, Happened},
    stage::PARTIES,
};
use farthing_kit::{
    points::{Message, Party, Point},
    relay::Way,
};
use farthing_node::card::RoleName;
use farthing_store::probe::AFTER_SYNC;
use serde::Serialize;

/// What a step shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The customer does something.
    Command,
    /// A question on its way.
    Ask,
    /// An answer on its way.
    Answer,
    /// Something arrives after other things have happened.
    Arrival,
    /// Somebody waits no longer.
    GaveUp,
    /// Something is durable.
    Write,
    /// Something goes wrong.
    Fault,
    /// Something is whole again.
    Mended,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 8] = [
        Kind::Command,
        Kind::Ask,
        Kind::Answer,
        Kind::Arrival,
        Kind::GaveUp,
        Kind::Write,
        Kind::Fault,
        Kind::Mended,
    ];
}

/// One step: a line of text, and what is drawn beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When since the beginning (ms).
    pub ms: u64,
    /// What it shows.
    pub kind: Kind,
    /// In words.
    pub text: String,
    /// On whose line, counted in [`PARTIES`].
    pub of: usize,
    /// To whose line the arrow goes.
    pub to: Option<usize>,
    /// At which step it arrives, where it arrives.
    pub arrives: Option<usize>,
    /// What stands on the arrow, or at the mark.
    pub label: String,
}

/// A question that was asked, as far as it is known.
struct Call {
    asker: Party,
    message: Message,
    asked: usize,
    arrived: bool,
    answering: Option<usize>,
    /// Whoever asked has been answered, or waits no longer.
    over: bool,
    /// The server that had it is dead.
    dead: bool,
}

/// Tells a run.
#[derive(Default)]
struct Teller {
    steps: Vec<Step>,
    calls: Vec<Call>,
}

/// The steps of a run.
#[must_use]
pub fn tell(events: &[Event]) -> Vec<Step> {
    let mut teller = Teller::default();
    for event in events {
        match &event.what {
            Happened::Done(deed) => teller.done(event.ms, deed),
            Happened::Reached(party, point) => teller.reached(event.ms, *party, point),
        }
    }
    teller.steps
}

fn index(party: Party) -> usize {
    PARTIES.iter().position(|one| *one == party).unwrap_or_default()
}

impl Teller {
    fn step(&mut self, ms: u64, kind: Kind, of: Party, label: &str, text: String) -> usize {
        self.steps.push(Step {
            ms,
            kind,
            text,
            of: index(of),
            to: None,
            arrives: None,
            label: label.to_owned(),
        });
        self.steps.len() - 1
    }

    fn reached(&mut self, ms: u64, party: Party, point: &Point) {
        let who = called(party);
        match point {
            Point::BeforeAsking(message) => {
                let (server, question) = (message.server, &message.question);
                let text = format!("the {who} asks the {server}: {question}");
                let asked = self.step(ms, Kind::Ask, party, question, text);
                self.point_to(asked, Party::Node(server));
                self.calls.push(Call {
                    asker: party,
                    message: message.clone(),
                    asked,
                    arrived: false,
                    answering: None,
                    over: false,
                    dead: false,
                });
            }
            Point::Asked(message) => self.arrived(ms, message),
            Point::BeforeAnswering(message) => self.answers(ms, message),
            Point::Answered(message) => self.answered(ms, party, message),
            Point::Unanswered(message) => {
                let (server, question) = (message.server, &message.question);
                if let Some(call) = self.open(|call| call.asker == party && call.message == *message) {
                    call.over = true;
                }
                let text = format!("the {who} waits no longer for the {server}: {question}");
                self.step(ms, Kind::GaveUp, party, "no answer", text);
            }
            Point::Store(name) if name == AFTER_SYNC => {
                self.step(
                    ms,
                    Kind::Write,
                    party,
                    "written",
                    format!("the {who} has written, durably"),
                );
            }
            Point::Store(_) => {}
        }
    }

    fn point_to(&mut self, step: usize, to: Party) {
        if let Some(step) = self.steps.get_mut(step) {
            step.to = Some(index(to));
        }
    }

    fn arrive(&mut self, step: usize, at: usize) {
        if let Some(step) = self.steps.get_mut(step) {
            step.arrives = Some(at);
        }
    }

    /// The first call that is not over and fits.
    fn open(&mut self, fits: impl Fn(&Call) -> bool) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| !call.over && fits(call))
    }

    /// Where something arrives: with the step that it left, if nothing else has happened since.
    fn arrival(&mut self, left: usize, ms: u64, of: Party, text: String) -> usize {
        if left + 1 == self.steps.len() {
            return left;
        }
        self.step(ms, Kind::Arrival, of, "", text)
    }

    fn arrived(&mut self, ms: u64, message: &Message) {
        let waiting = |call: &Call| call.message == *message && !call.arrived;
        let found = self.calls.iter().position(|call| !call.over && waiting(call));
        // Given up by whoever asked, and still on its way.
        let found = found.or_else(|| self.calls.iter().rposition(waiting));
        let Some(call) = found.and_then(|index| self.calls.get_mut(index)) else {
            return;
        };
        call.arrived = true;
        let (asked, asker) = (call.asked, called(call.asker));
        let text = format!(
            "the {}’s “{}” arrives at the {}",
            asker, message.question, message.server
        );
        let at = self.arrival(asked, ms, Party::Node(message.server), text);
        self.arrive(asked, at);
    }

    fn answers(&mut self, ms: u64, message: &Message) {
        let found = self.calls.iter().position(|call| {
            call.message == *message && call.arrived && call.answering.is_none() && !call.dead
        });
        let (server, question) = (message.server, &message.question);
        let asker = found
            .and_then(|index| self.calls.get(index))
            .map(|call| call.asker);
        let to = asker.map_or("asker", called);
        let text = format!("the {server} answers the {to}: {question}");
        let step = self.step(ms, Kind::Answer, Party::Node(server), question, text);
        if let Some(call) = found.and_then(|index| self.calls.get_mut(index)) {
            call.answering = Some(step);
        }
        if let Some(asker) = asker {
            self.point_to(step, asker);
        }
    }

    fn answered(&mut self, ms: u64, party: Party, message: &Message) {
        let Some(call) =
            self.open(|call| call.asker == party && call.message == *message && call.answering.is_some())
        else {
            return;
        };
        call.over = true;
        let Some(left) = call.answering else { return };
        let text = format!(
            "the {}’s answer to “{}” arrives",
            message.server, message.question
        );
        let at = self.arrival(left, ms, party, text);
        self.arrive(left, at);
    }

    /// Nothing that a party had asked is answered to it any more, and it answers nothing that it had been asked.
    fn bury(&mut self, dead: Party) {
        for call in &mut self.calls {
            let was_asked = Party::Node(call.message.server) == dead && call.arrived;
            call.over |= was_asked || call.asker == dead;
            call.dead |= was_asked;
        }
    }

    fn done(&mut self, ms: u64, deed: &Deed) {
        let (kind, of, label, text) = told(deed);
        if let Deed::Killed(dead) = deed {
            self.bury(*dead);
        }
        self.step(ms, kind, of, &label, text);
    }
}

/// What kind of thing was done, to whom, in a word or two, and in a sentence.
fn told(deed: &Deed) -> (Kind, Party, String, String) {
    let the = |kind: Kind, of: &Party, label: &str, does: &str| {
        (kind, *of, label.to_owned(), format!("the {} {does}", called(*of)))
    };
    match deed {
        Deed::Runs(command) => {
            let text = format!("the customer types {command}");
            (Kind::Command, Party::Wallet, command.clone(), text)
        }
        Deed::Ends(how) => {
            let text = format!("the command ends: {how}");
            (Kind::Command, Party::Wallet, String::new(), text)
        }
        Deed::Killed(of) => the(Kind::Fault, of, "killed", "is killed (SIGKILL)"),
        Deed::Restarted(of) => the(Kind::Mended, of, "restarted", "is started again"),
        Deed::Frozen(of) => the(Kind::Fault, of, "frozen", "is frozen (SIGSTOP)"),
        Deed::Thawed(of) => the(Kind::Mended, of, "goes on", "goes on (SIGCONT)"),
        Deed::Cut(asker, server, way) => told_of_cut(*asker, *server, *way),
        Deed::Lossy(asker, server) => {
            let line = line(*asker, *server);
            let text = format!("from now on 30 % of the datagrams {line} are lost");
            (Kind::Fault, *asker, "lossy line".into(), text)
        }
        Deed::Healed(asker, server) => {
            let text = format!("nothing is lost any more {}", line(*asker, *server));
            (Kind::Mended, *asker, "line healed".into(), text)
        }
        Deed::KeptBack(of) => the(Kind::Fault, of, "kept back", "does not look at it yet"),
        Deed::LetGo(of) => the(Kind::Mended, of, "looked at", "looks at what was kept back"),
        Deed::DiskFull(of) => {
            let text = format!("there is no room on the disk of the {}", called(*of));
            (Kind::Fault, *of, "disk full".into(), text)
        }
        Deed::DiskFree(of) => {
            let text = format!("there is room again for the {}", called(*of));
            (Kind::Mended, *of, "disk free".into(), text)
        }
        Deed::Failed(why) => (Kind::Fault, Party::Wallet, "failed".into(), why.clone()),
    }
}

/// The same of a line that is cut in one direction.
fn told_of_cut(asker: Party, server: RoleName, way: Way) -> (Kind, Party, String, String) {
    let (of, from) = match way {
        Way::ToServer => (asker, called(asker)),
        Way::ToClient => (Party::Node(server), server.as_str()),
    };
    let line = line(asker, server);
    let text = format!("from now on what the {from} says is lost {line}");
    (Kind::Fault, of, "line cut".into(), text)
}

fn line(asker: Party, server: RoleName) -> String {
    format!("between the {} and the {server}", called(asker))
}

#[cfg(test)]
mod tests;

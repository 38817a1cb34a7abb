//! The steps of a run, for a list and a sequence diagram: questions, answers, losses, killed processes and writes.

use super::{
    matrix::called,
    record::{Action, Event, EventKind},
    stage::PARTIES,
};
use farthing_kit::{
    line::Way,
    points::{Message, Party, Point},
};
use farthing_node::card::RoleName;
use farthing_store::probe::AFTER_SYNC;
use serde::Serialize;

/// The kind of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A command of the customer.
    Command,
    /// A question is sent.
    Ask,
    /// An answer is sent.
    Answer,
    /// A question or an answer arrives after other events.
    Arrival,
    /// A party gives up a question.
    GaveUp,
    /// A write is durable.
    Write,
    /// A fault happens.
    Fault,
    /// A fault is mended.
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

/// One step: a line of text, and its part of the diagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The time since the beginning of the run (ms).
    pub ms: u64,
    /// The kind of the step.
    pub kind: Kind,
    /// The text.
    pub text: String,
    /// The index of the party in [`PARTIES`].
    pub of: usize,
    /// The index of the party to which the arrow goes.
    pub to: Option<usize>,
    /// The step at which it arrives, if it arrives.
    pub arrives: Option<usize>,
    /// The text on the arrow or at the mark.
    pub label: String,
}

/// The state of a question.
struct Call {
    asker: Party,
    message: Message,
    asked: usize,
    arrived: bool,
    answering: Option<usize>,
    /// Whether the asker has the answer or has given up.
    over: bool,
    /// Whether the server was killed after the question had arrived.
    dead: bool,
}

/// Builds the steps of a run.
#[derive(Default)]
struct StepBuilder {
    steps: Vec<Step>,
    calls: Vec<Call>,
}

/// Returns the steps of a run.
#[must_use]
pub fn tell(events: &[Event]) -> Vec<Step> {
    let mut builder = StepBuilder::default();
    for event in events {
        match &event.what {
            EventKind::Done(action) => builder.done(event.ms, action),
            EventKind::Reached(party, point) => builder.reached(event.ms, *party, point),
        }
    }
    builder.steps
}

fn index(party: Party) -> usize {
    PARTIES.iter().position(|one| *one == party).unwrap_or_default()
}

impl StepBuilder {
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
                let text = format!("the {who} stops waiting for the {server}: {question}");
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

    /// The first open call that `fits` selects.
    fn open(&mut self, fits: impl Fn(&Call) -> bool) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| !call.over && fits(call))
    }

    /// Returns the step of an arrival: the step of the departure if it is the last one, else a new step.
    fn arrival(&mut self, left: usize, ms: u64, of: Party, text: String) -> usize {
        if left + 1 == self.steps.len() {
            return left;
        }
        self.step(ms, Kind::Arrival, of, "", text)
    }

    fn arrived(&mut self, ms: u64, message: &Message) {
        let waiting = |call: &Call| call.message == *message && !call.arrived;
        let found = self.calls.iter().position(|call| !call.over && waiting(call));
        // Otherwise the asker has given up this question, and it is still on its way.
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

    /// Closes the questions of a killed party, and the questions that it has received. None of them is answered.
    fn bury(&mut self, dead: Party) {
        for call in &mut self.calls {
            let was_asked = Party::Node(call.message.server) == dead && call.arrived;
            call.over |= was_asked || call.asker == dead;
            call.dead |= was_asked;
        }
    }

    fn done(&mut self, ms: u64, action: &Action) {
        let (kind, of, label, text) = told(action);
        if let Action::Killed(dead) = action {
            self.bury(*dead);
        }
        self.step(ms, kind, of, &label, text);
    }
}

/// The kind, the party, the label and the text of an action.
fn told(action: &Action) -> (Kind, Party, String, String) {
    let the = |kind: Kind, of: &Party, label: &str, does: &str| {
        (kind, *of, label.to_owned(), format!("the {} {does}", called(*of)))
    };
    match action {
        Action::Runs(command) => {
            let text = format!("the customer types {command}");
            (Kind::Command, Party::Wallet, command.clone(), text)
        }
        Action::Ends(how) => {
            let text = format!("the command ends: {how}");
            (Kind::Command, Party::Wallet, String::new(), text)
        }
        Action::Operates(command) => {
            let merchant = Party::Node(RoleName::Merchant);
            let text = format!("the merchant’s operator types {command}");
            (Kind::Command, merchant, command.clone(), text)
        }
        Action::Killed(of) => the(Kind::Fault, of, "killed", "is killed (SIGKILL)"),
        Action::Restarted(of) => the(Kind::Mended, of, "restarted", "is started again"),
        Action::Frozen(of) => the(Kind::Fault, of, "frozen", "is frozen (SIGSTOP)"),
        Action::Thawed(of) => the(Kind::Mended, of, "goes on", "goes on (SIGCONT)"),
        Action::Cut(asker, server, way) => told_of_cut(*asker, *server, *way),
        Action::Lossy(asker, server) => {
            let line = line(*asker, *server);
            let text = format!("from now on 30 % of the datagrams {line} are lost");
            (Kind::Fault, *asker, "lossy line".into(), text)
        }
        Action::Healed(asker, server) => {
            let text = format!("nothing more is lost {}", line(*asker, *server));
            (Kind::Mended, *asker, "line healed".into(), text)
        }
        Action::KeptBack(of) => the(Kind::Fault, of, "delayed", "delays the request"),
        Action::LetGo(of) => the(Kind::Mended, of, "processed", "processes the delayed request"),
        Action::DiskFull(of) => {
            let text = format!("the disk of the {} is full", called(*of));
            (Kind::Fault, *of, "disk full".into(), text)
        }
        Action::DiskFree(of) => {
            let text = format!("the disk of the {} has room again", called(*of));
            (Kind::Mended, *of, "disk free".into(), text)
        }
        Action::Failed(why) => (Kind::Fault, Party::Wallet, "failed".into(), why.clone()),
    }
}

/// The same for a line that is cut in one direction.
fn told_of_cut(asker: Party, server: RoleName, way: Way) -> (Kind, Party, String, String) {
    let (of, from) = match way {
        Way::ToServer => (asker, called(asker)),
        Way::ToClient => (Party::Node(server), server.as_str()),
    };
    let line = line(asker, server);
    let text = format!("from now on all datagrams of the {from} are lost {line}");
    (Kind::Fault, of, "line cut".into(), text)
}

fn line(asker: Party, server: RoleName) -> String {
    format!("between the {} and the {server}", called(asker))
}

#[cfg(test)]
mod tests;

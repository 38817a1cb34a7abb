//! Farthing's postage: a refill is paid with a coin, a meter prints, and stations accept each letter once.
//!
//! **Follows** `docs/POSTAGE.md`: the payment on the office's account, the bank's signed statement, the refill, the meter
//! with its device, two letters to the addresses of two stations, the reports, and the list of revoked meters. The office
//! writes a refill with its source, so the same statement gets the same refill. The meter writes a print with its job, and
//! only then the device counts it and the indicium leaves. An indicium that has left can be had again.
//!
//! **Leaves out** the certificate (it is there), dates and purges, tariffs, sequence windows and registers in indicia,
//! audits, settlement, several refills and offices, and the payment that is given up (`payment` has it). A refill and a
//! letter cost 1 each.
//!
//! There are two *sales*. The first is the refill for the money; a judge decides it. The second is the carrying of a letter
//! for the refill.

mod types;

pub use types::{
    ByPlace, COPIES, Defect, Deposit, KEEPS_ITS_OFFICE, Message, Meter, Numbers, OFFICE_CHEATS, Place, State,
    Step,
};

use super::purse_and_till;
use crate::{
    facts::{Facts, Good, Paper, Party, Sale, Verdict},
    frame::{Protocol, Scenario},
};
use std::collections::BTreeSet;

/// The scenarios of this system.
pub const SCENARIOS: [Scenario; 7] = [
    Scenario::FAILURES,
    KEEPS_ITS_OFFICE,
    Scenario::cheating("customer cheats", Party::Customer),
    COPIES,
    OFFICE_CHEATS,
    Scenario::cheating("bank cheats", Party::Bank),
    Scenario::cheating("station cheats", Party::Third),
];

/// The most refills and letters of a run. One is paid, and a second one shows a defect.
const UNITS_MAX: i8 = 2;

/// The system in a scenario, maybe with a planted defect.
#[derive(Debug, Clone)]
pub struct Metered {
    /// The scenario.
    pub scenario: Scenario,
    /// A mistake in the protocol.
    pub defect: Option<Defect>,
}

impl Protocol for Metered {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.scenario
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        Some(match party {
            Party::Customer => "customer, meter",
            Party::Merchant => "office",
            Party::Bank => "bank",
            Party::Third => "stations",
        })
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        use Party::{Bank, Customer, Merchant, Third};
        match message {
            Message::Deposit => (Customer, Bank, "deposit for the office, with a text"),
            Message::Statement => (Bank, Customer, "deposited: the signed statement"),
            Message::Ask => (Customer, Merchant, "the statement: a refill?"),
            Message::Refill(1) => (Merchant, Customer, "refill"),
            Message::Refill(_) => (Merchant, Customer, "another refill"),
            Message::WrongRefill => (Merchant, Customer, "a refill for something else"),
            Message::Letter(Place::Here, 1) => (Customer, Third, "letter here, print 1"),
            Message::Letter(Place::Here, _) => (Customer, Third, "letter here, print 2"),
            Message::Letter(Place::There, 1) => (Customer, Third, "letter there, print 1"),
            Message::Letter(Place::There, _) => (Customer, Third, "letter there, print 2"),
            Message::Altered(_) => (Customer, Third, "letter there, with the print for here"),
            Message::Report(Place::Here, _) => (Third, Merchant, "report of the station here"),
            Message::Report(Place::There, _) => (Third, Merchant, "report of the station there"),
            Message::List => (Merchant, Third, "list: the meter is revoked"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::Deposit => match state.deposit {
                Deposit::Kept => {}
                Deposit::Unseen => {
                    state.deposit = Deposit::Credited;
                    out.push(Message::Statement);
                }
                Deposit::Credited | Deposit::Misstated => out.push(Message::Statement),
            },
            Message::Statement => state.has_statement = true,
            Message::Ask => self.sell(state, out),
            Message::Refill(number) => state.refill = state.refill.max(number),
            // The meter refuses it.
            Message::WrongRefill => {}
            Message::Letter(to, number) => self.scan(state, to, number),
            Message::Altered(_) => {
                // The number is unknown there, so only the address tells.
                if self.has(Defect::AddressUnchecked) && !state.listed && state.carried.there == 0 {
                    state.carried.there = 1;
                }
            }
            Message::Report(of, numbers) => {
                let reported = state.reported.at_mut(of);
                *reported = reported.and(numbers);
                // One number at two addresses: two digests.
                let two = state
                    .reported
                    .at(Place::Here)
                    .meets(state.reported.at(Place::There));
                if two && !self.has(Defect::TwoDigestsIgnored) {
                    state.revoked = true;
                    out.push(Message::List);
                }
            }
            Message::List => state.listed = true,
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        if self.has(Defect::RefillAppliedTwice) && state.meter.refilled > 0 {
            steps.push(Step::Apply);
        }
        steps.extend(self.cheats(state));
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        use Party::{Bank, Customer, Merchant, Third};
        match step {
            Step::Pay => (Customer, "pays for a refill"),
            Step::Ask => (Customer, "asks for the refill"),
            Step::Fetch => (Customer, "takes the refill that was shown to a judge"),
            Step::Apply => (Customer, "applies the refill"),
            Step::Print(Place::Here) => (Customer, "prints for here: balance down"),
            Step::Print(Place::There) => (Customer, "prints for there: balance down"),
            Step::Post(Place::Here) => (Customer, "posts the letter for here"),
            Step::Post(Place::There) => (Customer, "posts the letter for there"),
            Step::WriteDown => (Customer, "writes the balance down"),
            Step::Answer => (Merchant, "shows the refill to a judge who has the statement"),
            Step::Report(Place::Here) => (Third, "the station here reports"),
            Step::Report(Place::There) => (Third, "the station there reports"),
            Step::List => (Merchant, "gives the list to the stations"),
            Step::Backup => (Customer, "cheats: copies the meter’s state"),
            Step::PutBack => (Customer, "cheats: puts the older state back"),
            Step::Alter => (Customer, "cheats: writes another address on the letter"),
            Step::Copy => (Customer, "cheats: copies the meter with its device"),
            Step::PostByCopy(Place::Here) => (Customer, "cheats: the copy prints for here"),
            Step::PostByCopy(Place::There) => (Customer, "cheats: the copy prints for there"),
            Step::SignWrong => (Merchant, "cheats: signs a refill for something else"),
            Step::Keep => (Bank, "cheats: takes the coin, and credits nobody"),
            Step::Misstate => (Bank, "cheats: credits nobody, and signs that it has"),
            Step::Drop => (Third, "cheats: accepts the letter, and does not carry it"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Pay => {
                state.begun = true;
                out.push(Message::Deposit);
            }
            Step::Ask => out.push(Message::Ask),
            Step::Fetch => state.refill = state.refill.max(1),
            Step::Apply | Step::Print(_) | Step::Post(_) | Step::WriteDown => {
                if self.opens(state) {
                    self.meter(state, step, out);
                }
            }
            Step::Answer => {
                self.sell(state, out);
                state.shown = true;
            }
            Step::Report(of) => out.push(Message::Report(of, state.accepted.at(of))),
            Step::List => out.push(Message::List),
            Step::Backup => state.backup = Some(state.meter),
            Step::PutBack => state.meter = state.backup.unwrap_or(state.meter),
            Step::Alter => out.extend(state.meter.jobs.at(Place::Here).map(Message::Altered)),
            Step::Copy => state.copy = Some(state.meter),
            Step::PostByCopy(to) => {
                if let Some(copy) = state.copy.as_mut() {
                    if copy.jobs.at(to).is_none() {
                        copy.print(to);
                    }
                    out.extend(copy.jobs.at(to).map(|number| Message::Letter(to, number)));
                }
            }
            Step::SignWrong => {
                state.wrong = true;
                out.push(Message::WrongRefill);
            }
            Step::Keep => state.deposit = Deposit::Kept,
            Step::Misstate => state.deposit = Deposit::Misstated,
            Step::Drop => {
                let number = state.meter.jobs.at(Place::Here).unwrap_or_default();
                let accepted = state.accepted.at_mut(Place::Here);
                *accepted = accepted.with(number);
            }
        }
    }

    fn crash(&self, state: &mut State, party: Party) {
        if party == Party::Customer {
            state.in_hand = None;
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        match (state.has_statement, state.refill) {
            (false, _) => steps.push(Step::Pay),
            (true, 0) => steps.extend(
                [Step::Ask, Step::Fetch]
                    .into_iter()
                    .take(1 + usize::from(state.shown)),
            ),
            (true, _) => {}
        }
        if state.refill > state.meter.refilled {
            steps.push(Step::Apply);
        }
        for place in Place::ALL {
            match state.meter.jobs.at(place) {
                None if state.in_hand.is_some() => steps.extend([Step::Post(place), Step::WriteDown]),
                None if state.meter.balance() > 0 => steps.push(Step::Print(place)),
                None => {}
                Some(_) => steps.push(Step::Post(place)),
            }
        }
        if state.has_statement && !state.shown {
            steps.push(Step::Answer);
        }
        let unreported = |of: &Place| state.accepted.at(*of) != state.reported.at(*of);
        steps.extend(Place::ALL.into_iter().filter(unreported).map(Step::Report));
        if state.revoked && !state.listed {
            steps.push(Step::List);
        }
        steps
    }

    fn facts(&self, state: &State) -> Facts {
        let credited = state.deposit == Deposit::Credited;
        let spent = state.deposit != Deposit::Unseen;
        let postage = |has: bool| has.then_some(Good::AsDescribed);
        let carried = state.carried.here + state.carried.there;
        let sold = credited && state.sold > 0;
        let mut sales = vec![
            Sale {
                given: spent,
                received: sold,
                readable: postage(state.refill > 0),
                offered: postage(state.refill > 0 || state.shown),
            },
            Sale::direct(state.refill > 0, sold, carried > 0),
        ];
        if carried > 1 {
            sales.push(Sale::direct(false, false, true));
        }
        Facts {
            money: purse_and_till((!spent).into(), credited.into()),
            agreed: i8::from(state.begun),
            sales,
            customer_papers: papers(state.has_statement, state.refill > 0, false),
            merchant_papers: papers(state.sold > 0, state.shown, state.wrong),
            exposed: (carried > 0)
                .then_some("the indicium names the meter, which joins its letters and its refills"),
            open: waits(state),
        }
    }

    fn judge(&self, papers: &BTreeSet<Paper>) -> Verdict {
        let has = |paper: Paper| papers.contains(&paper);
        let any = self.has(Defect::JudgeTakesAnyRefill) && has(Paper::Receipt(false));
        match (
            has(Paper::Contract) && has(Paper::Paid),
            has(Paper::Receipt(true)),
        ) {
            (false, _) => Verdict::Undecided,
            (true, true) => Verdict::Delivered(Good::AsDescribed),
            (true, false) if any || self.has(Defect::JudgeWantsNoRefill) => {
                Verdict::Delivered(Good::AsDescribed)
            }
            // The office owes the refill.
            (true, false) => Verdict::NotDelivered,
        }
    }
}

/// The certificate, the bank's statement, the refill for the deposit, and another refill.
fn papers(statement: bool, refill: bool, wrong: bool) -> BTreeSet<Paper> {
    let shown = [
        (true, Paper::Contract),
        (statement, Paper::Paid),
        (refill, Paper::Receipt(true)),
        (wrong, Paper::Receipt(false)),
    ];
    shown
        .into_iter()
        .filter_map(|(has, paper)| has.then_some(paper))
        .collect()
}

fn waits(state: &State) -> Vec<(Party, &'static str)> {
    let mut open = Vec::new();
    if state.begun && !state.has_statement {
        open.push((Party::Customer, "the wallet waits for the bank’s statement"));
    }
    if state.locked || state.revoked {
        open.push((Party::Customer, "the meter of an honest customer prints no more"));
    }
    let two = state.accepted.here.meets(state.accepted.there);
    if two && !state.listed {
        open.push((
            Party::Merchant,
            "a meter has printed one number for two addresses, and the stations do not refuse it",
        ));
    }
    open
}

impl Metered {
    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// The office signs the refill for the deposit, or gives the same again.
    fn sell(&self, state: &mut State, out: &mut Vec<Message>) {
        let again = self.has(Defect::RefillSoldTwice) && state.sold < UNITS_MAX;
        if state.sold == 0 || again {
            state.sold += 1;
        }
        out.push(Message::Refill(state.sold));
    }

    /// The station of a letter accepts it once.
    fn scan(&self, state: &mut State, to: Place, number: i8) {
        if state.listed {
            return;
        }
        let accepted = state.accepted.at_mut(to);
        let is_new = !accepted.has(number);
        *accepted = accepted.with(number);
        let carried = state.carried.at_mut(to);
        if is_new || self.has(Defect::DuplicateAccepted) {
            *carried = UNITS_MAX.min(carried.saturating_add(1));
        }
    }

    /// Opens the meter. It locks itself if its state is older than its device.
    fn opens(&self, state: &mut State) -> bool {
        let is_older = state.meter.writes() < state.counted;
        if is_older && !self.has(Defect::RollbackUnlocked) {
            state.locked = true;
        }
        if !state.locked {
            state.counted = state.counted.max(state.meter.writes());
        }
        !state.locked
    }

    fn meter(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Apply => {
                let again = self.has(Defect::RefillAppliedTwice) && state.meter.refilled < UNITS_MAX;
                if state.meter.refilled < state.refill || again {
                    state.meter.refilled += 1;
                }
            }
            Step::Print(to) => {
                let unwritten = self.has(Defect::IndiciumBeforeWrite);
                if unwritten || self.has(Defect::PrintNotRepeated) {
                    state.in_hand = Some((to, state.meter.sequence.saturating_add(1)));
                }
                if !unwritten {
                    state.meter.print(to);
                }
            }
            Step::Post(to) => {
                let in_hand = state
                    .in_hand
                    .filter(|(of, _)| *of == to)
                    .map(|(_, number)| number);
                let written = state
                    .meter
                    .jobs
                    .at(to)
                    .filter(|_| !self.has(Defect::PrintNotRepeated));
                out.extend(written.or(in_hand).map(|number| Message::Letter(to, number)));
            }
            Step::WriteDown => {
                let unwritten = state.in_hand.filter(|_| self.has(Defect::IndiciumBeforeWrite));
                if let Some((to, _)) = unwritten {
                    state.meter.print(to);
                    state.in_hand = None;
                }
            }
            _ => {}
        }
    }

    fn cheats(&self, state: &State) -> Vec<Step> {
        let cheats = self.scenario.cheats;
        let mut steps = Vec::new();
        if self.scenario == COPIES {
            steps.push(Step::Copy);
            let copy = state.copy.unwrap_or_default();
            let prints = |to: &Place| copy.balance() > 0 || copy.jobs.at(*to).is_some();
            steps.extend(Place::ALL.into_iter().filter(prints).map(Step::PostByCopy));
        } else if cheats.has(Party::Customer) {
            steps.push(Step::Backup);
            steps.extend(state.backup.map(|_| Step::PutBack));
            steps.extend(state.meter.jobs.at(Place::Here).map(|_| Step::Alter));
        }
        if cheats.has(Party::Merchant) && !state.wrong {
            steps.push(Step::SignWrong);
        }
        if cheats.has(Party::Bank) && state.deposit == Deposit::Unseen {
            steps.extend([Step::Keep, Step::Misstate]);
        }
        if cheats.has(Party::Third) && state.meter.jobs.at(Place::Here).is_some() {
            steps.push(Step::Drop);
        }
        steps
    }
}

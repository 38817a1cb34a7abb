//! The arrivals in a diagram: of lost, repeated and late messages.

use super::*;

const ESCROW: Party = Party::Node(RoleName::Escrow);

fn hold() -> Message {
    Message {
        server: RoleName::Escrow,
        question: "hold".into(),
    }
}

fn told(events: Vec<EventKind>) -> Vec<Step> {
    let event = |(ms, what)| Event { ms, what };
    tell(&(0..).zip(events).map(event).collect::<Vec<_>>())
}

fn at(party: Party, point: fn(Message) -> Point) -> EventKind {
    EventKind::Reached(party, point(hold()))
}

/// The arrows: the kind of each, and the step at which it arrives.
fn arrows(steps: &[Step]) -> Vec<(Kind, Option<usize>)> {
    let arrows = steps.iter().filter(|step| step.to.is_some());
    arrows.map(|step| (step.kind, step.arrives)).collect()
}

#[test]
fn a_lost_answer_does_not_arrive_and_the_next_one_does() {
    let cut = Action::Cut(Party::Wallet, RoleName::Escrow, Way::ToClient);
    let steps = told(vec![
        at(Party::Wallet, Point::BeforeAsking),
        at(ESCROW, Point::Asked),
        at(ESCROW, Point::BeforeAnswering),
        EventKind::Done(cut),
        at(Party::Wallet, Point::Unanswered),
        at(Party::Wallet, Point::BeforeAsking),
        at(ESCROW, Point::Asked),
        at(ESCROW, Point::BeforeAnswering),
        at(Party::Wallet, Point::Answered),
    ]);
    let arrived = [
        (Kind::Ask, Some(0)),
        (Kind::Answer, None),
        (Kind::Ask, Some(4)),
        (Kind::Answer, Some(5)),
    ];
    assert_eq!(arrows(&steps), arrived);
    assert!(
        steps
            .iter()
            .any(|step| step.text == "the customer stops waiting for the escrow: hold")
    );
}

#[test]
fn a_restarted_server_does_not_answer_a_question_from_before_it_was_killed() {
    let steps = told(vec![
        at(Party::Wallet, Point::BeforeAsking),
        at(ESCROW, Point::Asked),
        EventKind::Done(Action::Killed(ESCROW)),
        at(Party::Wallet, Point::Unanswered),
        EventKind::Done(Action::Restarted(ESCROW)),
        at(Party::Wallet, Point::BeforeAsking),
        at(ESCROW, Point::Asked),
        at(ESCROW, Point::BeforeAnswering),
        at(Party::Wallet, Point::Answered),
    ]);
    assert_eq!(
        arrows(&steps),
        [
            (Kind::Ask, Some(0)),
            (Kind::Ask, Some(4)),
            (Kind::Answer, Some(5))
        ]
    );
}

#[test]
fn a_late_request_arrives_at_its_own_step() {
    let steps = told(vec![
        at(Party::Wallet, Point::BeforeAsking),
        EventKind::Reached(ESCROW, Point::Store(AFTER_SYNC.into())),
        at(Party::Wallet, Point::Unanswered),
        at(ESCROW, Point::Asked),
    ]);
    assert_eq!(arrows(&steps), [(Kind::Ask, Some(3))]);
    assert_eq!(steps[3].kind, Kind::Arrival);
}

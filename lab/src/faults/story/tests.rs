//! What arrives where in a diagram: what is lost, what is asked again, and what is late.

use super::*;

const ESCROW: Party = Party::Node(RoleName::Escrow);

fn hold() -> Message {
    Message {
        server: RoleName::Escrow,
        question: "hold".into(),
    }
}

fn told(events: Vec<Happened>) -> Vec<Step> {
    let event = |(ms, what)| Event { ms, what };
    tell(&(0..).zip(events).map(event).collect::<Vec<_>>())
}

fn at(party: Party, point: fn(Message) -> Point) -> Happened {
    Happened::Reached(party, point(hold()))
}

/// Each arrow: what it is, and the step at which it arrives.
fn arrows(steps: &[Step]) -> Vec<(Kind, Option<usize>)> {
    let arrows = steps.iter().filter(|step| step.to.is_some());
    arrows.map(|step| (step.kind, step.arrives)).collect()
}

#[test]
fn an_answer_that_is_lost_arrives_nowhere_and_the_next_one_does() {
    let cut = Deed::Cut(Party::Wallet, RoleName::Escrow, Way::ToClient);
    let steps = told(vec![
        at(Party::Wallet, Point::BeforeAsking),
        at(ESCROW, Point::Asked),
        at(ESCROW, Point::BeforeAnswering),
        Happened::Done(cut),
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
            .any(|step| step.text == "the customer waits no longer for the escrow: hold")
    );
}

#[test]
fn what_a_killed_server_was_asked_it_does_not_answer_when_it_is_back() {
    let steps = told(vec![
        at(Party::Wallet, Point::BeforeAsking),
        at(ESCROW, Point::Asked),
        Happened::Done(Deed::Killed(ESCROW)),
        at(Party::Wallet, Point::Unanswered),
        Happened::Done(Deed::Restarted(ESCROW)),
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
fn a_request_that_is_on_its_way_for_long_arrives_where_it_does() {
    let steps = told(vec![
        at(Party::Wallet, Point::BeforeAsking),
        Happened::Reached(ESCROW, Point::Store(AFTER_SYNC.into())),
        at(Party::Wallet, Point::Unanswered),
        at(ESCROW, Point::Asked),
    ]);
    assert_eq!(arrows(&steps), [(Kind::Ask, Some(3))]);
    assert_eq!(steps[3].kind, Kind::Arrival);
}

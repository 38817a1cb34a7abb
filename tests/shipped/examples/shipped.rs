//! Explores a flow further than the table of atomicity: `shipped FLOW [silences=N] [states=N] [separate] [uncancelled]
//! [first=bank|escrow|merchant|wallet]`. FLOW is released, sealed, two-released, two-sealed, withdrawal or exchange.

use farthing_model::{
    catalog::Row,
    check::{Checked, Finding},
};
use farthing_shipped::{catalog::BOUND, check::Exploration, model::Bound, stage::Flow, who::Who};

const FLOWS: [(&str, Flow); 6] = [
    ("released", Flow::Released(1)),
    ("sealed", Flow::Sealed(1)),
    ("two-released", Flow::Released(2)),
    ("two-sealed", Flow::Sealed(2)),
    ("withdrawal", Flow::Withdrawal),
    ("exchange", Flow::Exchange),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| args.iter().any(|arg| arg == name);
    let given = |name: &str| args.iter().find_map(|arg| arg.strip_prefix(name));
    let number = |name: &str, or: usize| given(name).map_or(or, |it| it.parse().expect("a number"));
    let flow = FLOWS
        .iter()
        .find(|(name, _)| has(name))
        .expect("the name of a flow");
    let defect = given("first=").map(|name| {
        let is = |who: &Who| format!("{who:?}").eq_ignore_ascii_case(name);
        Who::ALL.into_iter().find(is).expect("the name of a party")
    });
    let exploration = Exploration {
        flow: flow.1,
        bound: Bound {
            silences_max: number("silences=", BOUND.silences_max),
            separate: has("separate"),
            cancels: !has("uncancelled"),
        },
        defect,
    };
    let checked = exploration.check(flow.0, number("states=", 50_000_000));
    print(&checked);
    assert!(checked.failing().is_empty(), "a property fails");
}

fn print(checked: &Checked) {
    for (property, finding) in &checked.findings {
        match finding {
            Finding::Holds => println!("{}: holds", property.name()),
            Finding::NotApplicable(why) => println!("{}: not decided here: {why}", property.name()),
            Finding::Fails { why, run } => {
                println!("{}: fails, {why}", property.name());
                run.iter().for_each(|step| println!("    {}", step.text));
            }
        }
    }
    println!(
        "{} states, depth {}, complete: {}, {:.1} s",
        checked.states,
        checked.depth,
        checked.complete,
        checked.took.as_secs_f64(),
    );
}

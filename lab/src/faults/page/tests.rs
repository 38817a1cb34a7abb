//! The page has every cell, escapes all texts, and loads nothing.

use super::{
    super::{
        audit::Check,
        matrix::{Cell, What, cells},
        run::Ended,
        story::{Kind, Step},
    },
    *,
};
use farthing_kit::points::{Message, Party};
use farthing_node::card::RoleName;
use std::time::Duration;

const NASTY: &str = "</script><b onclick='x'>\"&<!--";

fn places() -> Vec<Place> {
    let message = Message {
        server: RoleName::Escrow,
        question: NASTY.into(),
    };
    let what = [
        What::Message {
            asker: Party::Wallet,
            message,
        },
        What::Write {
            party: Party::Wallet,
            after: None,
        },
    ];
    let place = |what| Place {
        route: Route::Bought,
        what,
        nth: 1,
    };
    what.map(place).into()
}

fn ended(cell: Cell) -> Ended {
    let step = Step {
        ms: 12,
        kind: Kind::Ask,
        text: NASTY.into(),
        of: 0,
        to: Some(2),
        arrives: None,
        label: NASTY.into(),
    };
    let check = Check {
        promise: "money",
        what: NASTY.into(),
        is: "1".into(),
        must_be: "2".into(),
        holds: false,
    };
    Ended {
        route: cell.place.route,
        outcome: CellResult::Violated(vec![NASTY.into()]),
        steps: vec![step],
        checks: vec![check],
        took: Duration::from_millis(7),
        cell: Some(cell),
    }
}

fn written() -> (Results, String) {
    let places = places();
    let results = Results {
        references: Vec::new(),
        cells: cells(&places).into_iter().map(ended).collect(),
        places,
        took: Duration::from_secs(61),
    };
    let info = RunInfo {
        machine: Machine {
            at: jiff::Timestamp::UNIX_EPOCH,
            words: NASTY.into(),
        },
        seed: 3,
    };
    let page = page(&results, &info);
    (results, page)
}

#[test]
fn the_page_has_every_cell_with_its_result_in_words() {
    let (results, page) = written();
    assert_eq!(
        results.cells.len(),
        Fault::ON_MESSAGES.len() + Fault::ON_WRITES.len()
    );
    for number in 0..results.cells.len() {
        assert!(
            page.contains(&format!("href=\"#c{number}\" id=\"m{number}\" aria-label=\"")),
            "{number}"
        );
    }
    let label = escape(&format!(
        "customer writes at its start (2), disk full: violated: {NASTY}"
    ));
    assert!(page.contains(&format!("aria-label=\"{label}\"")), "{label}");
    assert!(page.contains("Promises are broken in 18 cells."));
    assert!(page.contains("1 min 01 s"));
}

#[test]
fn no_text_can_become_markup() {
    let (_, page) = written();
    assert!(!page.contains("<b onclick"));
    assert!(!page.contains("<!--"));
    // Only the page's own scripts are there.
    assert_eq!(page.matches("</script>").count(), 2);
    let data = page
        .split("id=\"data\">")
        .nth(1)
        .unwrap()
        .split("</script>")
        .next()
        .unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let texts = data["texts"].as_array().unwrap();
    assert!(texts.iter().any(|text| text == NASTY));
    assert_eq!(data["cells"].as_array().unwrap().len(), 18);
}

#[test]
fn the_page_loads_nothing() {
    let (_, page) = written();
    for outside in [" src=", "@import", "url(", "fetch(", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let links = page.matches("href=\"").count();
    assert_eq!(links, page.matches("href=\"#").count());
}

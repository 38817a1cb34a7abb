//! The page has a link for every cell, and loads nothing.

use super::{super::run::check_all, *};
use farthing_model::catalog::catalog;

fn written() -> (Results, String) {
    let swaps = catalog()
        .into_iter()
        .filter(|entry| entry.id.starts_with("cashu"));
    let results = check_all(swaps.collect(), false, 100_000, 2);
    let machine = Machine {
        at: jiff::Timestamp::UNIX_EPOCH,
        words: "</script><b>".into(),
    };
    let page = page(&results, &machine);
    (results, page)
}

#[test]
fn every_cell_has_its_finding_in_words() {
    let (results, page) = written();
    let cells = results.rows.len() * Property::ALL.len();
    for number in 0..cells {
        assert!(
            page.contains(&format!("href=\"#c{number}\" id=\"m{number}\" aria-label=\"")),
            "{number}"
        );
    }
    assert!(page.contains("aria-label=\"Cashu swap, no cache, failures, money atomicity: fails\""));
    assert!(page.contains("aria-label=\"Cashu swap, cache kept, failures, money atomicity: holds\""));
    assert!(results.surprises().is_empty());
}

#[test]
fn the_page_loads_nothing_and_no_text_becomes_markup() {
    let (_, page) = written();
    for outside in [" src=", "@import", "url(", "fetch(", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("href=\"").count(), page.matches("href=\"#").count());
    assert_eq!(page.matches("</script>").count(), 2);
}

//! Coins that a bank denies: its blind signature is its promise, and only the coin's own key can have used it up.

use super::{Charge, Conviction, Culprit, Papers, ShownUse, case::Case};
use crate::documents::CoinUse;
use farthing_coin::KeyBook;

/// The coins that a bank has to make good: valid under its list of keys, and not shown to have been used.
pub(super) fn judge(papers: &[Papers], cases: &[Case<'_>]) -> Vec<Conviction> {
    let lists = papers.iter().filter_map(|paper| paper.keys.as_ref());
    let books: Vec<KeyBook> = lists
        .filter_map(|list| KeyBook::new(list.clone(), &list.body.bank).ok())
        .collect();
    let mut convictions: Vec<Conviction> = Vec::new();
    for book in &books {
        for coin in papers.iter().flat_map(|paper| &paper.coins) {
            let issued = book.get(&coin.key_id).is_some_and(|key| coin.verify(key).is_ok());
            let mut uses = papers.iter().flat_map(|paper| &paper.uses);
            let used = uses.any(|shown| {
                (shown.key_id, shown.coin) == (coin.key_id, coin.public) && uses_up(shown, cases)
            });
            let conviction = Conviction {
                culprit: Culprit::Bank(book.list().bank),
                charge: Charge::CoinDenied(coin.public),
                purchase: None,
            };
            if issued && !used && !convictions.contains(&conviction) {
                convictions.push(conviction);
            }
        }
    }
    convictions
}

/// Whether the coin's own key has used it up. What it was held for and what was then aborted has not; nor has a mere
/// question for an exchange.
fn uses_up(shown: &ShownUse, cases: &[Case<'_>]) -> bool {
    let used = &shown.used;
    let released = |case: &Case<'_>| case.purchase.0 == used.digest && case.is_only_aborted();
    let is_final = match used.operation {
        CoinUse::Hold => !cases.iter().any(released),
        CoinUse::Exchange => true,
        CoinUse::ExchangeBegin => false,
    };
    is_final && used.verify_by(&shown.key_id, &shown.coin).is_ok()
}

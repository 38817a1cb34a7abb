//! Coins that a bank denies. Its blind signature is its promise; it breaks it by a denial that it signs without showing
//! that the coin was used up, or that its time has ended.

use super::{
    case::Case,
    conviction::{Charge, Conviction, Culprit},
    papers::{Papers, ShownUse},
};
use crate::{denial::Denial, documents::CoinUse, proofs::proves_exchange};
use farthing_coin::{Coin, Denomination, KeyBook, Signed};

/// The coins that a bank has to make good: valid under one of its lists of keys, denied by it without a good reason, and
/// not shown to have been used up by anything else.
///
/// What a coin was exchanged for may have keys that an older list does not have yet. So whatever is right by any of the
/// bank's lists is right: an accuser who shows an old one convicts nobody.
pub(super) fn judge(papers: &[Papers], cases: &[Case<'_>]) -> Vec<Conviction> {
    let lists = papers.iter().filter_map(|paper| paper.keys.as_ref());
    let books: Vec<KeyBook> = lists
        .filter_map(|list| KeyBook::new(list.clone(), &list.body.bank).ok())
        .collect();
    let mut convictions: Vec<Conviction> = Vec::new();
    for book in &books {
        let bank = book.list().bank;
        let of_bank: Vec<&KeyBook> = books.iter().filter(|other| other.list().bank == bank).collect();
        for coin in papers.iter().flat_map(|paper| &paper.coins) {
            let Some(key) = book.get(&coin.key_id) else {
                continue;
            };
            let conviction = Conviction {
                culprit: Culprit::Bank(bank),
                charge: Charge::CoinDenied(coin.public),
                purchase: None,
            };
            let mut uses = papers.iter().flat_map(|paper| &paper.uses);
            let is_owed = coin.verify(key).is_ok()
                && is_wrongly_denied(papers, coin, key, &of_bank)
                && !uses.any(|shown| is_of(shown, coin) && uses_up(shown, &of_bank, cases));
            if is_owed && !convictions.contains(&conviction) {
                convictions.push(conviction);
            }
        }
    }
    convictions
}

/// Whether the bank has signed a denial of the coin that shows no good reason.
fn is_wrongly_denied(papers: &[Papers], coin: &Coin, key: &Denomination, books: &[&KeyBook]) -> bool {
    let terms = || papers.iter().flat_map(Papers::terms);
    let is_of_bank = |denial: &Signed<Denial>, book: &KeyBook| {
        let bank = &book.list().bank;
        denial.body.bank == *bank && denial.body.names(coin) && denial.verify(bank).is_ok()
    };
    let is_wrong = |denial: &&Signed<Denial>| {
        books.first().is_some_and(|book| is_of_bank(denial, book))
            && !books.iter().any(|book| denial.body.is_right(key, book, terms()))
    };
    let mut denials = papers.iter().flat_map(|paper| &paper.denials);
    denials.any(|denial| is_wrong(&denial))
}

fn is_of(shown: &ShownUse, coin: &Coin) -> bool {
    (shown.key_id, shown.coin) == (coin.key_id, coin.public)
}

/// Whether the coin's own key has used it up, and its holder got what it was used for: the new coins of that very
/// exchange, or a purchase that its escrow has committed. A mere question for an exchange has used nothing up.
fn uses_up(shown: &ShownUse, books: &[&KeyBook], cases: &[Case<'_>]) -> bool {
    let used = &shown.used;
    let is_final = match used.operation {
        CoinUse::Hold => {
            let mut of_purchase = cases.iter().filter(|case| case.purchase == used.purchase());
            let bank = books.first().map(|book| &book.list().bank);
            bank.is_some_and(|bank| of_purchase.any(|case| case.is_paid(bank)))
        }
        CoinUse::Exchange => {
            let issued = shown.issued.as_ref();
            issued.is_some_and(|issued| books.iter().any(|book| proves_exchange(issued, used, book)))
        }
        CoinUse::ExchangeBegin => false,
    };
    is_final && used.verify_by(&shown.key_id, &shown.coin).is_ok()
}

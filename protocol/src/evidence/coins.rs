//! Coins that a bank denies. The bank's blind signature is its promise. The bank breaks the promise when it signs a
//! denial and does not show that the coin was used up or that its time has ended.

use super::{
    case::Case,
    conviction::{Charge, Conviction, Culprit},
    papers::{Papers, ShownUse},
};
use crate::{
    denial::Denial,
    documents::CoinUse,
    proofs::{proves_deposit, proves_exchange},
};
use farthing_coin::{Coin, Denomination, KeyBook, Signed};

/// A conviction for each coin that a bank has to replace.
///
/// The coin is valid under one of the bank's key lists, and the bank has denied it without a good reason. No paper shows
/// that it was used up.
///
/// A coin may have been exchanged for coins of keys that an older list does not have. So a proof counts if it is right
/// under any of the bank's lists. An accuser with an old list cannot convict an honest bank.
pub(super) fn judge(papers: &[Papers], cases: &[Case<'_>], books: &[KeyBook]) -> Vec<Conviction> {
    let mut convictions: Vec<Conviction> = Vec::new();
    for book in books {
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

/// Whether the bank has signed a denial of the coin without a good reason.
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

/// Whether the coin's key has signed the shown use, and its holder got something for it.
///
/// That is the new coins of that same exchange, the credits of that deposit, or a purchase that its escrow has committed.
/// The begin of an exchange does not use a coin up.
fn uses_up(shown: &ShownUse, books: &[&KeyBook], cases: &[Case<'_>]) -> bool {
    let used = &shown.used;
    let is_final = match used.operation {
        CoinUse::Hold => {
            let mut of_purchase = cases.iter().filter(|case| case.purchase == used.purchase());
            let bank = books.first().map(|book| &book.list().bank);
            bank.is_some_and(|bank| of_purchase.any(|case| case.spends(bank)))
        }
        CoinUse::Exchange => {
            let issued = shown.issued.as_ref();
            issued.is_some_and(|issued| books.iter().any(|book| proves_exchange(issued, used, book)))
        }
        CoinUse::Deposit => {
            let bank = books.first().map(|book| book.list().bank);
            let deposited = shown.deposited.as_ref().zip(bank);
            deposited.is_some_and(|(deposited, bank)| proves_deposit(deposited, used, &bank))
        }
        CoinUse::ExchangeBegin => false,
    };
    is_final && used.verify_by(&shown.key_id, &shown.coin).is_ok()
}

//! Fetches and checks an offer, and counts the coins that could pay. No coin is at stake yet.

use super::{
    goods::came_with,
    output::Output,
    selection::{carry_on_interrupted, check_payable, purse},
    state::State,
    step::Renewed,
};
use crate::{
    catalog::find_item,
    counters::next_number,
    error::WalletError,
    keys::{current_keys, fetch_keys},
    peer_client::PeerClient,
    rows::{CoinRow, Counter, Delivery, NO_BANK, PurchaseRow},
    wallet::Wallet,
};
use farthing_coin::{KeyBook, PublicKey, Signed};
use farthing_node::card::Card;
use farthing_protocol::{
    documents::Offer,
    ids::ItemId,
    money::Amount,
    offer::OfferRequest,
    purchase::{OfferFault, Plan, Purchase, check_asked, check_listed, check_offer, check_renewed},
};

/// The parties of a purchase.
#[derive(Debug, Clone)]
pub struct Parties {
    /// The party that sells.
    pub merchant: Card,
    /// The party that decides.
    pub escrow: Card,
    /// The bank whose coins pay.
    pub bank: Card,
}

/// The item to buy, and its highest price.
///
/// ```no_run
/// # use farthing_client::{error::WalletError, purchase::{Parties, Wanted}, wallet::Wallet};
/// # use farthing_protocol::money::Amount;
/// # use std::path::Path;
/// # async fn example(wallet: &Wallet, parties: &Parties) -> Result<(), WalletError> {
/// let wanted = Wanted { item: "Evening postcard", at_most: Some(Amount(250)) };
/// let number = wallet.buy(parties, wanted, Path::new("postcard.txt")).await?;
/// println!("purchase {number} is {}", wallet.purchase(number)?.purchase.status());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The item: its id, a prefix of its id of at least four characters, or its whole title. With the whole id the
    /// merchant is asked for the offer at once. Anything else is looked up in the catalogue first.
    pub item: &'a str,
    /// The most that it may cost. `None` accepts any price.
    pub at_most: Option<Amount>,
}

impl<'a> From<&'a str> for Wanted<'a> {
    fn from(item: &'a str) -> Self {
        Wanted { item, at_most: None }
    }
}

/// Fetches an offer and checks it. Nothing is stored.
///
/// # Errors
/// When the merchant does not answer or has no such item, the offer is not acceptable, or the wallet has too little
/// money.
pub(crate) async fn accept(
    wallet: &Wallet,
    merchant: &mut PeerClient<'_>,
    parties: &Parties,
    wanted: Wanted<'_>,
    output: Output<'_>,
) -> Result<State, WalletError> {
    wallet.check_restored(&parties.bank.identity)?;
    let replaceable = output.replaceable();
    let (item_id, listed) = match whole_id(wanted.item) {
        Some(item_id) => (item_id, None),
        None => {
            let listed = find_item(merchant, wanted.item).await?;
            (listed.item_id, Some(listed))
        }
    };
    let (bank, escrow) = (parties.bank.identity, parties.escrow.identity);
    let request = OfferRequest {
        item_id,
        bank,
        escrow,
    };
    let offered = merchant.must(&request).await?;
    let offer = offered.offer.clone();
    check_asked(&offer.body, &item_id, wanted.at_most)?;
    if let Some(listed) = listed {
        check_listed(&offer.body, &listed)?;
    }
    check(wallet, &parties.merchant.identity, &escrow, &parties.bank, &offer).await?;
    let keys = current_keys(wallet, &parties.bank).await?;
    check_payable(offer.body.price, keys.values())?;
    let purse = funded_purse(wallet, &bank, &keys, offer.body.price).await?;
    let goods = came_with(offered)?;
    let row = PurchaseRow {
        purchase: Purchase::Fetching(Plan { bank, escrow, offer }),
        merchant: parties.merchant.clone(),
        output: output.absolute()?,
        delivery: Delivery::Pending,
        refusal: None,
        begun_ms: wallet.now_ms(),
        origins: Vec::new(),
        exhibits: Vec::new(),
    };
    Ok(State {
        observed: row.purchase.status(),
        number: next_number(&wallet.rows(), &NO_BANK, Counter::Purchases)?,
        stored: None,
        row,
        goods,
        replaceable,
        purse: Some(purse),
        renewals: 0,
        is_open_at_bank: false,
    })
}

/// Fetches a new offer in the place of a plan's offer, which has expired, and checks that it is for the same goods and
/// costs no more. Returns it with the goods, if they came with it.
///
/// # Errors
/// When the merchant does not answer or refuses, or its new offer is not acceptable.
pub(crate) async fn renew(
    wallet: &Wallet,
    merchant: &mut PeerClient<'_>,
    bank: &Card,
    plan: &Plan,
) -> Result<Renewed, WalletError> {
    let expired = &plan.offer.body;
    let request = OfferRequest {
        item_id: expired.item_id,
        bank: plan.bank,
        escrow: plan.escrow,
    };
    let offered = merchant.must(&request).await?;
    let offer = offered.offer.clone();
    check_renewed(&offer.body, expired)?;
    check(wallet, &expired.merchant, &plan.escrow, bank, &offer).await?;
    let goods = came_with(offered)?;
    Ok(Renewed { offer, goods })
}

/// Checks an offer. If merchant and wallet have different lists of the bank's keys, the wallet fetches the list again
/// before it fails.
async fn check(
    wallet: &Wallet,
    merchant: &PublicKey,
    escrow: &PublicKey,
    bank: &Card,
    offer: &Signed<Offer>,
) -> Result<(), WalletError> {
    let check = |keys: &KeyBook| check_offer(offer, merchant, &bank.identity, escrow, keys);
    match check(current_keys(wallet, bank).await?.as_ref()) {
        Err(OfferFault::OtherKeys) => Ok(check(fetch_keys(wallet, bank).await?.as_ref())?),
        other => Ok(other?),
    }
}

/// The coins at hand, which are worth the price. If they are too few, exchanges that were interrupted are carried on
/// first.
async fn funded_purse(
    wallet: &Wallet,
    bank: &PublicKey,
    keys: &KeyBook,
    price: Amount,
) -> Result<Vec<CoinRow>, WalletError> {
    let at_hand = || purse(wallet, bank, keys, wallet.now_ms());
    let coins = at_hand()?;
    if check_funds(&coins, price).is_ok() {
        return Ok(coins);
    }
    carry_on_interrupted(wallet, bank).await?;
    let coins = at_hand()?;
    check_funds(&coins, price)?;
    Ok(coins)
}

/// Fails if the coins could not pay the price, before goods are fetched.
fn check_funds(purse: &[CoinRow], price: Amount) -> Result<(), WalletError> {
    let values = purse.iter().map(|row| row.value);
    let available = Amount(values.fold(0, u64::saturating_add));
    match price.checked_sub(available) {
        Some(short) if short > Amount(0) => Err(WalletError::Short {
            short,
            available,
            price,
        }),
        _ => Ok(()),
    }
}

/// An item id in full, as `farthing catalog --json` prints it.
fn whole_id(item: &str) -> Option<ItemId> {
    item.parse().ok()
}

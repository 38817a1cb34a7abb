//! Puts coins to a purchase: a signed contract, authorized coins, and a recovery record.

use super::{record::Write, selection::deadline_ms, state::State};
use crate::{
    coins::coin_keys,
    counters::next_number,
    error::WalletError,
    rows::{CoinRow, Counter, PurchaseRow},
};
use farthing_coin::{Coin, Seed};
use farthing_node::card::Card;
use farthing_protocol::{
    purchase::{Order, OrderParts, Plan, Purchase},
    restore::{Origin, RecoveryRecord},
    seal::{RECORD_TEXT_MAX_BYTES, seal_record},
    wire,
};
use farthing_store::View;

/// Puts the chosen coins to a plan, and stores small goods in the same write.
///
/// # Errors
/// When the offer does not accept the plan's bank.
pub(crate) fn place(
    rows: &View,
    seed: &Seed,
    now_ms: u64,
    state: &State,
    plan: &Plan,
    chosen: &[CoinRow],
) -> Result<(PurchaseRow, Write), WalletError> {
    let origins: Vec<Origin> = chosen.iter().map(|row| row.origin).collect();
    let mut record = RecoveryRecord {
        bank: plan.bank,
        escrow: plan.escrow,
        offer: plan.offer.clone(),
        deadline_ms: deadline_ms(plan, now_ms),
        coins: origins.clone(),
        merchant_card: String::new(),
    };
    record.merchant_card = fitting_card(&record, &state.row.merchant)?;
    let counter = next_number(rows, &plan.bank, Counter::Orders)?;
    let coins = chosen.iter().map(|row| row.coin).collect();
    let is_free = plan.offer.body.is_free();
    // Nobody keeps a record of a free item.
    let order = build(seed, counter, plan, &record, coins, is_free.then(Vec::new))?;
    let row = PurchaseRow {
        purchase: match is_free {
            true => Purchase::Taking(order),
            false => Purchase::Holding(order),
        },
        origins,
        ..state.row.clone()
    };
    let write = Write::Place {
        number: state.number,
        before: state.stored.as_ref().map(|row| row.purchase.clone()),
        row: row.clone(),
        goods: state.goods.clone(),
        replaceable: state.replaceable,
    };
    Ok((row, write))
}

/// The merchant's card, shortened to the room that `record` has for it.
fn fitting_card(record: &RecoveryRecord, merchant: &Card) -> Result<String, WalletError> {
    let room = RECORD_TEXT_MAX_BYTES.saturating_sub(text_of(record)?.len());
    Ok(merchant.shortened(room).to_string())
}

fn text_of(record: &RecoveryRecord) -> Result<Vec<u8>, WalletError> {
    wire::encode(record).map_err(|_| WalletError::Inconsistent("a recovery record does not encode"))
}

/// The order of a plan and its recovery record. `seed` is the seed for the bank. A restore passes the sealed record
/// as the bank has it.
///
/// # Errors
/// When the offer does not accept the plan's bank, or the recovery record is too long.
pub(crate) fn build(
    seed: &Seed,
    counter: u64,
    plan: &Plan,
    record: &RecoveryRecord,
    coins: Vec<Coin>,
    sealed_note: Option<Vec<u8>>,
) -> Result<Order, WalletError> {
    let note_id = seed.recovery_record_id(counter);
    let sealed = match sealed_note {
        Some(sealed) => sealed,
        None => seal_record(&seed.recovery_record_key(counter), &note_id, &text_of(record)?)
            .map_err(|_| WalletError::Inconsistent("a recovery record is too long"))?,
    };
    Ok(Order::new(OrderParts {
        counter,
        plan,
        coins,
        coin_keys: &coin_keys(seed, &record.coins),
        purchase_key: &seed.purchase_key(counter),
        note_id,
        note: sealed,
        deadline_ms: record.deadline_ms,
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_coin::{KeyListDigest, PublicKey, SecretKey, Signed};
    use farthing_node::{card::RoleName, fingerprint::Fingerprint};
    use farthing_protocol::{
        documents::{AcceptedBank, Offer, SaleLimit},
        goods::GoodsKey,
        ids::{EncryptedDigest, GoodsDigest, ItemId, KeyCiphertext, SaleId},
        limits::{
            COINS_PER_REQUEST_MAX, CURRENCY_MAX_BYTES, DESCRIPTION_MAX_BYTES, MEDIA_TYPE_MAX_BYTES,
            OFFER_PARTIES_MAX, TITLE_MAX_BYTES,
        },
        money::Amount,
        seal::{WrappedKey, commit_goods_key},
    };

    /// The recovery record of a purchase whose offer has as much of everything as it may have.
    fn largest_record(secret: &SecretKey) -> RecoveryRecord {
        let bank = AcceptedBank {
            bank: secret.public(),
            account: secret.public(),
            key_list_digest: KeyListDigest([1; 32]),
        };
        let offer = Offer {
            merchant: secret.public(),
            sale_id: SaleId([1; 32]),
            item_id: ItemId([1; 32]),
            title: "t".repeat(TITLE_MAX_BYTES),
            description: "d".repeat(DESCRIPTION_MAX_BYTES),
            media_type: "m".repeat(MEDIA_TYPE_MAX_BYTES),
            size_bytes: 1,
            encrypted_bytes: 1,
            goods_digest: GoodsDigest([1; 32]),
            encrypted_digest: EncryptedDigest([1; 32]),
            wrapped_key: WrappedKey {
                body: KeyCiphertext([1; 32]),
                tag: [1; 16],
            },
            key_commitment: commit_goods_key(&GoodsKey::from_bytes([1; 32])),
            price: Amount(1),
            currency: "c".repeat(CURRENCY_MAX_BYTES),
            escrows: vec![secret.public(); OFFER_PARTIES_MAX],
            banks: vec![bank; OFFER_PARTIES_MAX],
            expires_ms: 1,
            served_until_ms: 1,
            sales: SaleLimit::Unlimited,
            sealed_key: None,
        };
        RecoveryRecord {
            bank: secret.public(),
            escrow: secret.public(),
            offer: Signed::sign(offer, secret),
            deadline_ms: 1,
            coins: vec![Origin::withdrawn(1, 1); COINS_PER_REQUEST_MAX],
            merchant_card: String::new(),
        }
    }

    #[test]
    fn the_card_of_a_merchant_with_many_addresses_fits_into_the_largest_record() {
        let secret = SecretKey::from_bytes(&[1; 32]).unwrap();
        let record = largest_record(&secret);
        let hosts: Vec<String> = (1..=8)
            .map(|host| format!("host-{host}.merchant.example:7003"))
            .collect();
        let identity: PublicKey = secret.public();
        let card = Card {
            role: RoleName::Merchant,
            name: "m".repeat(32),
            address: hosts.join(",").parse().unwrap(),
            fingerprint: Fingerprint([1; 32]),
            identity,
            fields: Default::default(),
        };
        let card: Card = format!("{card}/next=1").parse().unwrap();
        let fitting: Card = fitting_card(&record, &card).unwrap().parse().unwrap();
        assert_eq!(fitting.address.all()[0].to_string(), hosts[0]);
        assert!(fitting.same_keys(&card) && fitting.name == card.name);
        let record = RecoveryRecord {
            merchant_card: fitting.to_string(),
            ..record
        };
        assert!(text_of(&record).unwrap().len() <= RECORD_TEXT_MAX_BYTES);
        // In a small record it stays as it is.
        let offer = Signed::sign(
            Offer {
                description: String::new(),
                ..record.offer.body.clone()
            },
            &secret,
        );
        let small = RecoveryRecord {
            offer,
            coins: Vec::new(),
            merchant_card: String::new(),
            ..record
        };
        assert_eq!(fitting_card(&small, &card).unwrap(), card.to_string());
    }
}

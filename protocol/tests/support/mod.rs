//! The parties of one purchase, and the documents that they sign.
#![allow(dead_code)]

pub(crate) mod stream;

use farthing_coin::{Document, KeyListDigest, PublicKey, SecretKey, Seed, Signed};
use farthing_protocol::{
    documents::{AcceptedBank, Commit, Contract, Offer, PurchaseKeyUse, Receipt, SaleLimit, Terms},
    goods::{ContentKey, GoodsKey},
    ids::{
        CoinsDigest, EncryptedDigest, GoodsDigest, ItemId, OfferDigest, RecoveryRecordDigest, SaleId,
        SealingContext,
    },
    money::Amount,
    seal::{commit_goods_key, seal_goods_key, wrap},
};

pub(crate) const MERCHANT: u8 = 1;
pub(crate) const ESCROW: u8 = 2;
pub(crate) const BANK: u8 = 3;
pub(crate) const CUSTOMER: u8 = 4;

pub(crate) fn secret(who: u8) -> SecretKey {
    Seed::from_bytes(&[who; 32]).account_key()
}

pub(crate) fn key(who: u8) -> PublicKey {
    secret(who).public()
}

pub(crate) fn goods_key() -> GoodsKey {
    GoodsKey::from_bytes([7; 32])
}

pub(crate) fn offer() -> Offer {
    Offer {
        merchant: key(MERCHANT),
        sale_id: SaleId([4; 32]),
        item_id: ItemId([5; 32]),
        title: "Evening postcard".into(),
        description: String::new(),
        media_type: "text/plain".into(),
        size_bytes: 1,
        encrypted_bytes: 1,
        goods_digest: GoodsDigest([6; 32]),
        encrypted_digest: EncryptedDigest([7; 32]),
        wrapped_key: wrap(&goods_key(), &SaleId([4; 32]), &ContentKey::from_bytes([8; 32])).unwrap(),
        key_commitment: commit_goods_key(&goods_key()),
        price: Amount(150),
        currency: "FTH".into(),
        escrows: vec![key(ESCROW)],
        banks: vec![AcceptedBank {
            bank: key(BANK),
            account: key(MERCHANT),
            key_list_digest: KeyListDigest([14; 32]),
        }],
        expires_ms: 15,
        served_until_ms: 16,
        sales: SaleLimit::Once,
        sealed_key: None,
    }
}

/// The contract that the customer signs with `purchase_key`.
pub(crate) fn contract_of(offer: Offer, purchase_key: &SecretKey) -> Contract {
    contract_until(offer, purchase_key, 15)
}

/// As [`contract_of`], with this deadline.
pub(crate) fn contract_until(offer: Offer, purchase_key: &SecretKey, deadline_ms: u64) -> Contract {
    let terms = Terms {
        bank: key(BANK),
        currency: "FTH".into(),
        price: offer.price,
        account: key(MERCHANT),
        merchant: key(MERCHANT),
        escrow: key(ESCROW),
        deadline_ms,
        coins_digest: CoinsDigest([17; 32]),
        purchase_key: purchase_key.public(),
        private_digest: OfferDigest(offer.digest().0),
        note_digest: RecoveryRecordDigest([20; 32]),
    };
    let agreed = PurchaseKeyUse::Agree.statement(&terms.purchase_key, &terms.purchase_id());
    Contract {
        offer: Signed::sign(offer, &secret(MERCHANT)),
        signature: purchase_key.sign(&agreed),
        terms,
    }
}

pub(crate) fn receipt_of(terms: &Terms, goods_key: GoodsKey) -> Receipt {
    Receipt {
        purchase: terms.purchase_id(),
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount: terms.price,
        goods_key,
    }
}

pub(crate) fn commit_of(terms: &Terms, goods_key: &GoodsKey) -> Commit {
    let purchase = terms.purchase_id();
    Commit {
        purchase,
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount: terms.price,
        sealed_key: seal_goods_key(
            &secret(9),
            &terms.purchase_key,
            &SealingContext::from(purchase),
            goods_key,
        )
        .unwrap(),
    }
}

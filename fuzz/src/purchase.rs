//! One purchase and its parties.

use farthing_coin::{
    Calendar, Coin, EncodedPoint, EncodedScalar, EpochKeys, KeyBook, KeyList, RecoveryRecordId, SUITE,
    SecretKey, Signature, Signed, StatementDigest,
};
use farthing_protocol::{
    documents::{
        AcceptedBank, BankHold, Commit, Contract, Hold, Offer, PurchaseKeyUse, SaleLimit, Terms,
        coins_digest, recovery_record_digest,
    },
    goods::{ContentKey, GoodsKey},
    hold::Payment,
    ids::{EncryptedDigest, GoodsDigest, ItemId, OfferDigest, SaleId, SealingContext},
    money::Amount,
    offered_key::OfferedKey,
    seal::{SEALED_RECORD_BYTES, commit_goods_key, seal_goods_key, wrap},
    stream::{OpenStream, Opened, StreamCommit, Voucher, chain, price_of},
    wire,
};
use serde::Serialize;
use std::sync::LazyLock;

/// The purchase's deadline.
pub const DEADLINE_MS: u64 = 1_000_000;

/// The key of party `number`: 1 is the bank, 2 the escrow, 3 the merchant.
pub fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).expect("small numbers are scalars")
}

/// The bank's key list.
pub fn signed_list() -> Signed<KeyList> {
    let epoch = |epoch: u8| EpochKeys {
        epoch: epoch.into(),
        keys: (0..3).map(|value| key(1 + epoch * 3 + value).public()).collect(),
    };
    let list = KeyList {
        bank: key(1).public(),
        currency: "FTH".into(),
        calendar: Calendar {
            epoch_ms: 1000,
            spend_epochs: 4,
            redeem_epochs: 4,
        },
        values: vec![1, 2, 4],
        epochs: vec![epoch(0), epoch(1)],
    };
    Signed::sign(list, &key(1))
}

/// The keys of the bank.
pub fn keys() -> &'static KeyBook {
    static KEYS: LazyLock<KeyBook> =
        LazyLock::new(|| KeyBook::new(signed_list(), &key(1).public()).expect("a good list"));
    &KEYS
}

/// Well-formed coins that no bank has signed, and signatures of their keys.
pub fn coins() -> (Vec<Coin>, Vec<Signature>) {
    let id = keys().denomination(2, 0).expect("it is listed").id();
    let coin = |number: u8| Coin {
        suite: SUITE,
        key_id: id,
        public: key(number).public(),
        r: EncodedPoint(key(number + 1).public().0),
        z: EncodedScalar([2; 32]),
        y: EncodedScalar([3; 32]),
    };
    let coins: Vec<Coin> = [11, 12].map(coin).to_vec();
    let sign = |number| {
        let statement =
            farthing_protocol::documents::CoinUse::Exchange.statement(&id, &StatementDigest([4; 32]));
        key(number).sign(&statement)
    };
    (coins, [11, 12].map(sign).to_vec())
}

/// The payment of the purchase.
pub fn payment() -> Payment {
    let (coins, authorizations) = coins();
    Payment {
        coins,
        authorizations,
        note_id: RecoveryRecordId([7; 32]),
        note: vec![0; SEALED_RECORD_BYTES],
    }
}

/// The goods key of the sale.
pub fn goods_key() -> GoodsKey {
    GoodsKey::from_bytes([1; 32])
}

/// The ticks of the stream.
pub const TICKS: u32 = 4;

/// The contract of customer and merchant.
pub fn contract() -> Contract {
    contract_on(None)
}

/// The contract on a stream, whose last key is the goods key.
pub fn stream_contract() -> Contract {
    contract_on(Some(TICKS))
}

fn contract_on(ticks: Option<u32>) -> Contract {
    let (bank, escrow, merchant) = (key(1).public(), key(2).public(), key(3).public());
    let payment = payment();
    let mut offer = Offer {
        merchant,
        sale_id: SaleId([7; 32]),
        item_id: ItemId([8; 32]),
        title: "A song".into(),
        description: String::new(),
        media_type: "audio/flac".into(),
        size_bytes: 5,
        encrypted_bytes: 53,
        goods_digest: GoodsDigest([1; 32]),
        encrypted_digest: EncryptedDigest([2; 32]),
        wrapped_key: wrap(&goods_key(), &SaleId([7; 32]), &ContentKey::from_bytes([5; 32]))
            .expect("it wraps"),
        key_commitment: match ticks {
            None => commit_goods_key(&goods_key()),
            Some(ticks) => chain::commitment(&goods_key(), ticks),
        },
        price: Amount(4),
        currency: "FTH".into(),
        escrows: vec![escrow],
        banks: vec![AcceptedBank {
            bank,
            account: key(4).public(),
            key_list_digest: keys().digest(),
        }],
        expires_ms: DEADLINE_MS,
        served_until_ms: DEADLINE_MS,
        sales: SaleLimit::Once,
        sealed_key: None,
    };
    let sealed_key = OfferedKey::seal(&key(7), &escrow, &offer.sealing_context(), &goods_key());
    offer.sealed_key = Some(OfferedKey {
        ticks,
        ..sealed_key.expect("it seals")
    });
    let terms = Terms {
        bank,
        currency: "FTH".into(),
        price: Amount(4),
        account: key(4).public(),
        merchant,
        escrow,
        deadline_ms: DEADLINE_MS,
        coins_digest: coins_digest(&payment.coins),
        purchase_key: key(9).public(),
        private_digest: OfferDigest(farthing_coin::Document::digest(&offer).0),
        note_digest: recovery_record_digest(&payment.note_id, &payment.note),
    };
    let signature = by_purchase_key(&terms, PurchaseKeyUse::Agree);
    Contract {
        terms,
        offer: Signed::sign(offer, &key(3)),
        signature,
    }
}

/// A signature of the purchase key.
pub fn by_purchase_key(terms: &Terms, what: PurchaseKeyUse) -> Signature {
    key(9).sign(&what.statement(&key(9).public(), &terms.purchase_id()))
}

/// The escrow's hold with the bank's hold in it.
pub fn hold() -> Signed<Hold> {
    let bank_hold = bank_hold(&contract().terms);
    Hold { bank_hold }.sign_with_causes(&key(2))
}

fn bank_hold(terms: &Terms) -> Signed<BankHold> {
    Signed::sign(BankHold::of(terms), &key(1))
}

/// The escrow's promise that the stream is open.
pub fn opened() -> Signed<Opened> {
    let bank_hold = bank_hold(&stream_contract().terms);
    Signed::sign(Opened { bank_hold }, &key(2))
}

/// The escrow's row of the stream.
pub fn open_stream() -> OpenStream {
    OpenStream {
        terms: stream_contract().terms,
        ticks: TICKS,
        last_key: goods_key(),
        opened: opened().body,
        voucher: None,
        raises: 0,
    }
}

/// The customer's payment for ticks of the stream.
pub fn voucher(ticks: u32) -> Signed<Voucher> {
    let terms = stream_contract().terms;
    let voucher = Voucher {
        purchase: terms.purchase_id(),
        ticks,
        amount: price_of(ticks, TICKS, terms.price),
    };
    Signed::sign(voucher, &key(9))
}

/// The escrow's decision on the stream.
pub fn stream_commit(ticks: u32) -> StreamCommit {
    let voucher = voucher(ticks);
    let goods_key = chain::key_at(&goods_key(), TICKS, ticks);
    StreamCommit {
        commit: commit_of(&stream_contract().terms, voucher.body.amount, &goods_key),
        voucher,
    }
}

/// The escrow's decision.
pub fn commit() -> Signed<Commit> {
    let terms = contract().terms;
    commit_of(&terms, terms.price, &goods_key())
}

fn commit_of(terms: &Terms, amount: Amount, goods_key: &GoodsKey) -> Signed<Commit> {
    let purchase = terms.purchase_id();
    let sealed_key = seal_goods_key(
        &key(8),
        &terms.purchase_key,
        &SealingContext::from(purchase),
        goods_key,
    );
    let commit = Commit {
        purchase,
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount,
        sealed_key: sealed_key.expect("it seals"),
    };
    Signed::sign(commit, &key(2))
}

/// A value's encoding.
pub fn bytes(value: &impl Serialize) -> Vec<u8> {
    wire::encode(value).expect("it is short")
}

//! Documents of purchases, honest and not, judged from files.

use super::*;
use farthing_coin::{Document, KeyListDigest, PublicKey, SecretKey, Seed, Signed};
use farthing_protocol::{
    documents::{
        Abort, AbortReason, AcceptedBank, BankHold, Commit, Contract, Offer, PurchaseKeyUse, Receipt,
        SaleLimit, Settled, Terms,
    },
    goods::{ContentKey, Encryptor, GoodsKey},
    ids::{
        CoinsDigest, GoodsDigest, ItemId, KeyCiphertext, ObliviousKey, OfferDigest, RecoveryRecordDigest,
        SaleId, SealingContext,
    },
    money::Amount,
    oblivious::EncryptionKey,
    seal::{WrappedKey, commit_goods_key, seal_goods_key, wrap},
};
use std::path::PathBuf;

/// Judges on the day of the deadline.
fn verify(files: &[PathBuf]) -> Result<Report> {
    verify_at(files, Some(15))
}

fn verify_at(files: &[PathBuf], at_ms: Option<u64>) -> Result<Report> {
    super::verify(&Verify {
        files: files.to_vec(),
        at_ms,
        register: None,
        banks: Vec::new(),
        accounts: Vec::new(),
    })
}

const GOODS: &[u8] = b"a view of the harbour in the evening";

fn secret(who: u8) -> SecretKey {
    Seed::from_bytes(&[who; 32]).account_key()
}

fn key(who: u8) -> PublicKey {
    secret(who).public()
}

const MERCHANT: u8 = 1;
const ESCROW: u8 = 2;
const BANK: u8 = 3;
const CUSTOMER: u8 = 4;

fn goods_key() -> GoodsKey {
    GoodsKey::from_bytes([7; 32])
}

/// An honest offer, and the encrypted goods.
fn offer() -> (Offer, Vec<u8>) {
    let content = ContentKey::from_bytes([8; 32]);
    let mut sealed = Vec::new();
    let mut encryptor = Encryptor::new(&content, [9; 32]);
    encryptor.update(GOODS, &mut sealed).unwrap();
    let summary = encryptor.finish(&mut sealed).unwrap();
    let sale_id = SaleId([4; 32]);
    let offer = Offer {
        merchant: key(MERCHANT),
        sale_id,
        item_id: ItemId([5; 32]),
        title: "Evening postcard".into(),
        description: String::new(),
        media_type: "text/plain".into(),
        size_bytes: GOODS.len() as u64,
        encrypted_bytes: sealed.len() as u64,
        goods_digest: summary.digest,
        encrypted_digest: summary.encrypted_digest,
        wrapped_key: wrap(&goods_key(), &sale_id, &content).unwrap(),
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
    };
    (offer, sealed)
}

/// All documents of a purchase of `offer` in which the escrow hands over `goods_key`.
fn sign(offer: Offer, goods_key: GoodsKey) -> Papers {
    let terms = Terms {
        bank: key(BANK),
        currency: offer.currency.clone(),
        price: offer.price,
        account: key(MERCHANT),
        merchant: key(MERCHANT),
        escrow: key(ESCROW),
        deadline_ms: 15,
        coins_digest: CoinsDigest([17; 32]),
        purchase_key: key(CUSTOMER),
        private_digest: OfferDigest(offer.digest().0),
        note_digest: RecoveryRecordDigest([20; 32]),
    };
    let purchase = terms.purchase_id();
    let signature = secret(CUSTOMER).sign(&PurchaseKeyUse::Agree.statement(&key(CUSTOMER), &purchase));
    let receipt = Receipt {
        purchase,
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount: terms.price,
        goods_key,
    };
    Papers {
        contract: Some(Contract {
            terms,
            offer: Signed::sign(offer, &secret(MERCHANT)),
            signature,
        }),
        receipt: Some(Signed::sign(receipt, &secret(ESCROW))),
        ..Papers::default()
    }
}

fn honest() -> Papers {
    sign(offer().0, goods_key())
}

fn abort(evidence: &Papers, signer: u8) -> Signed<Abort> {
    let terms = evidence.terms().next().unwrap();
    let abort = Abort {
        purchase: terms.purchase_id(),
        bank: terms.bank,
        reason: AbortReason::Cancelled,
    };
    Signed::sign(abort, &secret(signer))
}

/// Judges from files, as the command does.
fn judge_files(test: &str, documents: &Value, sealed: &[u8]) -> Report {
    let dir = std::env::temp_dir().join(format!("farthing-receipt-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (paper, goods) = (dir.join("receipt.json"), dir.join("goods.sealed"));
    std::fs::write(&paper, documents.to_string()).unwrap();
    std::fs::write(&goods, sealed).unwrap();
    let report = verify(&[paper, goods]).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    report
}

fn as_json(evidence: &Papers) -> Value {
    serde_json::to_value(evidence).unwrap()
}

/// The same documents in the format of older programs, with bytes as lists of numbers.
fn with_lists(value: Value) -> Value {
    match value {
        Value::String(text) => match hex::decode(&text) {
            Ok(bytes) if text.len() >= 32 => json!(bytes),
            _ => Value::String(text),
        },
        Value::Array(items) => items.into_iter().map(with_lists).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields.map(|(name, value)| (name, with_lists(value))).collect()
        }
        other => other,
    }
}

/// Whether `value` contains bytes as a list of numbers.
fn has_bytes_as_list(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| item.is_u64() || has_bytes_as_list(item)),
        Value::Object(fields) => fields.values().any(has_bytes_as_list),
        _ => false,
    }
}

#[test]
fn an_honest_purchase_is_delivered_whoever_exported_it() {
    let (_, sealed) = offer();
    let of_wallet = as_json(&honest());
    let mut of_merchant = of_wallet.clone();
    of_merchant["settled"] = Value::Null;
    of_merchant["anything"] = json!({ "else": true });
    let as_lists = with_lists(of_wallet.clone());
    assert!(!has_bytes_as_list(&of_wallet) && has_bytes_as_list(&as_lists));
    for (test, documents) in [
        ("wallet", of_wallet),
        ("merchant", of_merchant),
        ("lists", as_lists),
    ] {
        let report = judge_files(test, &documents, &sealed);
        assert_eq!(report.exit, Exit::Done, "{test}: {}", report.text);
        assert_eq!(report.json["verdict"], "delivered");
        assert_eq!(report.json["price"]["text"], "1.50");
        assert!(report.text.contains("Evening postcard"));
    }
}

#[test]
fn bytes_are_written_in_hex() {
    let json = as_json(&honest());
    assert_eq!(json["receipt"]["body"]["goods_key"], "07".repeat(32));
    let body = &json["contract"]["offer"]["body"];
    assert_eq!(body["escrows"][0], key(ESCROW).to_string());
    assert_eq!(body["wrapped_key"]["tag"].as_str().unwrap().len(), 32);
}

#[test]
fn a_merchant_whose_goods_are_not_as_described_is_convicted() {
    let (honest, sealed) = offer();
    let size = Offer {
        size_bytes: 1,
        ..honest.clone()
    };
    let digest = Offer {
        goods_digest: GoodsDigest([1; 32]),
        ..honest.clone()
    };
    let wrapped = Offer {
        wrapped_key: WrappedKey {
            body: KeyCiphertext([1; 32]),
            tag: [1; 16],
        },
        ..honest
    };
    for (test, offer, says) in [
        ("size", size, "another size"),
        ("digest", digest, "other bytes"),
        ("wrapped", wrapped, "does not open the offer's wrapped key"),
    ] {
        let report = judge_files(test, &as_json(&sign(offer, goods_key())), &sealed);
        assert_eq!(report.exit, Exit::MerchantBroke, "{test}: {}", report.text);
        assert_eq!(report.json["verdict"], "merchant_broke_contract");
        assert!(report.text.contains(says), "{}", report.text);
    }
}

#[test]
fn an_escrow_that_signed_a_wrong_key_or_both_outcomes_is_convicted() {
    let (offer, sealed) = offer();
    let wrong_key = as_json(&sign(offer, GoodsKey::from_bytes([1; 32])));
    let mut both = as_json(&honest());
    both["abort"] = serde_json::to_value(abort(&honest(), ESCROW)).unwrap();
    for (test, documents, says) in [
        ("key", wrong_key, "a goods key that does not open"),
        ("both", both, "signed two outcomes"),
    ] {
        let report = judge_files(test, &documents, &sealed);
        assert_eq!(report.exit, Exit::EscrowBroke, "{test}: {}", report.text);
        assert_eq!(report.json["verdict"], "escrow_broke_contract");
        assert!(report.text.contains(says), "{}", report.text);
    }
}

#[test]
fn documents_that_do_not_hold_convict_nobody() {
    let (_, sealed) = offer();
    // An abort with another party's signature does not affect an honest delivery.
    let mut framed = as_json(&honest());
    framed["abort"] = serde_json::to_value(abort(&honest(), CUSTOMER)).unwrap();
    assert_eq!(judge_files("framed", &framed, &sealed).exit, Exit::Done);

    let mut dearer = as_json(&honest());
    dearer["contract"]["terms"]["price"] = json!(1);
    let mut forged = as_json(&honest());
    forged["receipt"]["body"]["amount"] = json!(1);
    for (test, documents, sealed, says) in [
        ("dearer", dearer, sealed.as_slice(), "the contract proves nothing"),
        ("forged", forged, sealed.as_slice(), "the receipt proves nothing"),
        ("other", as_json(&honest()), GOODS, "not the encrypted goods"),
        ("empty", json!({}), GOODS, "not the documents of a purchase"),
        ("half", json!({ "contract": {} }), GOODS, "missing field"),
    ] {
        let report = judge_files(test, &documents, sealed);
        assert_eq!(report.exit, Exit::ProvesNothing, "{test}: {}", report.text);
        assert_eq!(report.json["verdict"], "proves_nothing");
        assert!(report.text.contains(says), "{}", report.text);
    }
}

#[test]
fn what_is_not_json_proves_nothing_either() {
    let dir = std::env::temp_dir().join(format!("farthing-receipt-goods-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (one, other) = (dir.join("one"), dir.join("other"));
    for path in [&one, &other] {
        std::fs::write(path, GOODS).unwrap();
    }
    for files in [vec![one.clone()], vec![one, other]] {
        let report = verify(&files).unwrap();
        assert_eq!(report.exit, Exit::ProvesNothing, "{}", report.text);
        assert!(report.text.contains("not JSON"), "{}", report.text);
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_accused_bank_adds_its_own_file_and_is_cleared() {
    let honest = honest();
    let terms = honest.terms().next().unwrap().clone();
    let purchase = terms.purchase_id();
    let sealed_key = seal_goods_key(
        &secret(ESCROW),
        &terms.purchase_key,
        &SealingContext::from(purchase),
        &goods_key(),
    )
    .unwrap();
    let commit = Commit {
        purchase,
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount: terms.price,
        sealed_key,
    };
    let accusing = Papers {
        bank_hold: Some(Signed::sign(BankHold::of(&terms), &secret(BANK))),
        commit: Some(Signed::sign(commit, &secret(ESCROW))),
        ..honest
    };
    let clearing = Papers {
        settled: Some(Signed::sign(
            Settled::committed(&terms, terms.price),
            &secret(BANK),
        )),
        terms: Some(terms),
        ..Papers::default()
    };
    let dir = std::env::temp_dir().join(format!("farthing-receipt-bank-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (merchants, banks) = (dir.join("sale.json"), dir.join("bank.json"));
    std::fs::write(&merchants, as_json(&accusing).to_string()).unwrap();
    std::fs::write(&banks, json!([as_json(&clearing)]).to_string()).unwrap();

    let report = verify(std::slice::from_ref(&merchants)).unwrap();
    assert_eq!(report.exit, Exit::BankBroke, "{}", report.text);
    assert!(
        report
            .text
            .contains("unless it shows its own statement that it has credited"),
        "{}",
        report.text
    );
    assert_eq!(report.json["verdict"], "bank_broke_its_word");
    assert_eq!(report.json["convictions"][0]["charge"], "credit_denied");
    assert_eq!(report.json["convictions"][0]["key"], key(BANK).to_string());

    // Years later the bank need not have kept its file.
    let late = verify_at(std::slice::from_ref(&merchants), None).unwrap();
    assert_eq!(late.exit, Exit::ProvesNothing, "{}", late.text);
    assert!(late.text.contains("--at"), "{}", late.text);
    assert_eq!(late.json["convictions"], json!([]));
    assert_eq!(late.json["expired"], report.json["convictions"]);

    let report = verify(&[merchants, banks]).unwrap();
    assert_eq!(report.exit, Exit::ProvesNothing, "{}", report.text);
    assert_eq!(report.json["convictions"], json!([]));
    assert_eq!(report.json["expired"], json!([]));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn keys_of_one_day_from_two_wallets_convict_the_server() {
    let told = |key_byte| {
        let body = EncryptionKey {
            target: key(MERCHANT),
            day: 20_000,
            key: ObliviousKey([key_byte; 32]),
        };
        Papers {
            encryption_keys: vec![Signed::sign(body, &secret(MERCHANT))],
            ..Papers::default()
        }
    };
    let dir = std::env::temp_dir().join(format!("farthing-receipt-keys-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let files = [1, 2].map(|wallet| {
        let file = dir.join(format!("{wallet}.json"));
        std::fs::write(&file, json!([as_json(&told(wallet))]).to_string()).unwrap();
        file
    });
    let report = verify(&files[..1]).unwrap();
    assert_eq!(report.exit, Exit::ProvesNothing, "{}", report.text);
    let report = verify(&files).unwrap();
    assert_eq!(report.exit, Exit::ServerBroke, "{}", report.text);
    assert_eq!(report.json["verdict"], "server_broke_protocol");
    let conviction = &report.json["convictions"][0];
    assert_eq!(conviction["who"], "server");
    assert_eq!(conviction["charge"], "two_encryption_keys");
    assert_eq!(conviction["key"], key(MERCHANT).to_string());
    assert!(report.text.contains("day 20000"), "{}", report.text);
    std::fs::remove_dir_all(&dir).unwrap();
}

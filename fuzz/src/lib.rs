//! The body of every fuzz target: the checks that untrusted bytes pass through before they are known to be good.
//!
//! No target may panic. A decoded value must encode to the same bytes: a message has one encoding.

#![forbid(unsafe_code)]

pub mod messages;
pub mod postage;
pub mod purchase;
pub mod samples;

use farthing_coin::{
    Batch, Coin, KeyBook, KeyList, PublicKey, RecoveryRecordId, RecoveryRecordKey, Signature, Signed,
    StatementDigest,
};
use farthing_node::{
    card::Card,
    network_file::{NETWORK_FILE, NetworkFile},
};
use farthing_protocol::documents::CoinUse;
use farthing_protocol::evidence::{Judge, Papers, judge};
use farthing_protocol::goods::{ContentKey, Decryptor, GoodsKey};
use farthing_protocol::ids::{SaleId, SealingContext};
use farthing_protocol::money::Amount;
use farthing_protocol::seal::{SealedKey, WrappedKey, open_goods_key, open_record, unwrap};
use farthing_protocol::{coins, wire};
use farthing_store::disk::MemoryDisk;
use farthing_store::entropy::{Entropy, SeededEntropy};
use farthing_store::verify;
use std::path::Path;

/// A fuzz target.
pub struct Target {
    /// Its name for `cargo fuzz`.
    pub name: &'static str,
    /// The function that takes the bytes.
    pub body: fn(&[u8]),
    /// Valid inputs, which the smoke test mutates.
    pub samples: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident in $module:ident;)*) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[
            $(Target { name: stringify!($name), body: $module::$name, samples: samples::$name },)*
        ];
    };
}

use crate as bodies;
targets! {
    bank_request in messages;
    escrow_request in messages;
    merchant_request in messages;
    replies in messages;
    card in bodies;
    network_file in bodies;
    journal in bodies;
    note in bodies;
    goods in bodies;
    key_list in bodies;
    coins_and_signatures in bodies;
    amount in bodies;
    evidence in bodies;
    indicium in postage;
    scanned_mail in postage;
}

/// A line of text, parsed as a card.
pub fn card(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(card) = line.parse::<Card>() {
        let again: Card = card.to_string().parse().expect("a card that is written is read");
        assert_eq!(again, card);
    }
}

/// A network file that was edited by hand.
pub fn network_file(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join(NETWORK_FILE), data).expect("a file");
    if let Ok(file) = NetworkFile::load(dir.path()) {
        for card in file.cards() {
            assert_eq!(file.find(card.role, &card.name), Some(card));
        }
    }
}

/// A journal and its file of acknowledged records, as a damaged disk may return them.
pub fn journal(data: &[u8]) {
    let (&cut, rest) = data.split_first().unwrap_or((&0, &[]));
    // The first byte gives the length of the acknowledgement file, so that most inputs are all journal.
    let (state, journal) = rest.split_at(rest.len().min(usize::from(cut)));
    let disk = MemoryDisk::new();
    let dir = Path::new(samples::JOURNAL_DIR);
    disk.put(&dir.join("journal"), journal.to_vec());
    if cut > 0 {
        disk.put(&dir.join("state"), state.to_vec());
    }
    if let Ok(report) = verify(dir, &disk, &|_| {}) {
        // The header ends in zeros. A file that was cut within the header may end in zeros, too.
        let no_records = report.damage.is_some() || report.records == 0;
        assert!(no_records || report.bytes <= journal.len() as u64);
    }
}

/// A sealed record, and keys that are sealed or wrapped.
pub fn note(data: &[u8]) {
    let id = [7; 32];
    let _opened = open_record(
        &RecoveryRecordKey::from_bytes([1; 32]),
        &RecoveryRecordId(id),
        data,
    );
    if let Ok(sealed) = wire::decode::<SealedKey>(data, data.len()) {
        let _opened = open_goods_key(&purchase::key(9), &SealingContext(id), &sealed);
    }
    if let Ok(wrapped) = wire::decode::<WrappedKey>(data, data.len()) {
        let _opened = unwrap(&GoodsKey::from_bytes([1; 32]), &SaleId(id), &wrapped);
    }
}

/// Encrypted goods, in pieces of the sizes that the first byte gives.
pub fn goods(data: &[u8]) {
    let (&size, file) = data.split_first().unwrap_or((&0, &[]));
    let mut decryptor = Decryptor::new(&ContentKey::from_bytes([5; 32]));
    let mut out = Vec::new();
    for piece in file.chunks(usize::from(size) * 97 + 1) {
        let _bad = decryptor.update(piece, &mut out);
    }
    if let Ok(opened) = decryptor.finish(&mut out) {
        assert_eq!(opened.size_bytes, out.len() as u64);
    }
    assert!(out.len() <= file.len());
}

/// A bank's key list: with the signature in the input, and with a valid one.
pub fn key_list(data: &[u8]) {
    let Ok(signed) = wire::decode::<Signed<KeyList>>(data, data.len()) else {
        return;
    };
    let bank = signed.body.bank;
    let _refused = KeyBook::new(signed.clone(), &bank);
    let mut list = signed.body;
    list.bank = purchase::key(1).public();
    let checked = list.check().is_ok();
    let book = KeyBook::new(Signed::sign(list, &purchase::key(1)), &purchase::key(1).public());
    assert_eq!(book.is_ok(), checked);
    if let Ok(book) = book {
        for (id, denomination) in book.denominations() {
            assert_eq!(*id, denomination.id());
        }
        for now_ms in [0, 1, u64::MAX] {
            let _keys = book
                .values()
                .iter()
                .filter_map(|value| book.issuing(*value, now_ms))
                .count();
        }
    }
}

/// Coins and signatures. The bank did not sign any of them.
pub fn coins_and_signatures(data: &[u8]) {
    let keys = purchase::keys();
    let rng: &dyn Entropy = &SeededEntropy::new(1);
    if let Some(key) = data.first_chunk::<32>() {
        let _refused = PublicKey(*key).check();
    }
    let Ok((coins, signatures)) = wire::decode::<(Vec<Coin>, Vec<Signature>)>(data, data.len()) else {
        return;
    };
    let verified = coins::verify(
        &coins,
        &signatures,
        CoinUse::Hold,
        &StatementDigest([3; 32]),
        keys,
        &mut rng.rng(),
    );
    assert!(verified.is_err(), "nobody has issued these");
    let mut batch = Batch::new();
    for (index, (coin, signature)) in coins.iter().zip(&signatures).enumerate() {
        let statement = CoinUse::Exchange.statement(&coin.key_id, &StatementDigest([4; 32]));
        let alone = coin.public.verify(&statement, signature);
        batch.signature(index, &coin.public, &statement, signature);
        for (_, denomination) in keys.denominations() {
            assert!(coin.verify(denomination).is_err(), "nobody has issued this");
        }
        if let Err(error) = alone {
            let _said = error.to_string();
        }
    }
    let alone = coins.iter().zip(&signatures).all(|(coin, signature)| {
        let statement = CoinUse::Exchange.statement(&coin.key_id, &StatementDigest([4; 32]));
        coin.public.verify(&statement, signature).is_ok()
    });
    assert_eq!(batch.verify(&mut rng.rng()).is_ok(), alone);
}

/// An amount as a person types it, and sums of amounts.
pub fn amount(data: &[u8]) {
    if let Some(units) = data.first_chunk::<8>() {
        let amount = Amount(u64::from_le_bytes(*units));
        assert_eq!(amount.to_string().parse(), Ok(amount));
    }
    let all = data.chunks_exact(8).filter_map(|units| units.first_chunk());
    let _sum = Amount::sum(all.map(|units| u64::from_le_bytes(*units)));
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(amount) = text.parse::<Amount>() {
        assert_eq!(amount.to_string().parse(), Ok(amount));
    }
}

/// A file of evidence for a judge.
pub fn evidence(data: &[u8]) {
    let Ok(papers) = serde_json::from_slice::<Papers>(data) else {
        return;
    };
    let _proven = judge(&[papers.clone(), papers.clone()], 0);
    if let Ok(mut judge) = Judge::new(&papers) {
        let mut goods = Vec::new();
        judge.update(data, &mut goods);
        let _said = judge.verdict(&mut goods);
    }
}

//! Valid inputs, which the smoke test mutates. `cargo fuzz` finds its own inputs.

use crate::postage::{indicium_samples, scanned_mail_samples};
use crate::purchase::{
    TICKS, by_purchase_key, bytes, coins, commit, contract, goods_key, hold, key, keys, opened, payment,
    signed_list, stream_commit, stream_contract, voucher,
};
use farthing_coin::{ClientRandomness, PublicKey, RecoveryRecordId, RecoveryRecordKey, RequestId, Signed};
use farthing_node::card::{Card, RoleName};
use farthing_node::fingerprint::Fingerprint;
use farthing_protocol::api::{
    AskBank, AskEscrow, BankRequest, EscrowRequest, KeysRequest, MerchantRequest, encode_reply,
};
use farthing_protocol::documents::{Abort, AbortReason, Overdue, PurchaseKeyUse, Receipt, Terms};
use farthing_protocol::evidence::{Papers, ShownTick};
use farthing_protocol::free::TakeRequest;
use farthing_protocol::goods::{ContentKey, Encryptor};
use farthing_protocol::history::{JournalHead, WithHead, WitnessRequest};
use farthing_protocol::hold::{BankHoldRequest, HoldRequest};
use farthing_protocol::ids::{
    EncryptedDigest, ItemId, JournalRun, RecordHash, RecordId, SealingContext, WitnessNonce,
};
use farthing_protocol::money::Amount;
use farthing_protocol::offer::{
    CatalogPage, CatalogRequest, DeliverRequest, OfferRequest, Piece, PieceRequest,
};
use farthing_protocol::refusal::{Refusal, RequestFault};
use farthing_protocol::restore::{
    AccountRequest, BucketRequest, KeptMemo, Memo, MemoRequest, Prefix, Shelf, WithdrawalsRequest,
};
use farthing_protocol::seal::{SEALED_RECORD_BYTES, seal_goods_key, seal_record};
use farthing_protocol::sealed::{PayRequest, SalesRequest};
use farthing_protocol::settle::{CollectRequest, Collected, SettleRequest};
use farthing_protocol::stream::{
    Batch, Close, CloseRequest, OpenRequest, RaiseReply, RaiseRequest, Raised, StopRequest, Ticks,
    TicksRequest, WatchRequest, chain,
};
use farthing_protocol::withdraw::WithdrawBegin;
use farthing_protocol::{
    decide::{CancelRequest, OutcomeRequest, OverdueRequest, ReleaseRequest},
    decision::{Outcome, SignedDecision},
};
use farthing_store::disk::MemoryDisk;
use farthing_store::{Reads, Store, StoreOptions, Table};
use serde::Serialize;
use std::path::Path;

/// The directory of the store of [`journal`].
pub const JOURNAL_DIR: &str = "/store";

/// The rows of [`journal`].
const ROWS: Table<[u8; 32], Vec<u8>> = Table::new(1, "fuzzed");

/// Requests to a bank.
pub fn bank_request() -> Vec<Vec<u8>> {
    let (bank, account) = (key(1).public(), key(4).public());
    let terms = contract().terms;
    let purchase = terms.purchase_id();
    let signature = by_purchase_key(&terms, PurchaseKeyUse::Collect);
    let aborted = |reason| {
        let abort = Abort {
            purchase,
            bank,
            reason,
        };
        SignedDecision::Abort(Signed::sign(abort, &key(2)))
    };
    let by_customer = AbortReason::CancelledBy(by_purchase_key(&terms, PurchaseKeyUse::Cancel));
    let aborts = [
        AbortReason::Cancelled,
        by_customer,
        AbortReason::Overdue(Box::new(overdue(&terms))),
        AbortReason::Closed(Box::new(close())),
    ];
    let aborts: Vec<SignedDecision> = aborts.into_iter().map(aborted).collect();
    let settle = |decisions| SettleRequest {
        escrow: key(2).public(),
        decisions,
    };
    let id = keys().denomination(1, 0).expect("it is listed").id();
    let begin = WithdrawBegin {
        bank,
        account,
        request_id: RequestId([1; 32]),
        outputs: vec![id; 3],
        client_randomness: ClientRandomness([2; 32]),
    };
    let memo = MemoRequest {
        bank,
        account,
        version: 1,
        memo: Some(Memo(vec![0; SEALED_RECORD_BYTES])),
    };
    let withdrawals = WithdrawalsRequest {
        bank,
        account,
        after: Some(RequestId([1; 32])),
    };
    let bucket = BucketRequest {
        shelf: Shelf::Exchanges,
        prefix: Prefix::of(&RecordId([0xaa; 32]), 9),
        after: None,
    };
    let all = [
        BankRequest::Keys(KeysRequest),
        BankRequest::Account(Signed::sign(AccountRequest { bank, account }, &key(4))),
        BankRequest::WithdrawBegin(Signed::sign(begin, &key(4))),
        BankRequest::Withdrawals(Signed::sign(withdrawals, &key(4))),
        BankRequest::Hold(with_head(BankHoldRequest {
            terms,
            payment: payment(),
        })),
        BankRequest::Push(with_head(settle(vec![
            SignedDecision::Commit(commit()),
            aborted(AbortReason::DeadlinePassed),
        ]))),
        BankRequest::Witness(AskBank(witness_request(2, 1))),
        BankRequest::Settle(settle(vec![SignedDecision::Commit(commit())])),
        BankRequest::Settle(settle(aborts)),
        BankRequest::Settle(settle(vec![SignedDecision::Stream(Box::new(stream_commit(2)))])),
        BankRequest::Collect(CollectRequest {
            purchase,
            escrow: key(2).public(),
            signature,
        }),
        BankRequest::Bucket(bucket),
        BankRequest::Memo(Signed::sign(memo, &key(4))),
    ];
    all.iter().map(bytes).collect()
}

/// The bank's statement that a purchase is overdue.
fn overdue(terms: &Terms) -> Signed<Overdue> {
    let overdue = Overdue {
        purchase: terms.purchase_id(),
        escrow: terms.escrow,
        deadline_ms: terms.deadline_ms,
        at_ms: terms.deadline_ms,
    };
    Signed::sign(overdue, &key(1))
}

fn head(of: u8) -> Signed<JournalHead> {
    let head = JournalHead {
        node: key(of).public(),
        run: JournalRun([1; 32]),
        records: 7,
        hash: RecordHash([2; 32]),
    };
    Signed::sign(head, &key(of))
}

fn with_head<T>(body: T) -> WithHead<T> {
    let head = Some(head(2));
    WithHead { body, head }
}

fn witness_request(asker: u8, witness: u8) -> Signed<WitnessRequest> {
    let request = WitnessRequest {
        asker: key(asker).public(),
        witness: key(witness).public(),
        nonce: WitnessNonce([3; 32]),
        remembered: Some(head(witness)),
    };
    Signed::sign(request, &key(asker))
}

/// Requests to an escrow.
pub fn escrow_request() -> Vec<Vec<u8>> {
    let contract = contract();
    let terms = contract.terms.clone();
    let signature = by_purchase_key(&terms, PurchaseKeyUse::Cancel);
    let purchase = terms.purchase_id();
    let sales = SalesRequest {
        escrow: key(2).public(),
        merchant: key(3).public(),
        known: 1,
    };
    let all = [
        EscrowRequest::Hold(HoldRequest {
            contract: contract.clone(),
            payment: payment(),
        }),
        EscrowRequest::Pay(PayRequest(HoldRequest {
            contract: contract.clone(),
            payment: payment(),
        })),
        EscrowRequest::Sales(Signed::sign(sales, &key(3))),
        EscrowRequest::Release(ReleaseRequest {
            contract,
            hold: hold(),
            goods_key: goods_key(),
        }),
        EscrowRequest::Cancel(CancelRequest {
            terms: terms.clone(),
            signature,
            coin: None,
        }),
        EscrowRequest::Outcome(OutcomeRequest { purchase, signature }),
        EscrowRequest::Overdue(with_head(OverdueRequest {
            overdue: overdue(&terms),
            terms,
        })),
        EscrowRequest::Witness(AskEscrow(witness_request(1, 2))),
        EscrowRequest::Open(OpenRequest(HoldRequest {
            contract: stream_contract(),
            payment: payment(),
        })),
        EscrowRequest::Raise(RaiseRequest {
            voucher: voucher(2),
            wants_key: true,
        }),
        EscrowRequest::Close(CloseRequest {
            close: close(),
            voucher: Some(voucher(2)),
        }),
    ];
    all.iter().map(bytes).collect()
}

/// Requests to a merchant.
pub fn merchant_request() -> Vec<Vec<u8>> {
    let (bank, escrow) = (key(1).public(), key(2).public());
    let stream = stream_contract().terms;
    let all = [
        MerchantRequest::Catalog(CatalogRequest {
            after: Some(ItemId([1; 32])),
        }),
        MerchantRequest::Offer(OfferRequest {
            item_id: ItemId([8; 32]),
            bank,
            escrow,
        }),
        MerchantRequest::Piece(PieceRequest {
            item_id: ItemId([8; 32]),
            encrypted_digest: EncryptedDigest([2; 32]),
            offset: 9,
        }),
        MerchantRequest::Deliver(DeliverRequest {
            contract: contract(),
            hold: hold(),
        }),
        MerchantRequest::Take(TakeRequest(contract())),
        MerchantRequest::Watch(WatchRequest {
            contract: stream_contract(),
            opened: opened(),
        }),
        MerchantRequest::Ticks(TicksRequest {
            purchase: stream.purchase_id(),
            voucher: Some(voucher(2)),
            window: 64,
            wait_ms: 2000,
        }),
        MerchantRequest::Stop(StopRequest {
            purchase: stream.purchase_id(),
            signature: by_purchase_key(&stream, PurchaseKeyUse::Stop),
            voucher: Some(voucher(2)),
        }),
    ];
    all.iter().map(bytes).collect()
}

/// Replies, after the number of their request.
pub fn replies() -> Vec<Vec<u8>> {
    fn reply<R: Serialize>(which: u8, reply: R) -> Vec<u8> {
        [vec![which], encode_reply(&Ok(reply))].concat()
    }
    let refusal: Result<Amount, Refusal> = Err(RequestFault::Malformed("no".into()).into());
    vec![
        reply(0, signed_list()),
        reply(1, Amount(7)),
        [vec![1], encode_reply(&refusal)].concat(),
        reply(
            9,
            KeptMemo {
                version: 1,
                memo: Some(Memo(vec![0; SEALED_RECORD_BYTES])),
            },
        ),
        reply(10, hold()),
        reply(13, SignedDecision::Commit(commit())),
        reply(
            14,
            CatalogPage {
                items: Vec::new(),
                more: false,
            },
        ),
        reply(15, contract().offer),
        reply(16, Piece { bytes: vec![1; 99] }),
        reply(7, Collected::Streamed(Box::new(stream_commit(2)))),
        reply(12, Outcome::Streaming(opened())),
        reply(12, Outcome::Streamed(Box::new(stream_commit(2)))),
        reply(
            19,
            RaiseReply {
                raised: Signed::sign(raised(), &key(2)),
                key: Some(goods_key()),
            },
        ),
        reply(20, Some(voucher(2))),
        reply(21, ticks()),
    ]
}

/// The merchant's word that it ends the stream.
fn close() -> Signed<Close> {
    let close = Close {
        purchase: stream_contract().terms.purchase_id(),
        escrow: key(2).public(),
    };
    Signed::sign(close, &key(3))
}

fn raised() -> Raised {
    Raised {
        purchase: stream_contract().terms.purchase_id(),
        ticks: 2,
    }
}

/// The first two ticks of the stream, as its merchant signs them.
fn batch() -> Batch {
    let purchase = stream_contract().terms.purchase_id();
    let tick = |index| {
        let key = chain::key_at(&goods_key(), TICKS, index);
        chain::encrypt_tick(&key, &purchase, index, vec![7; 20]).into()
    };
    Batch::sign(purchase, 1, vec![tick(1), tick(2)], &key(3))
}

fn ticks() -> Ticks {
    Ticks {
        key: Some(goods_key()),
        batch: Some(batch()),
        ended: false,
    }
}

fn a_card(role: RoleName, number: u8) -> Card {
    Card {
        role,
        name: format!("node-{number}"),
        address: "127.0.0.1:7001".parse().expect("an address"),
        fingerprint: Fingerprint([number; 32]),
        identity: key(number).public(),
        fields: Default::default(),
    }
}

/// Cards.
pub fn card() -> Vec<Vec<u8>> {
    let mut card = a_card(RoleName::Bank, 1);
    let plain = card.to_string();
    card.address = "[2001:db8::1]:7001".parse().expect("an address");
    let second = card.to_string();
    card.address = "bank.example:7001,[2001:db8::1]:7001".parse().expect("addresses");
    let newer = format!("{card}/next-tls=0a/pq=b");
    [plain, second, newer].map(String::into_bytes).into()
}

/// Network files.
pub fn network_file() -> Vec<Vec<u8>> {
    let cards = [
        a_card(RoleName::Bank, 1),
        a_card(RoleName::Escrow, 2),
        a_card(RoleName::Merchant, 3),
    ];
    vec![serde_json::to_vec_pretty(&cards).expect("cards are JSON")]
}

/// A journal of a few records, with and without the file of acknowledged records.
pub fn journal() -> Vec<Vec<u8>> {
    let disk = MemoryDisk::new();
    let dir = Path::new(JOURNAL_DIR);
    let (store, _) = Store::open(dir, StoreOptions::simulated(disk.clone(), 1)).expect("a store");
    for row in 1..6u8 {
        let put = store.transact_blocking(Reads::none(), move |tx| {
            ROWS.put(tx, &[row; 32], &vec![row; usize::from(row) * 9])
        });
        put.expect("it is durable");
    }
    store.close().expect("it closes");
    let journal = disk.bytes(&dir.join("journal")).unwrap_or_default();
    // The store reserves space ahead. The sample keeps little of it.
    let used = journal
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let journal = journal.get(..journal.len().min(used + 64)).unwrap_or_default();
    let state = disk.bytes(&dir.join("state")).unwrap_or_default();
    let cut = u8::try_from(state.len()).unwrap_or(0);
    let state = if cut == 0 { &[][..] } else { &state };
    vec![
        [&[cut][..], state, journal].concat(),
        [&[0][..], journal].concat(),
    ]
}

/// Sealed records, and sealed and wrapped keys.
pub fn note() -> Vec<Vec<u8>> {
    let note = seal_record(
        &RecoveryRecordKey::from_bytes([1; 32]),
        &RecoveryRecordId([7; 32]),
        b"bought a song",
    )
    .expect("it is short");
    let sealed =
        seal_goods_key(&key(8), &key(9).public(), &SealingContext([7; 32]), &goods_key()).expect("it seals");
    vec![note, bytes(&sealed), bytes(&contract().offer.body.wrapped_key)]
}

/// Encrypted goods of one chunk and of two.
pub fn goods() -> Vec<Vec<u8>> {
    let file = |size: usize| {
        let mut file = vec![200];
        let mut encryptor = Encryptor::new(&ContentKey::from_bytes([5; 32]), [6; 32]);
        encryptor.update(&vec![1; size], &mut file).expect("it is small");
        encryptor.finish(&mut file).expect("it is small");
        file
    };
    vec![file(0), file(100), file(70_000)]
}

/// Key lists.
pub fn key_list() -> Vec<Vec<u8>> {
    let mut late = signed_list();
    late.body.calendar.epoch_ms = u64::MAX / 8;
    vec![bytes(&signed_list()), bytes(&late)]
}

/// Coins with signatures.
pub fn coins_and_signatures() -> Vec<Vec<u8>> {
    let nobody = PublicKey([0; 32]);
    vec![bytes(&coins()), [nobody.0.to_vec(), vec![255; 32]].concat()]
}

/// Amounts as people type them.
pub fn amount() -> Vec<Vec<u8>> {
    let all = [
        "20",
        "4.5",
        "0.01",
        "184467440737095516.15",
        "184467440737095516.16",
    ];
    all.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// A customer's evidence of a purchase.
pub fn evidence() -> Vec<Vec<u8>> {
    let contract = contract();
    let terms = &contract.terms;
    let receipt = Receipt {
        purchase: terms.purchase_id(),
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount: terms.price,
        goods_key: goods_key(),
    };
    let papers = Papers {
        contract: Some(contract),
        receipt: Some(Signed::sign(receipt, &key(2))),
        ..Papers::default()
    };
    let (stream, batch) = (stream_commit(2), batch());
    let of_stream = Papers {
        contract: Some(stream_contract()),
        opened: Some(opened()),
        commit: Some(stream.commit),
        voucher: Some(stream.voucher),
        raised: Some(Signed::sign(raised(), &key(2))),
        tick: Some(ShownTick {
            batch: batch.signed,
            index: 1,
            tick: batch.ticks[0].to_vec(),
            key: chain::key_at(&goods_key(), TICKS, 1),
        }),
        ..Papers::default()
    };
    [papers, of_stream]
        .iter()
        .map(|papers| serde_json::to_vec(papers).expect("it is JSON"))
        .collect()
}

/// Indicia.
pub fn indicium() -> Vec<Vec<u8>> {
    indicium_samples()
}

/// Files of scanned mail.
pub fn scanned_mail() -> Vec<Vec<u8>> {
    scanned_mail_samples()
}

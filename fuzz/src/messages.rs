//! Requests as servers decode them, and replies as their askers decode them.

use crate::purchase;
use farthing_coin::{KeyList, Signed};
use farthing_protocol::api::{AskBank, AskEscrow, BankRequest, EscrowRequest, MerchantRequest};
use farthing_protocol::contract::check_deadline;
use farthing_protocol::deposit::verify_deposit;
use farthing_protocol::documents::{BankHold, Hold, Issued, Receipt};
use farthing_protocol::free::verify_take;
use farthing_protocol::history::{verify_head, verify_witness_request};
use farthing_protocol::hold::{verify_bank_hold, verify_hold_contract};
use farthing_protocol::issue::Begun;
use farthing_protocol::limits::REPLY_MAX_BYTES;
use farthing_protocol::money::Amount;
use farthing_protocol::offer::{CatalogPage, Offered, Piece, verify_deliver};
use farthing_protocol::refund::verify_refund;
use farthing_protocol::refusal::Refusal;
use farthing_protocol::reserve::verify_reserve;
use farthing_protocol::restore::{
    BucketPage, Memo, WithdrawalsPage, verify_account, verify_memo, verify_withdrawals,
};
use farthing_protocol::sealed::{PayRequest, SalesPage, verify_sales};
use farthing_protocol::settle::{Answers, Collected, verify_settle};
use farthing_protocol::stream::{
    KnownStream, RaiseReply, Ticks, Voucher, check_batch, check_voucher, verify_close, verify_open,
    verify_raise, verify_stop, verify_watch,
};
use farthing_protocol::{
    decide::{verify_cancel, verify_overdue, verify_release},
    decision::{Committed, Outcome, SignedDecision},
};
use farthing_protocol::{exchange, wire, withdraw};
use farthing_store::entropy::{Entropy, SeededEntropy};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn one_spelling(value: &impl Serialize, data: &[u8]) {
    assert_eq!(wire::encode(value).as_deref(), Ok(data));
}

/// Formats the refusal, if any. Formatting must not panic.
fn said<T>(result: Result<T, Refusal>) {
    if let Err(refusal) = result {
        let _text = refusal.to_string();
    }
}

/// A request to a bank, up to the checks that need its rows.
pub fn bank_request(data: &[u8]) {
    let Ok(request) = BankRequest::decode(data) else {
        return;
    };
    one_spelling(&request, data);
    let (here, keys) = (purchase::key(1).public(), purchase::keys());
    let entropy: &dyn Entropy = &SeededEntropy::new(1);
    let rng = &mut entropy.rng();
    let _caller = request.caller();
    match request {
        BankRequest::Keys(_) | BankRequest::Collect(_) => {}
        BankRequest::Account(request) => said(verify_account(request, &here)),
        BankRequest::WithdrawBegin(request) => said(withdraw::verify_begin(request, &here)),
        BankRequest::WithdrawFinish(request) => said(withdraw::verify_finish(request, &here)),
        BankRequest::Withdrawals(request) => said(verify_withdrawals(request, &here)),
        BankRequest::ExchangeBegin(request) => said(exchange::verify_begin(request, &here, keys, rng)),
        BankRequest::ExchangeFinish(request) => said(exchange::verify_finish(request, &here, keys, rng)),
        BankRequest::Hold(request) => said(verify_bank_hold(request.body, &here, keys, rng)),
        BankRequest::Settle(request) => said(verify_settle(request, &here, |_| Ok(None), rng)),
        BankRequest::Push(request) => {
            if let Some(head) = &request.head {
                let _forged = verify_head(head, &request.body.escrow);
            }
            said(verify_settle(request.body, &here, |_| Ok(None), rng));
        }
        BankRequest::Witness(AskBank(request)) => said(verify_witness_request(request, &here)),
        BankRequest::Bucket(request) => {
            // A prefix with set bits after its length matches nothing. Its lookup still starts at a valid id.
            if request.prefix.check().is_ok() {
                let _any = request.prefix.holds(&request.prefix.first());
            }
        }
        BankRequest::Memo(request) => said(verify_memo(request, &here)),
        BankRequest::Reserve(request) => said(verify_reserve(request, &here)),
        BankRequest::ReserveBegin(request) => said(withdraw::verify_reserve_begin(request, &here)),
        BankRequest::ReserveFinish(request) => said(withdraw::verify_reserve_finish(request, &here)),
        BankRequest::Deposit(request) => said(verify_deposit(request, &here, keys, rng)),
        BankRequest::Refund(request) => said(verify_refund(request, &here)),
    }
}

/// A request to an escrow, up to the checks that need its rows.
pub fn escrow_request(data: &[u8]) {
    let Ok(request) = EscrowRequest::decode(data) else {
        return;
    };
    one_spelling(&request, data);
    let here = purchase::key(2).public();
    let open = &purchase::open_stream();
    let _caller = request.caller();
    match request {
        EscrowRequest::Hold(request) => {
            for now_ms in [0, purchase::DEADLINE_MS, u64::MAX] {
                let _late = check_deadline(&request.contract.terms, now_ms);
            }
            said(verify_hold_contract(request, &here));
        }
        EscrowRequest::Release(request) => said(verify_release(request, &here, |_| purchase::key(8))),
        EscrowRequest::Cancel(request) => said(verify_cancel(request, &here)),
        EscrowRequest::Outcome(_) => {}
        EscrowRequest::Overdue(request) => said(verify_overdue(request.body, &here)),
        EscrowRequest::Witness(AskEscrow(request)) => said(verify_witness_request(request, &here)),
        EscrowRequest::Pay(PayRequest(request)) => said(verify_hold_contract(request, &here)),
        EscrowRequest::Sales(request) => said(verify_sales(&request, &here)),
        EscrowRequest::Open(request) => said(verify_open(request, &here)),
        EscrowRequest::Raise(request) => {
            let known = KnownStream::Open(open);
            said(verify_raise(&request.voucher, known, true).map(|raise| raise.respond(open)));
        }
        EscrowRequest::Close(request) => said(verify_close(&request, open, &here)),
    }
}

/// A request to a merchant, up to the checks that need its rows.
pub fn merchant_request(data: &[u8]) {
    let Ok(request) = MerchantRequest::decode(data) else {
        return;
    };
    one_spelling(&request, data);
    let _caller = request.caller();
    let here = purchase::key(3).public();
    match request {
        MerchantRequest::Deliver(request) => said(verify_deliver(request, &here)),
        MerchantRequest::Take(request) => said(verify_take(request, &here, 0)),
        MerchantRequest::Watch(request) => said(verify_watch(request, &here, 0)),
        MerchantRequest::Ticks(request) => {
            let terms = purchase::stream_contract().terms;
            let voucher = request.voucher.as_ref();
            let checked = voucher.map(|voucher| check_voucher(voucher, &terms, purchase::TICKS));
            said(checked.unwrap_or(Ok(())));
        }
        MerchantRequest::Stop(request) => {
            let terms = purchase::stream_contract().terms;
            said(verify_stop(&request, &terms).map_err(Refusal::from));
        }
        MerchantRequest::Catalog(_) | MerchantRequest::Offer(_) | MerchantRequest::Piece(_) => {}
    }
}

/// A reply to any request. The first byte selects the request.
pub fn replies(data: &[u8]) {
    let Some((&which, reply)) = data.split_first() else {
        return;
    };
    let decoders: [fn(&[u8]); 22] = [
        decode::<Signed<KeyList>>,
        decode::<Amount>,
        decode::<Begun>,
        decode::<Signed<Issued>>,
        decode::<WithdrawalsPage>,
        decode::<Signed<BankHold>>,
        decode::<Answers>,
        decode::<Collected>,
        decode::<BucketPage>,
        decode::<Option<Memo>>,
        decode::<Signed<Hold>>,
        decode::<Committed>,
        decode::<Outcome>,
        decode::<SignedDecision>,
        decode::<CatalogPage>,
        decode::<Offered>,
        decode::<Piece>,
        decode::<Signed<Receipt>>,
        decode::<SalesPage>,
        decode::<RaiseReply>,
        decode::<Option<Signed<Voucher>>>,
        ticks,
    ];
    if let Some(decode) = decoders.get(usize::from(which) % decoders.len()) {
        decode(reply);
    }
}

/// A merchant's ticks, which a wallet checks before it pays for them.
fn ticks(data: &[u8]) {
    decode::<Ticks>(data);
    let decoded = wire::decode::<Result<Ticks, Refusal>>(data, REPLY_MAX_BYTES);
    if let Ok(Ok(Ticks {
        batch: Some(batch), ..
    })) = decoded
    {
        let terms = purchase::stream_contract().terms;
        let _refused = check_batch(&batch, &terms, 0, 64);
    }
}

fn decode<R: Serialize + DeserializeOwned>(data: &[u8]) {
    if let Ok(reply) = wire::decode::<Result<R, Refusal>>(data, REPLY_MAX_BYTES) {
        one_spelling(&reply, data);
        said(reply);
    }
}

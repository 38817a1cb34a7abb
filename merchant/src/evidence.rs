//! What proves a sale.

use crate::rows::{Sale, SaleState};
use farthing_coin::Signed;
use farthing_protocol::{
    documents::{Abort, Settled},
    evidence::Papers,
    refund::Refunded,
    stream::{Raised, StreamCommit},
};

/// A merchant's side of a sale: with the encrypted goods, all that a judge needs.
///
/// `broken` is a promise of the escrow that its decision on a stream does not keep.
///
/// # Errors
/// A message for the operator, when there is nothing to prove.
pub(crate) fn evidence(
    sale: Sale,
    refunded: Option<Signed<Refunded>>,
    broken: Option<Signed<Raised>>,
) -> Result<Papers, String> {
    let opened = sale.opened();
    let papers = Papers {
        refunds: refunded.into_iter().collect(),
        contract: Some(sale.contract),
        bank_hold: Some(sale.hold.body.bank_hold.clone()),
        // The hold of a stream is in truth the escrow's word that it is open.
        hold: opened.is_none().then_some(sale.hold),
        opened,
        raised: broken,
        ..Papers::default()
    };
    let of_stream =
        |stream: Box<StreamCommit>, settled: Option<Signed<Settled>>, abort: Option<Signed<Abort>>| {
            Ok(Papers {
                commit: Some(stream.commit),
                voucher: Some(stream.voucher),
                settled,
                abort,
                ..papers.clone()
            })
        };
    let (committed, settled, abort) = match sale.state {
        SaleState::Committed(committed) => (*committed, None, None),
        SaleState::Credited(committed, settled) => (*committed, Some(settled), None),
        SaleState::Unpaid(committed, abort) => (*committed, None, Some(abort)),
        SaleState::Streamed(stream) => return of_stream(stream, None, None),
        SaleState::StreamCredited(stream, settled) => return of_stream(stream, Some(settled), None),
        SaleState::StreamUnpaid(stream, abort) => return of_stream(stream, None, Some(abort)),
        SaleState::Streaming | SaleState::Closing(_) => {
            return Err("this stream has not ended; ask again when it has".into());
        }
        SaleState::Releasing => {
            return Err("the escrow has not committed this sale yet; ask again later".into());
        }
        SaleState::Aborted(abort) => {
            return Ok(Papers {
                abort: Some(*abort),
                ..papers
            });
        }
        SaleState::Ended(why) => {
            return Err(format!(
                "this sale came to nothing, so there is nothing to prove: {why}"
            ));
        }
    };
    Ok(Papers {
        receipt: Some(committed.receipt),
        commit: Some(committed.commit),
        settled,
        abort,
        ..papers
    })
}

//! Streams at the escrow: they are opened, raised and closed.

use crate::escrow::Escrow;
use crate::rows::STREAMS;
use crate::transactions;
use farthing_coin::Signed;
use farthing_node::call::unavailable;
use farthing_node::network::Lane;
use farthing_protocol::{
    decision::{Decision, Outcome},
    documents::PurchaseId,
    refusal::{PurchaseFault, Refusal},
    stream::{
        CloseRequest, KnownStream, OpenRequest, OpenStream, PreparedEnding, RaiseReply, RaiseRequest,
        open_stream, verify_close, verify_open, verify_raise,
    },
};

impl Escrow {
    /// Asks the bank to hold the coins for a stream, and opens it.
    ///
    /// A stream that is open or decided gets how it stands, so the same request never opens two.
    ///
    /// # Errors
    /// Those of [`hold`](Escrow::hold). When the deadline has passed, or the offer is sold.
    pub async fn open(&self, request: OpenRequest) -> Result<Outcome, Refusal> {
        let agreed = verify_open(request, &self.self_id())?;
        let purchase = agreed.contract().purchase();
        if let Some(known) = self.known(&purchase)? {
            return Ok(known);
        }
        self.drain.check()?;
        let held = self.have_held(agreed).await?;
        let opened = open_stream(held, &self.key, |purchase| self.ephemeral(purchase))?;
        let open = match opened {
            Ok(open) => open,
            // The sealed key is wrong. The coins are released.
            Err(release) => return Ok(self.commit(release).await?.outcome(&self.key)),
        };
        let bank = open.terms().bank;
        let (known, clock) = (self.bank_known(&bank), self.time.clock_ms());
        let reads = transactions::open_reads(&open);
        self.write_row(bank, reads, move |tx| {
            transactions::open(tx, &open, &known, &clock)
        })
        .await?;
        let stands = self.known(&purchase)?;
        stands.ok_or_else(|| PurchaseFault::Unknown(purchase).into())
    }

    /// Stores the voucher of a stream, unless one for as many ticks is stored, and promises to commit it.
    ///
    /// # Errors
    /// When the purchase is not known as a stream, or the voucher does not pay for its ticks. When the customer has shown too
    /// many.
    pub async fn raise(&self, request: RaiseRequest, lane: Lane) -> Result<RaiseReply, Refusal> {
        let RaiseRequest { voucher, wants_key } = request;
        let purchase = voucher.body.purchase;
        let (open, decision) = (self.open_stream(&purchase)?, self.decision(&purchase)?);
        if decision.is_none() {
            self.history.standing()?;
        }
        let unknown = PurchaseFault::Unknown(purchase);
        let known = KnownStream::of(open.as_ref(), decision.as_ref()).ok_or(unknown)?;
        let raise = verify_raise(&voucher, known, lane != Lane::Peer)?;
        if let KnownStream::Open(open) = known
            && raise.respond(open)?.is_some()
        {
            let bank = open.terms.bank;
            let (reads, raised) = (transactions::raise_reads(&purchase), raise.clone());
            self.write_row(bank, reads, move |tx| transactions::raise(tx, &raised))
                .await?;
        }
        Ok(raise.reply(known, wants_key, &self.key))
    }

    /// Ends a stream for its merchant, with the highest voucher that the escrow was ever shown.
    ///
    /// # Errors
    /// When the purchase is not known, the merchant did not sign the request, or its voucher does not pay for the ticks.
    pub async fn close(&self, request: CloseRequest) -> Result<Outcome, Refusal> {
        let purchase = request.close.body.purchase;
        if let Some(decision) = self.decision(&purchase)? {
            return Ok(decision.outcome(&self.key));
        }
        self.history.standing()?;
        let open = self.open_stream(&purchase)?;
        let open = open.ok_or(PurchaseFault::Unknown(purchase))?;
        let verified = verify_close(&request, &open, &self.self_id())?;
        let prepared = verified.prepare(&open, |purchase| self.ephemeral(purchase))?;
        Ok(self.end(prepared).await?.outcome(&self.key))
    }

    /// Writes the decision on an open stream.
    pub(crate) async fn end(&self, prepared: PreparedEnding) -> Result<Decision, Refusal> {
        let bank = prepared.terms().bank;
        let (known, clock) = (self.bank_known(&bank), self.time.clock_ms());
        let reads = transactions::end_reads(prepared.terms());
        self.write_decision(bank, reads, move |tx| {
            transactions::end(tx, &prepared, &known, &clock)
        })
        .await
    }

    /// The row of an open stream.
    pub(crate) fn open_stream(&self, purchase: &PurchaseId) -> Result<Option<OpenStream>, Refusal> {
        let open = STREAMS.peek(&self.store.view(), purchase);
        open.map_err(|e| unavailable(&e))
    }

    /// The escrow's word that a stream is open.
    pub(crate) fn streaming(&self, open: OpenStream) -> Outcome {
        Outcome::Streaming(Signed::sign(open.opened, &self.key))
    }

    /// How a purchase stands, if it is decided or an open stream.
    fn known(&self, purchase: &PurchaseId) -> Result<Option<Outcome>, Refusal> {
        if let Some(decision) = self.decision(purchase)? {
            return Ok(Some(decision.outcome(&self.key)));
        }
        Ok(self.open_stream(purchase)?.map(|open| self.streaming(open)))
    }
}

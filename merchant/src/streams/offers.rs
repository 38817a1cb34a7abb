//! Offers on streams.

use crate::merchant::{Merchant, OFFER_LIFE_MAX_MS, STREAM_LIFE_MS};
use crate::rows::{Item, STREAMS, StreamItem, StreamSource};
use crate::service::OfferedSale;
use farthing_coin::Signed;
use farthing_node::call::unavailable;
use farthing_protocol::{
    documents::{AcceptedBank, Offer},
    goods::TAG_BYTES,
    ids::{ItemId, KeyCiphertext, SaleId},
    offer::OfferRequest,
    offered_key::OfferedKey,
    refusal::{Later, Refusal},
    seal::WrappedKey,
    stream::chain,
};

/// A stream has no content key.
const NOTHING_WRAPPED: WrappedKey = WrappedKey {
    body: KeyCiphertext([0; 32]),
    tag: [0; TAG_BYTES],
};

impl Merchant {
    /// What an item has in addition if it is sold by ticks.
    pub(crate) fn stream_of(&self, item_id: &ItemId) -> Result<Option<StreamItem>, Refusal> {
        let stream = STREAMS.peek(&self.store.view(), item_id);
        stream.map_err(|e| unavailable(&e))
    }

    /// The sale id of a new offer on a stream.
    ///
    /// # Errors
    /// When nobody feeds a live stream now.
    pub(crate) fn stream_sale(&self, item_id: &ItemId, stream: &StreamItem) -> Result<SaleId, Refusal> {
        match stream.source {
            StreamSource::File { .. } => Ok(self.fresh_sale()),
            StreamSource::Live => match self.streams.feed(item_id) {
                Some(_) => Ok(self.streams.live_sale(&*self.entropy)),
                None => Err(Later::Unavailable("the stream gets no data now".into()).into()),
            },
        }
    }

    /// Makes an offer on a stream. Its goods key is the key of the last tick, sealed to the escrow. It hashes once for each
    /// tick.
    pub(crate) async fn stream_offer(
        &self,
        request: &OfferRequest,
        item: Item,
        stream: &StreamItem,
        bank: AcceptedBank,
    ) -> Result<Signed<Offer>, Refusal> {
        let sale_id = self.stream_sale(&request.item_id, stream)?;
        let (goods_key, ticks) = (self.secret.goods_key(&sale_id), stream.ticks);
        let last = goods_key.clone();
        let commitment = tokio::task::spawn_blocking(move || chain::commitment(&last, ticks)).await;
        let life_ms = STREAM_LIFE_MS.min(OFFER_LIFE_MAX_MS);
        let sale = OfferedSale {
            sale_id,
            wrapped_key: NOTHING_WRAPPED,
            key_commitment: commitment.map_err(|e| Later::Unavailable(e.to_string()))?,
            expires_ms: self.clock.now_ms().saturating_add(life_ms),
        };
        let mut offer = self.offer_of(request, item, bank, sale);
        offer.sealed_key = Some(OfferedKey {
            ticks: Some(ticks),
            ..self.seal_key(&offer, &request.escrow, &goods_key)?
        });
        Ok(Signed::sign(offer, &self.key))
    }
}

//! Offers on streams.

use crate::merchant::{Merchant, OFFER_LIFE_MAX_MS, STREAM_LIFE_MS};
use crate::rows::{Item, STREAMS, StreamItem, StreamSource};
use farthing_coin::Signed;
use farthing_node::call::unavailable;
use farthing_protocol::{
    documents::{AcceptedBank, Offer, SaleLimit},
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
            StreamSource::File { .. } => {
                let mut sale_id = SaleId([0; 32]);
                self.entropy.fill(&mut sale_id.0);
                Ok(sale_id)
            }
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
        let now_ms = self.clock.now_ms();
        let (goods_key, ticks) = (self.secret.goods_key(&sale_id), stream.ticks);
        let last = goods_key.clone();
        let commitment = tokio::task::spawn_blocking(move || chain::commitment(&last, ticks));
        let unavailable = |why: String| Refusal::from(Later::Unavailable(why));
        let mut offer = Offer {
            merchant: self.self_id(),
            sale_id,
            item_id: request.item_id,
            title: item.title,
            description: item.description,
            media_type: item.media_type,
            size_bytes: item.summary.size_bytes,
            encrypted_bytes: item.summary.encrypted_bytes,
            goods_digest: item.summary.digest,
            encrypted_digest: item.summary.encrypted_digest,
            wrapped_key: NOTHING_WRAPPED,
            key_commitment: commitment.await.map_err(|e| unavailable(e.to_string()))?,
            price: item.price,
            currency: item.currency,
            escrows: vec![request.escrow],
            banks: vec![bank],
            expires_ms: now_ms.saturating_add(STREAM_LIFE_MS.min(OFFER_LIFE_MAX_MS)),
            served_until_ms: now_ms.saturating_add(self.settings.served_ms),
            sales: SaleLimit::Once,
            sealed_key: None,
        };
        let ephemeral = self.secret.ephemeral(&sale_id);
        let context = offer.sealing_context();
        let sealed = OfferedKey::seal(&ephemeral, &request.escrow, &context, &goods_key);
        let sealed = sealed.map_err(|e| unavailable(e.to_string()))?;
        offer.sealed_key = Some(OfferedKey {
            ticks: Some(ticks),
            ..sealed
        });
        Ok(Signed::sign(offer, &self.key))
    }
}

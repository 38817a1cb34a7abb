//! The merchant's answers to requests.

use crate::check::{self, OwnDelivery};
use crate::merchant::{Merchant, OFFER_LIFE_MAX_MS};
use crate::rows::{ITEMS, Item, Reservation, STOCKS, WITHDRAWN};
use crate::stock;
use crate::transactions::{self, DeliveryStep};
use async_trait::async_trait;
use farthing_coin::{PublicKey, Signed};
use farthing_node::call::{CallError, ask, check_lane, unavailable};
use farthing_node::card::RoleName;
use farthing_node::network::{Caller, Lane, Service};
use farthing_protocol::{
    api::{MerchantRequest, encode_reply},
    decide::ReleaseRequest,
    decision::Committed,
    documents::{Abort, AcceptedBank, Contract, FreeReceipt, Offer, Receipt, SaleLimit},
    free::{TakeRequest, verify_take},
    goods::GoodsKey,
    ids::{ItemId, KeyCommitment, SaleId},
    limits::{CATALOG_PAGE_MAX, GOODS_PIECE_BYTES, GOODS_WITH_OFFER_MAX_BYTES, REPLY_TIMEOUT},
    offer::{
        CatalogPage, CatalogRequest, DeliverRequest, OfferRequest, Offered, Piece, PieceRequest,
        verify_deliver,
    },
    offered_key::OfferedKey,
    purchase::check_abort_cause,
    refusal::{Advice, ContractFault, GoodsFault, Later, PurchaseFault, Refusal},
    seal::{WrappedKey, commit_goods_key, wrap},
};
use serde::Serialize;
use std::ops::Bound;

/// The topics of the complaints about releases.
const TOPIC_SILENT: &str = "release silent";
const TOPIC_ANSWER: &str = "release answer";

/// What an offer has of its own sale.
pub(crate) struct OfferedSale {
    pub(crate) sale_id: SaleId,
    pub(crate) wrapped_key: WrappedKey,
    pub(crate) key_commitment: KeyCommitment,
    pub(crate) expires_ms: u64,
}

#[async_trait]
impl Service for Merchant {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.call_from(Caller::any(), lane, request).await
    }

    async fn call_from(&self, caller: Caller, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.dispatch(caller, lane, &request)
            .await
            .unwrap_or_else(|refusal| encode_reply::<()>(&Err(refusal)))
    }
}

impl Merchant {
    async fn dispatch(&self, caller: Caller, lane: Lane, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = MerchantRequest::decode(request)?;
        check_lane(lane, request.caller())?;
        let mut turn = Some(caller);
        Ok(match request {
            MerchantRequest::Catalog(request) => reply(self.catalog(request)),
            MerchantRequest::Offer(request) => reply(self.offer(request).await),
            MerchantRequest::Piece(request) => reply(self.piece(request).await),
            MerchantRequest::Deliver(request) => reply(self.deliver(request).await),
            MerchantRequest::Take(request) => reply(self.take(request)),
            MerchantRequest::Watch(request) => reply(self.watch(request).await),
            MerchantRequest::Ticks(request) => reply(self.ticks(request, &mut turn).await),
            MerchantRequest::Stop(request) => reply(self.stop(request).await),
        })
    }

    /// Returns a page of the catalogue.
    ///
    /// # Errors
    /// When the store fails.
    pub fn catalog(&self, request: CatalogRequest) -> Result<CatalogPage, Refusal> {
        let from = request.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = ITEMS
            .scan(&self.store.view(), from, CATALOG_PAGE_MAX + 1)
            .map_err(|e| unavailable(&e))?;
        Ok(CatalogPage {
            more: rows.len() > CATALOG_PAGE_MAX,
            items: rows
                .into_iter()
                .take(CATALOG_PAGE_MAX)
                .map(|(item_id, item)| item.for_catalog(item_id))
                .collect(),
        })
    }

    /// Makes an offer for one sale, with the goods if they are small.
    ///
    /// It takes constant time for goods of any size, and writes nothing, except the reservation of an item with a count.
    /// The contract brings back all that the delivery needs.
    ///
    /// # Errors
    /// [`Later::Draining`]. When the item is unknown or sold out, the bank or the escrow has no pinned card, or the shelf
    /// cannot be read now.
    pub async fn offer(&self, request: OfferRequest) -> Result<Offered, Refusal> {
        self.drain.check()?;
        let item = ITEMS
            .peek(&self.store.view(), &request.item_id)
            .map_err(|e| unavailable(&e))?
            .ok_or(GoodsFault::UnknownItem)?;
        let not_accepted = |what: &str| GoodsFault::NotAccepted(what.into());
        if self.peers.card(RoleName::Escrow, &request.escrow).is_none() {
            return Err(not_accepted("escrow").into());
        }
        if self.peers.card(RoleName::Bank, &request.bank).is_none() {
            return Err(not_accepted("bank").into());
        }
        let book = self.keys.book(&request.bank).await?;
        if book.list().currency != item.currency {
            return Err(not_accepted("bank: its currency is another").into());
        }
        let bank = AcceptedBank {
            bank: request.bank,
            account: self.account,
            key_list_digest: book.digest(),
        };
        if let Some(stream) = self.stream_of(&request.item_id)? {
            let offer = self.stream_offer(&request, item, &stream, bank).await?;
            return Ok(Offered {
                offer,
                goods: Vec::new(),
            });
        }
        let sale_id = self.fresh_sale();
        let encrypted_bytes = item.summary.encrypted_bytes;
        let life_ms = self.settings.offer_life_ms.min(OFFER_LIFE_MAX_MS);
        let expires_ms = self.clock.now_ms().saturating_add(life_ms);
        self.reserve(&request, sale_id, item.sealed, expires_ms).await?;
        let offer = self.sign_offer(&request, item, sale_id, bank, expires_ms)?;
        let goods = match encrypted_bytes <= GOODS_WITH_OFFER_MAX_BYTES {
            true => self.small_goods(request.item_id, encrypted_bytes).await?,
            false => Vec::new(),
        };
        Ok(Offered { offer, goods })
    }

    /// The small encrypted goods of an item, from memory if they were read before.
    async fn small_goods(&self, item_id: ItemId, encrypted_bytes: u64) -> Result<Vec<u8>, Refusal> {
        if let Some(goods) = self.small_goods.get(&item_id) {
            return Ok(goods.to_vec());
        }
        let goods = self.read_shelf(item_id, 0, encrypted_bytes).await?;
        self.small_goods.keep(item_id, &goods);
        Ok(goods)
    }

    /// Reserves one of an item that has a count, for an offer that is about to be signed.
    async fn reserve(
        &self,
        request: &OfferRequest,
        sale_id: SaleId,
        sealed: bool,
        ends_ms: u64,
    ) -> Result<(), Refusal> {
        let item_id = request.item_id;
        let count = STOCKS.peek(&self.store.view(), &item_id);
        let count = count.map_err(|e| unavailable(&e))?.unwrap_or_default();
        if count.left.is_none() {
            return Ok(());
        }
        // Most customers who come too late are refused without a write.
        if !count.has_free() {
            return Err(GoodsFault::SoldOut.into());
        }
        let reservation = Reservation {
            item_id,
            escrow: request.escrow,
            sealed,
            ends_ms,
            releasing: 0,
        };
        let reads = stock::sale_stock_reads(&item_id, &sale_id);
        let reserved = self
            .store
            .transact(reads, move |tx| stock::reserve(tx, &sale_id, &reservation))
            .await
            .map_err(|e| unavailable(&e))?;
        match reserved {
            true => Ok(()),
            false => Err(GoodsFault::SoldOut.into()),
        }
    }

    fn sign_offer(
        &self,
        request: &OfferRequest,
        item: Item,
        sale_id: SaleId,
        bank: AcceptedBank,
        expires_ms: u64,
    ) -> Result<Signed<Offer>, Refusal> {
        let goods_key = self.secret.goods_key(&sale_id);
        let content_key = self.secret.content_key(&request.item_id);
        let is_sealed = item.sealed;
        let sale = OfferedSale {
            sale_id,
            wrapped_key: wrap(&goods_key, &sale_id, &content_key)
                .map_err(|e| Later::Unavailable(e.to_string()))?,
            key_commitment: commit_goods_key(&goods_key),
            expires_ms,
        };
        let mut offer = self.offer_of(request, item, bank, sale);
        if offer.is_free() {
            offer.sales = SaleLimit::Unlimited;
        } else if is_sealed {
            offer.sealed_key = Some(self.seal_key(&offer, &request.escrow, &goods_key)?);
        }
        Ok(Signed::sign(offer, &self.key))
    }

    /// A fresh id of a sale.
    pub(crate) fn fresh_sale(&self) -> SaleId {
        let mut sale_id = SaleId([0; 32]);
        self.entropy.fill(&mut sale_id.0);
        sale_id
    }

    /// An offer for one sale of an item, without a sealed key.
    pub(crate) fn offer_of(
        &self,
        request: &OfferRequest,
        item: Item,
        bank: AcceptedBank,
        sale: OfferedSale,
    ) -> Offer {
        Offer {
            merchant: self.self_id(),
            sale_id: sale.sale_id,
            item_id: request.item_id,
            title: item.title,
            description: item.description,
            media_type: item.media_type,
            size_bytes: item.summary.size_bytes,
            encrypted_bytes: item.summary.encrypted_bytes,
            goods_digest: item.summary.digest,
            encrypted_digest: item.summary.encrypted_digest,
            wrapped_key: sale.wrapped_key,
            key_commitment: sale.key_commitment,
            price: item.price,
            currency: item.currency,
            escrows: vec![request.escrow],
            banks: vec![bank],
            expires_ms: sale.expires_ms,
            served_until_ms: self.clock.now_ms().saturating_add(self.settings.served_ms),
            sales: SaleLimit::Once,
            sealed_key: None,
        }
    }

    /// Seals the goods key of an offer to its escrow.
    pub(crate) fn seal_key(
        &self,
        offer: &Offer,
        escrow: &PublicKey,
        goods_key: &GoodsKey,
    ) -> Result<OfferedKey, Later> {
        let ephemeral = self.secret.ephemeral(&offer.sale_id);
        let sealed = OfferedKey::seal(&ephemeral, escrow, &offer.sealing_context(), goods_key);
        sealed.map_err(|e| Later::Unavailable(e.to_string()))
    }

    /// Returns a piece of encrypted goods. It is empty at their end.
    ///
    /// # Errors
    /// [`GoodsFault::UnknownPiece`], or that the shelf cannot be read now.
    pub async fn piece(&self, request: PieceRequest) -> Result<Piece, Refusal> {
        let item = self
            .served_item(&request.item_id)?
            .ok_or(GoodsFault::UnknownPiece)?;
        if self.stream_of(&request.item_id)?.is_some() {
            return Err(GoodsFault::UnknownPiece.into());
        }
        let left = item.summary.encrypted_bytes.checked_sub(request.offset);
        let (Some(left), true) = (left, item.summary.encrypted_digest == request.encrypted_digest) else {
            return Err(GoodsFault::UnknownPiece.into());
        };
        let bytes = self.read_shelf(request.item_id, request.offset, left).await?;
        Ok(Piece { bytes })
    }

    /// Reads at most one piece of encrypted goods from `offset`.
    async fn read_shelf(&self, item_id: ItemId, offset: u64, left: u64) -> Result<Vec<u8>, Refusal> {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(GOODS_PIECE_BYTES);
        let shelf = self.shelf.clone();
        match tokio::task::spawn_blocking(move || shelf.read(&item_id, offset, length)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(shelf_failed(&error.to_string())),
            Err(error) => Err(shelf_failed(&error.to_string())),
        }
    }

    /// Returns an item that is for sale or still served.
    fn served_item(&self, item_id: &ItemId) -> Result<Option<Item>, Refusal> {
        let view = self.store.view();
        let item = ITEMS.peek(&view, item_id).map_err(|e| unavailable(&e))?;
        if item.is_some() {
            return Ok(item);
        }
        let withdrawn = WITHDRAWN.peek(&view, item_id).map_err(|e| unavailable(&e))?;
        Ok(withdrawn.map(|withdrawn| withdrawn.item))
    }

    /// Releases the goods key to the escrow, and returns the receipt.
    ///
    /// The sale is on disk before the key is sent, and the receipt before the customer gets it.
    ///
    /// # Errors
    /// When the delivery is not due, or the escrow refuses or is silent. [`PurchaseFault::Closed`] for a purchase that is long
    /// past, of which the merchant keeps nothing.
    pub async fn deliver(&self, request: DeliverRequest) -> Result<Signed<Receipt>, Refusal> {
        let deliver = verify_deliver(request, &self.self_id())?;
        let delivery = check::own_delivery(deliver, &self.secret, &self.account)?;
        let terms = delivery.deliver.contract().terms();
        // Both must be pinned. The escrow is trusted to decide, and the bank to pay.
        self.peers.link(RoleName::Bank, &terms.bank)?;
        self.peers.link(RoleName::Escrow, &terms.escrow)?;
        let contract = delivery.deliver.contract().contract().clone();
        let (request, begun) = self.begin_release(delivery).await?;
        match begun {
            DeliveryStep::Release => {}
            DeliveryStep::Committed(committed) => return Ok(committed.receipt),
            DeliveryStep::Aborted => return Err(PurchaseFault::Aborted(contract.terms.purchase_id()).into()),
            DeliveryStep::SoldOut => return Err(GoodsFault::SoldOut.into()),
            DeliveryStep::WithoutCauses => return Err(ContractFault::WithoutCauses.into()),
            DeliveryStep::Closed => return Err(PurchaseFault::Closed(contract.terms.purchase_id()).into()),
        }
        let released = self.release(&contract, request).await;
        // In each case the sale is open: the escrow must be asked again, or the bank must credit it.
        self.sale_opened.notify_one();
        Ok(released?.receipt)
    }

    /// Gives the goods key of a free item. Writes nothing: the same request always gets the same receipt.
    ///
    /// # Errors
    /// When the contract is not on a free offer of this merchant, or its goods are no longer served.
    pub fn take(&self, request: TakeRequest) -> Result<Signed<FreeReceipt>, Refusal> {
        let take = verify_take(request, &self.self_id(), self.clock.now_ms())?;
        let goods_key = self.secret.goods_key(&take.offer().sale_id);
        take.respond(goods_key, &self.key)
    }

    async fn begin_release(&self, delivery: OwnDelivery) -> Result<(ReleaseRequest, DeliveryStep), Refusal> {
        let request = ReleaseRequest {
            contract: delivery.deliver.contract().contract().clone(),
            hold: delivery.deliver.hold().clone(),
            goods_key: delivery.goods_key.clone(),
        };
        let reads = transactions::begin_release_reads(&request.contract);
        let now_ms = self.clock.now_ms();
        let begun = self
            .store
            .transact(reads, move |tx| {
                transactions::begin_release(tx, &delivery, now_ms)
            })
            .await
            .map_err(|e| unavailable(&e))?;
        Ok((request, begun))
    }

    /// Asks the escrow to commit a stored sale, and stores its answer. The escrow always gives the same answer, so this can
    /// run again, also concurrently.
    pub(crate) async fn release(
        &self,
        contract: &Contract,
        request: ReleaseRequest,
    ) -> Result<Committed, Refusal> {
        let purchase = contract.terms.purchase_id();
        let link = self.peers.link(RoleName::Escrow, &contract.terms.escrow)?;
        let answer = ask(&*link, request, REPLY_TIMEOUT).await;
        if matches!(&answer, Ok(_) | Err(CallError::Refused(_)))
            && let Some(times) = self.complaints.clear(TOPIC_SILENT, &contract.terms.escrow)
        {
            tracing::info!(times, "the escrow answers releases again");
        }
        let now_ms = self.clock.now_ms();
        let committed = match answer {
            Ok(committed) => committed,
            Err(CallError::Refused(Refusal::Purchase(PurchaseFault::AbortedBy(abort)))) => {
                return Err(self.keep_abort(contract, *abort).await);
            }
            Err(CallError::Refused(refusal)) => {
                if refusal.advice() == Advice::GiveUp {
                    let why = refusal.to_string();
                    self.store
                        .transact(transactions::decided_sale_reads(contract), move |tx| {
                            transactions::end_sale(tx, &purchase, &why, now_ms)
                        })
                        .await
                        .map_err(|e| unavailable(&e))?;
                }
                return Err(refusal);
            }
            Err(error) => {
                self.complaints.tell(TOPIC_SILENT, &contract.terms.escrow, |times| {
                    tracing::warn!(%error, times, "an escrow did not answer a release; it is asked again");
                });
                return Err(Later::PeerSilent("escrow".into()).into());
            }
        };
        let checked = check::committed(contract, committed.clone())
            .map_err(|error| self.does_not_fit(contract, &error.to_string()))?;
        self.store
            .transact(transactions::decided_sale_reads(contract), move |tx| {
                transactions::commit_sale(tx, &checked, now_ms)
            })
            .await
            .map_err(|e| unavailable(&e))?;
        Ok(committed)
    }

    /// Stores the abort with which an escrow has answered a release. The sale has ended. If the abort has no cause,
    /// contract, hold and abort convict the escrow.
    async fn keep_abort(&self, contract: &Contract, abort: Signed<Abort>) -> Refusal {
        let checked = match check::aborted(&contract.terms, abort) {
            Ok(checked) => checked,
            Err(error) => return self.does_not_fit(contract, &error.to_string()),
        };
        let purchase = checked.purchase;
        if let Err(error) = check_abort_cause(&checked.abort, contract) {
            tracing::error!(
                %purchase, escrow = %contract.terms.escrow, %error,
                "an escrow has aborted a sale without a cause; `farthing-merchant evidence` exports the proof"
            );
        }
        let now_ms = self.clock.now_ms();
        let kept = self
            .store
            .transact(transactions::decided_sale_reads(contract), move |tx| {
                transactions::abort_sale(tx, &checked, now_ms)
            });
        match kept.await {
            Ok(()) => PurchaseFault::Aborted(purchase).into(),
            Err(error) => unavailable(&error),
        }
    }

    fn does_not_fit(&self, contract: &Contract, error: &str) -> Refusal {
        self.complaints.tell(TOPIC_ANSWER, &contract.terms.escrow, |times| {
            tracing::error!(
                error,
                times,
                "an escrow has answered a release with documents that do not fit it; the sale stays open; the escrow is asked \
                 again"
            );
        });
        Later::Unavailable("its escrow's answer does not fit the purchase".into()).into()
    }
}

fn reply<R: Serialize>(outcome: Result<R, Refusal>) -> Vec<u8> {
    encode_reply(&outcome)
}

fn shelf_failed(why: &str) -> Refusal {
    tracing::error!(
        why,
        "cannot read the encrypted goods; customers are told to ask again"
    );
    Later::Unavailable("its goods cannot be read; its operator is told in its log".into()).into()
}

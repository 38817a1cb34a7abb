//! A merchant's catalogue, read page by page. Only one page is in memory at a time.

use crate::{error::WalletError, peer_client::PeerClient, wallet::Wallet};
use farthing_node::{card::Card, network::Lane};
use farthing_protocol::{
    ids::ItemId,
    offer::{CatalogItem, CatalogReader},
};

/// Shortest prefix of an item id that names an item (characters).
const PREFIX_MIN_CHARS: usize = 4;

/// A merchant's catalogue that is being read.
///
/// ```no_run
/// # use farthing_client::{error::WalletError, wallet::Wallet};
/// # use farthing_node::card::RoleName;
/// # async fn list(wallet: &Wallet) -> Result<(), WalletError> {
/// let merchant = wallet.party(RoleName::Merchant, Some("studio"))?;
/// let mut catalog = wallet.catalog(&merchant);
/// while let Some(items) = catalog.next_page().await? {
///     for item in items {
///         println!("{} {}", item.price, item.title);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Catalog<'w> {
    peer: PeerClient<'w>,
    reader: CatalogReader,
}

impl Wallet {
    /// Opens the merchant's catalogue, to be read page by page.
    pub fn catalog(&self, merchant: &Card) -> Catalog<'_> {
        Catalog {
            peer: self.peer_client(merchant, Lane::Anonymous),
            reader: CatalogReader::default(),
        }
    }
}

impl Catalog<'_> {
    /// The items of the next page; `None` at the end.
    ///
    /// # Errors
    /// When the merchant does not answer, or the catalogue breaks the rules.
    pub async fn next_page(&mut self) -> Result<Option<Vec<CatalogItem>>, WalletError> {
        next_page(&mut self.peer, &mut self.reader).await
    }
}

async fn next_page(
    peer: &mut PeerClient<'_>,
    reader: &mut CatalogReader,
) -> Result<Option<Vec<CatalogItem>>, WalletError> {
    let Some(request) = reader.request() else {
        return Ok(None);
    };
    let page = peer.must(&request).await?;
    let items = reader.on_page(page).map_err(|why| WalletError::Catalog {
        merchant: peer.party(),
        why,
    })?;
    Ok(Some(items))
}

/// The one item that `wanted` names, by its title or by a prefix of its id. The catalogue is read to its end, because
/// several items may match.
///
/// # Errors
/// When no item or several items match, the merchant does not answer, or the catalogue breaks the rules.
pub(crate) async fn find_item(peer: &mut PeerClient<'_>, wanted: &str) -> Result<CatalogItem, WalletError> {
    let mut reader = CatalogReader::default();
    let mut found = None;
    while let Some(items) = next_page(peer, &mut reader).await? {
        for item in items
            .into_iter()
            .filter(|item| is_named(&item.title, &item.item_id, wanted))
        {
            if found.replace(item).is_some() {
                return Err(WalletError::SeveralItems(wanted.into()));
            }
        }
    }
    found.ok_or_else(|| WalletError::NoItem(wanted.into()))
}

/// Whether `wanted` names an item: its title, or a prefix of its id.
pub(crate) fn is_named(title: &str, item_id: &ItemId, wanted: &str) -> bool {
    title == wanted
        || (wanted.len() >= PREFIX_MIN_CHARS
            && hex::encode(item_id).starts_with(&wanted.to_ascii_lowercase()))
}

//! The constant part of a world: its servers' identities, and what its merchants sell.

use super::party::Party;
use farthing_coin::{SecretKey, Seed};
use farthing_merchant::{
    rows::{Item, StreamItem, StreamSource},
    secret::MerchantSecret,
    shelf::GoodsShelf,
    streams::source::digest_chunks,
    transactions::{add_item, add_item_reads, add_stream},
};
use farthing_node::card::{Card, RoleName};
use farthing_node::fingerprint::Fingerprint;
use farthing_protocol::goods::{GoodsSummary, encrypted_len};
use farthing_protocol::ids::{EncryptedDigest, GoodsDigest, ItemId};
use farthing_protocol::money::Amount;
use farthing_store::{
    Store, StoreOptions,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Path of a server's store on its disk.
pub const STORE: &str = "/store";

/// The size of a tick of a stream (bytes).
pub const CHUNK_BYTES: usize = 100;

/// The ticks of a stream.
pub const TICKS: u32 = 5;

/// Title of every merchant's item.
pub const ITEM: &str = "a picture";

/// The servers of a world, besides its one bank.
#[derive(Debug, Clone)]
pub struct Population {
    /// Number of escrows.
    pub escrows: usize,
    /// Price of each merchant's item.
    pub prices: Vec<Amount>,
    /// Size of each item (bytes).
    pub goods_bytes: usize,
    /// The merchants whose offers are sealed.
    pub sealed: BTreeSet<usize>,
    /// The merchants whose item is a stream, of chunks of [`CHUNK_BYTES`].
    pub streams: BTreeSet<usize>,
    /// Whether there is a relay, which all wallets use.
    pub relayed: bool,
}

impl Default for Population {
    fn default() -> Self {
        Self {
            escrows: 1,
            prices: vec![Amount(725)],
            goods_bytes: 100_000,
            sealed: BTreeSet::new(),
            streams: BTreeSet::new(),
            relayed: false,
        }
    }
}

impl Population {
    /// With this price of the merchant's item.
    pub fn with_price(price: Amount) -> Self {
        Self {
            prices: vec![price],
            ..Self::default()
        }
    }

    /// The same, with a relay.
    #[must_use]
    pub fn relayed(self) -> Self {
        Self {
            relayed: true,
            ..self
        }
    }

    /// One of each, with a merchant whose item is a stream of [`TICKS`] ticks.
    pub fn streaming() -> Self {
        Self {
            prices: vec![Amount(500)],
            goods_bytes: TICKS as usize * CHUNK_BYTES,
            streams: BTreeSet::from([0]),
            ..Self::default()
        }
    }

    /// One of each, with a merchant whose offers are sealed.
    pub fn sealed() -> Self {
        Self {
            sealed: BTreeSet::from([0]),
            ..Self::default()
        }
    }
}

/// The constant part of a world.
pub struct Foundation {
    /// The seed of all random choices.
    pub seed: u64,
    /// The servers.
    pub population: Population,
    pub(super) identities: BTreeMap<Party, (Card, [u8; 32])>,
    homes: TempDir,
}

impl Foundation {
    /// The foundation of a world.
    pub fn lay(seed: u64, population: Population) -> Foundation {
        let homes = Self::directory();
        let entropy: &dyn Entropy = &SeededEntropy::new(seed);
        let mut identities = BTreeMap::new();
        let mut identify = |party, role, name: String| {
            let key = SecretKey::generate(&mut entropy.rng());
            let identity = key.public();
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1 + identities.len() as u16));
            let card = Card {
                role,
                name,
                address: address.into(),
                fingerprint: Fingerprint(identity.0),
                identity,
                fields: Default::default(),
            };
            identities.insert(party, (card, *key.to_bytes()));
        };
        identify(Party::Bank, RoleName::Bank, "central".into());
        for number in 0..population.escrows {
            identify(
                Party::Escrow(number),
                RoleName::Escrow,
                format!("escrow-{number}"),
            );
        }
        for number in 0..population.prices.len() {
            identify(
                Party::Merchant(number),
                RoleName::Merchant,
                format!("merchant-{number}"),
            );
            let home = homes.path().join(number.to_string());
            std::fs::create_dir(&home).expect("a directory");
            MerchantSecret::generate(entropy).save(&home).expect("a secret");
        }
        // Last, so that the other identities are the same with and without a relay.
        if population.relayed {
            identify(Party::Relay, RoleName::Relay, "veil".into());
        }
        Foundation {
            seed,
            population,
            identities,
            homes,
        }
    }

    /// A directory that is removed with its owner. In memory if possible, because every test writes and syncs many
    /// small files.
    pub fn directory() -> TempDir {
        let memory = Path::new("/dev/shm");
        let made = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        made.expect("a directory")
    }

    /// The cards of all servers.
    pub fn cards(&self) -> Vec<Card> {
        self.identities.values().map(|(card, _)| card.clone()).collect()
    }

    /// A server's identity key.
    pub fn key(&self, party: Party) -> SecretKey {
        SecretKey::from_bytes(&self.identities[&party].1).expect("the key is one")
    }

    /// The seed of a customer's wallet.
    pub fn seed_of(&self, name: &str) -> Seed {
        let mut bytes = [0; 32];
        SeededEntropy::new(self.seed ^ 0xC057).fill(&mut bytes);
        bytes
            .iter_mut()
            .zip(name.bytes())
            .for_each(|(byte, c)| *byte ^= c);
        Seed::from_bytes(&bytes)
    }

    /// Where a merchant keeps its secret and its goods.
    pub fn merchant_home(&self, number: usize) -> PathBuf {
        self.homes.path().join(number.to_string())
    }

    /// What a merchant sells.
    pub fn goods(&self, number: usize) -> Vec<u8> {
        (0..self.population.goods_bytes)
            .map(|at| ((at + number) % 251) as u8)
            .collect()
    }

    /// A tick of a merchant's stream: 1 for the first one.
    pub fn tick(&self, number: usize, tick: u32) -> Vec<u8> {
        let begin = (tick as usize - 1) * CHUNK_BYTES;
        self.goods(number)[begin..][..CHUNK_BYTES].to_vec()
    }

    /// Puts a merchant's goods on its shelf as the chunks of a stream.
    fn shelve_chunks(&self, number: usize, item_id: &ItemId) -> (GoodsSummary, StreamItem) {
        let home = self.merchant_home(number);
        let (path, goods) = (home.join("records"), self.goods(number));
        std::fs::write(&path, &goods).expect("the file is written");
        let (digests, size_bytes) =
            digest_chunks(&mut goods.as_slice(), CHUNK_BYTES as u32, |_| {}).expect("the digests");
        let shelf = GoodsShelf::open(&home).expect("the shelf");
        shelf
            .add_chunks(item_id, &digests)
            .expect("the digests are shelved");
        let source = StreamSource::File {
            path: path.to_str().expect("a path in UTF-8").into(),
            chunk_bytes: CHUNK_BYTES as u32,
            chunks: TICKS,
        };
        let summary = GoodsSummary {
            size_bytes,
            encrypted_bytes: encrypted_len(size_bytes),
            digest: GoodsDigest([0; 32]),
            encrypted_digest: EncryptedDigest([0; 32]),
        };
        (summary, StreamItem { ticks: TICKS, source })
    }

    /// A merchant's disk before it is first started, with its item on it.
    pub async fn stocked(&self, number: usize) -> MemoryDisk {
        let home = self.merchant_home(number);
        let secret = MerchantSecret::load(&home).expect("the secret");
        let (item_id, salt) = (ItemId([7 + number as u8; 32]), [8; 32]);
        let (summary, stream) = match self.population.streams.contains(&number) {
            true => {
                let (summary, stream) = self.shelve_chunks(number, &item_id);
                (summary, Some(stream))
            }
            false => {
                let key = secret.content_key(&item_id);
                let shelf = GoodsShelf::open(&home).expect("the shelf");
                let shelved = shelf.add(&item_id, &key, salt, &mut self.goods(number).as_slice(), |_| {});
                (shelved.expect("the goods are shelved").summary, None)
            }
        };
        let item = Item {
            title: ITEM.into(),
            description: "of nothing".into(),
            media_type: "image/png".into(),
            price: self.population.prices[number],
            currency: "FTH".into(),
            summary,
            file_name: "goods".into(),
            sealed: self.population.sealed.contains(&number),
        };
        let disk = MemoryDisk::new();
        let options = StoreOptions::simulated(disk.clone(), self.seed ^ number as u64);
        let (store, _) = Store::open(Path::new(STORE), options).expect("the store opens");
        store
            .transact(add_item_reads(&item_id), move |tx| match &stream {
                None => add_item(tx, &item_id, &item),
                Some(stream) => add_stream(tx, &item_id, &item, stream),
            })
            .await
            .expect("the item is added");
        store.close().expect("the store closes");
        disk
    }
}

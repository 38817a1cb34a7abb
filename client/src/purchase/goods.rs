//! Goods: fetched encrypted before the payment, decrypted after it.
//!
//! Small goods are kept in the wallet's store, in the same write that puts coins to them. They become a file only for
//! a judge. Large goods are files from the beginning, so that a long download can be resumed.

use super::output::{are_small, fault, put_goods};
use crate::{
    error::{PlaceFault, WalletError},
    goods_names::{PART, SEALED, goods_name},
    observer::WalletEvent,
    peer_client::PeerClient,
    rows::{FileId, PurchaseRow, SMALL_GOODS, SmallGoods},
    wallet::{GOODS_DIR, Wallet},
};
use farthing_node::{
    home::files::{self, Mode, NewFile, OutputError},
    transport::{CONNECTION_WINDOW_BYTES, slowest},
};
use farthing_protocol::{
    documents::Offer,
    evidence::{Judge, NoVerdict, Papers, Verdict},
    goods::{Decryptor, GoodsKey, RunningDigest},
    limits::GOODS_PIECE_BYTES,
    offer::{Offered, Piece, PieceRequest},
    seal::unwrap,
};
use futures_util::{
    FutureExt,
    future::BoxFuture,
    stream::{FuturesOrdered, StreamExt},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// The most pieces of goods under way at once. Their bytes fit into the send window that a server has for a connection.
const PIECES_UNDER_WAY_MAX: usize = CONNECTION_WINDOW_BYTES as usize / GOODS_PIECE_BYTES;

/// The pieces under way at first: more than a long line carries before the first of them has come. With fewer, it would
/// be idle for a round trip.
const PIECES_UNDER_WAY_AT_FIRST: usize = 4;

/// A piece that comes within this time lets more pieces be under way. The first one on a long line takes six round trips.
const PIECE_QUICK: Duration = Duration::from_secs(2);

/// A piece that takes longer than this lets fewer pieces be under way.
const PIECE_SLOW: Duration = Duration::from_secs(4);

/// Buffer size for reading a file (bytes).
const READ_BYTES: usize = 64 * 1024;

impl Wallet {
    /// The file of a purchase's encrypted goods, for a judge. Goods that are kept in the store are written to it now.
    /// If none were fetched yet, there is no file at this path.
    ///
    /// # Errors
    /// When there is no such purchase, or the file cannot be written.
    pub fn goods_file(&self, number: u64) -> Result<PathBuf, WalletError> {
        let path = goods_path(self, &self.purchase(number)?.purchase.offer().body);
        if !path.exists()
            && let Some(small) = SMALL_GOODS.peek(&self.rows(), &number)?
        {
            files::replace(&path, &small.0, Mode::Secret).map_err(WalletError::io(&path))?;
        }
        Ok(path)
    }
}

/// The goods that came with an offer; `None` if they must be fetched.
///
/// # Errors
/// [`WalletError::WrongGoods`] when they are not the offer's goods.
pub(crate) fn came_with(offered: Offered) -> Result<Option<SmallGoods>, WalletError> {
    let Offered { offer, goods } = offered;
    if goods.is_empty() || !are_small(&offer.body) {
        return Ok(None);
    }
    let mut digest = RunningDigest::new();
    digest.update(&goods);
    match are_of(digest, &offer.body) {
        true => Ok(Some(SmallGoods(goods))),
        false => Err(WalletError::WrongGoods),
    }
}

/// Whether this is the digest of the offer's encrypted goods.
fn are_of(digest: RunningDigest, offer: &Offer) -> bool {
    digest.finish() == offer.encrypted_digest
}

/// The path of the encrypted goods of `offer`, if they are a file. Without the seed, its name tells nothing.
fn goods_path(wallet: &Wallet, offer: &Offer) -> PathBuf {
    let name = goods_name(&wallet.seed, &offer.encrypted_digest);
    wallet.dir().join(GOODS_DIR).join(format!("{name}.{SEALED}"))
}

/// How much of the encrypted goods of `offer` is missing in the wallet (bytes). Small goods need no room of their own.
pub(crate) fn missing_bytes(wallet: &Wallet, offer: &Offer) -> u64 {
    let path = goods_path(wallet, offer);
    let fetched = [path.with_extension(PART), path].map(|path| path.metadata().map_or(0, |file| file.len()));
    match are_small(offer) {
        true => 0,
        false => offer
            .encrypted_bytes
            .saturating_sub(fetched.into_iter().max().unwrap_or(0)),
    }
}

/// Fetches what is missing of a purchase's encrypted goods, and checks their digest. Large goods are durable after
/// that. Small goods are returned, and the caller stores them with its next write.
pub(crate) async fn fetch_goods(
    wallet: &Wallet,
    offer: &Offer,
    peer: &mut PeerClient<'_>,
) -> Result<Option<SmallGoods>, WalletError> {
    if !are_small(offer) {
        fetch_file(wallet, offer, peer).await?;
        return Ok(None);
    }
    let mut goods = Vec::new();
    let digest = RunningDigest::new();
    let keep = |bytes: &[u8]| {
        goods.extend_from_slice(bytes);
        Ok(())
    };
    match fetch_pieces(wallet, offer, peer, digest, keep).await? {
        Fetched::AsOffered => Ok(Some(SmallGoods(goods))),
        Fetched::Otherwise => Err(WalletError::WrongGoods),
    }
}

async fn fetch_file(wallet: &Wallet, offer: &Offer, peer: &mut PeerClient<'_>) -> Result<(), WalletError> {
    let path = goods_path(wallet, offer);
    if path.exists() {
        return Ok(());
    }
    let part = path.with_extension(PART);
    let (mut file, digest) = open_part(&part, offer.encrypted_bytes).map_err(WalletError::io(&part))?;
    let keep = |bytes: &[u8]| file.write_all(bytes).map_err(WalletError::io(&part));
    if let Fetched::Otherwise = fetch_pieces(wallet, offer, peer, digest, keep).await? {
        // Removed, so that the next attempt starts from nothing.
        drop(file);
        std::fs::remove_file(&part).map_err(WalletError::io(&part))?;
        return Err(WalletError::WrongGoods);
    }
    // Durable before the payment: the bytes that were checked are the bytes that will be decrypted.
    file.sync_all().map_err(WalletError::io(&part))?;
    match std::fs::rename(&part, &path) {
        // Another purchase of the same goods has finished the same download first.
        Err(gone) if gone.kind() == io::ErrorKind::NotFound && path.exists() => {}
        renamed => renamed.map_err(WalletError::io(&path))?,
    }
    files::sync_parent(&path).map_err(WalletError::io(&path))
}

/// Fetches the pieces that follow the bytes in `digest`, passes each to `keep`, and checks the digest of all. A merchant
/// that sends less than the slowest line can carry is given up, however it cuts its pieces.
async fn fetch_pieces(
    wallet: &Wallet,
    offer: &Offer,
    peer: &mut PeerClient<'_>,
    mut digest: RunningDigest,
    mut keep: impl FnMut(&[u8]) -> Result<(), WalletError>,
) -> Result<Fetched, WalletError> {
    let total_bytes = offer.encrypted_bytes;
    let see = |done_bytes| {
        wallet.observer().on_event(&WalletEvent::Goods {
            done_bytes,
            total_bytes,
        });
    };
    let mut ahead = ReadAhead::new(offer);
    let (began, first) = (Instant::now(), digest.bytes());
    while digest.bytes() < total_bytes {
        let offset = digest.bytes();
        see(offset);
        if began.elapsed() > peer.silence_max() + slowest(offset - first) {
            return Err(peer.too_slow::<PieceRequest>());
        }
        let piece = ahead.next(offset, peer).await?;
        if piece.bytes.is_empty() || offset.saturating_add(piece.bytes.len() as u64) > total_bytes {
            return Ok(Fetched::Otherwise);
        }
        keep(&piece.bytes)?;
        digest.update(&piece.bytes);
    }
    see(digest.bytes());
    Ok(match are_of(digest, offer) {
        true => Fetched::AsOffered,
        false => Fetched::Otherwise,
    })
}

/// The pieces that are under way. A long line carries several at once, so that it is never idle.
struct ReadAhead<'o> {
    offer: &'o Offer,
    /// In the order of their offsets. Each has the time at which it was asked for.
    under_way: FuturesOrdered<BoxFuture<'static, (PieceRequest, Instant, Option<Piece>)>>,
    /// Where the next piece to ask for begins.
    next: u64,
    /// How many pieces may be under way.
    window: usize,
    /// When the last piece came. The line carries one piece after the other.
    last: Option<Instant>,
}

impl<'o> ReadAhead<'o> {
    fn new(offer: &'o Offer) -> Self {
        ReadAhead {
            offer,
            under_way: FuturesOrdered::new(),
            next: 0,
            window: PIECES_UNDER_WAY_AT_FIRST,
            last: None,
        }
    }

    /// The piece at `offset`.
    async fn next(&mut self, offset: u64, peer: &mut PeerClient<'_>) -> Result<Piece, WalletError> {
        self.ask(offset, peer);
        if let Some((request, asked, Some(piece))) = self.under_way.next().await
            && request.offset == offset
        {
            peer.answered::<PieceRequest>();
            self.adapt(asked);
            return Ok(piece);
        }
        // There is no connection yet, a piece is shorter than expected, or it has not come: ask for it until it comes.
        self.under_way.clear();
        self.next = offset.saturating_add(GOODS_PIECE_BYTES as u64);
        let (request, asked) = (self.request(offset), Instant::now());
        let piece = peer.must(&request).await?;
        self.adapt(asked);
        Ok(piece)
    }

    /// Asks for as many pieces as the window allows, from `offset` on, if there is a connection.
    fn ask(&mut self, offset: u64, peer: &PeerClient<'_>) {
        self.next = self.next.max(offset);
        while self.under_way.len() < self.window && self.next < self.offer.encrypted_bytes {
            let request = self.request(self.next);
            let Some(answer) = peer.ask_ahead(request) else {
                return;
            };
            let asked = Instant::now();
            self.under_way
                .push_back(async move { (request, asked, answer.await.ok()) }.boxed());
            self.next = self.next.saturating_add(GOODS_PIECE_BYTES as u64);
        }
    }

    fn request(&self, offset: u64) -> PieceRequest {
        PieceRequest {
            item_id: self.offer.item_id,
            encrypted_digest: self.offer.encrypted_digest,
            offset,
        }
    }

    /// Fits the window to the time that the line took for a piece. One piece is enough for a slow line.
    fn adapt(&mut self, asked: Instant) {
        let began = self.last.map_or(asked, |last| last.max(asked));
        let took = began.elapsed();
        self.last = Some(Instant::now());
        if took < PIECE_QUICK {
            self.window = (self.window * 2).min(PIECES_UNDER_WAY_MAX);
        } else if took > PIECE_SLOW {
            self.window = (self.window / 2).max(1);
        }
    }
}

/// Goods that are decrypted to a file.
pub(crate) struct Delivered<'a> {
    /// Number of the purchase.
    pub(crate) number: u64,
    /// The purchase.
    pub(crate) row: &'a PurchaseRow,
    /// The encrypted goods, if they have no file.
    pub(crate) small: Option<&'a SmallGoods>,
    /// The file that they may replace.
    pub(crate) replaceable: Option<FileId>,
}

/// Decrypts the goods to the output's path, or to a name beside it if another file is there. Returns the path; `None`
/// if the goods are not what the offer describes.
///
/// # Errors
/// [`WalletError::NotDelivered`] when the file cannot be written.
pub(crate) fn open_goods(
    wallet: &Wallet,
    delivered: Delivered<'_>,
    offer: &Offer,
    goods_key: &GoodsKey,
) -> Result<Option<PathBuf>, WalletError> {
    let Delivered {
        number,
        row,
        small,
        replaceable,
    } = delivered;
    let output = row.output.as_path();
    let failed = |source| {
        let path = output.to_path_buf();
        fault(number, row, PlaceFault::Output(OutputError::Io { path, source }))
    };
    let mut goods = NewFile::beside(output, Mode::Public).map_err(failed)?;
    let opened = match small {
        Some(SmallGoods(bytes)) => {
            // The store has these goods durably, and writes the file again after a power failure. Syncs of file and folder
            // would take longer than a sync of the store.
            goods = goods.without_sync();
            decrypt(bytes.as_slice(), goods.file(), offer, goods_key)
        }
        None => {
            let sealed = goods_path(wallet, offer);
            let source = File::open(&sealed).map_err(WalletError::io(&sealed))?;
            decrypt(source, goods.file(), offer, goods_key)
        }
    };
    let as_described = opened.map_err(failed)?;
    if !as_described {
        return Ok(None);
    }
    let place = put_goods(output, goods, replaceable).map_err(failed)?;
    Ok(Some(place))
}

/// Removes the file of encrypted goods if its bytes have changed, for example by a disk fault. Returns whether it
/// did. The store finds its own faults.
pub(crate) fn discard_damaged(wallet: &Wallet, offer: &Offer) -> Result<bool, WalletError> {
    if are_small(offer) {
        return Ok(false);
    }
    let path = goods_path(wallet, offer);
    let mut digest = RunningDigest::new();
    let read = File::open(&path).and_then(|file| {
        read_all(file, |bytes| {
            digest.update(bytes);
            Ok(())
        })
    });
    read.map_err(WalletError::io(&path))?;
    let damaged = digest.finish() != offer.encrypted_digest;
    if damaged {
        std::fs::remove_file(&path).map_err(WalletError::io(&path))?;
    }
    Ok(damaged)
}

/// The result of a download.
enum Fetched {
    /// The goods of the offer.
    AsOffered,
    /// Other bytes.
    Otherwise,
}

/// Opens the part that was fetched so far, and computes its digest.
fn open_part(path: &Path, most_bytes: u64) -> io::Result<(File, RunningDigest)> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.len() > most_bytes {
        file.set_len(0)?;
    }
    let mut digest = RunningDigest::new();
    read_all(&file, |bytes| {
        digest.update(bytes);
        Ok(())
    })?;
    file.seek(SeekFrom::End(0))?;
    Ok((file, digest))
}

fn decrypt(source: impl Read, target: &mut File, offer: &Offer, goods_key: &GoodsKey) -> io::Result<bool> {
    let Ok(content_key) = unwrap(goods_key, &offer.sale_id, &offer.wrapped_key) else {
        return Ok(false);
    };
    let mut decryptor = Decryptor::new(&content_key);
    let mut goods = Vec::new();
    let mut corrupt = false;
    read_all(source, |bytes| {
        corrupt |= decryptor.update(bytes, &mut goods).is_err();
        target.write_all(&goods)?;
        goods.clear();
        Ok(())
    })?;
    let opened = decryptor.finish(&mut goods);
    target.write_all(&goods)?;
    let fits = |opened: &farthing_protocol::goods::Opened| {
        opened.digest == offer.goods_digest && opened.size_bytes == offer.size_bytes
    };
    Ok(!corrupt && opened.is_ok_and(|opened| fits(&opened)))
}

fn read_all(mut source: impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = source.read(&mut buffer)?;
        match buffer.get(..read) {
            None | Some([]) => return Ok(()),
            Some(bytes) => each(bytes)?,
        }
    }
}

/// Judges a purchase offline, from its documents and its file of encrypted goods.
///
/// ```no_run
/// # use farthing_client::{purchase::goods::judge, wallet::Wallet};
/// # use farthing_protocol::evidence::Verdict;
/// # fn example(wallet: &Wallet, number: u64) -> Result<(), Box<dyn std::error::Error>> {
/// let (papers, sealed) = (wallet.papers(number)?, wallet.goods_file(number)?);
/// match judge(&papers, &sealed)? {
///     Ok(Verdict::Delivered) => println!("delivered as described"),
///     Ok(verdict) => println!("broken: {verdict:?}"),
///     Err(why) => println!("nothing is proven: {why}"),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the file cannot be read. The inner error says why the documents prove nothing.
pub fn judge(papers: &Papers, sealed: &Path) -> io::Result<Result<Verdict, NoVerdict>> {
    let mut judge = match Judge::new(papers) {
        Ok(judge) => judge,
        Err(no_verdict) => return Ok(Err(no_verdict)),
    };
    let mut goods = Vec::new();
    read_all(File::open(sealed)?, |bytes| {
        judge.update(bytes, &mut goods);
        goods.clear();
        Ok(())
    })?;
    Ok(judge.verdict(&mut goods))
}

//! The ticks that a stream's customer pays for next. They are on disk before their voucher is sent, so a wallet that dies
//! has what it has paid for.
//!
//! The file has two slots of a fixed size, which are written in turn. If a write is cut off, the one before it is in the other
//! slot, and nothing was sent that depends on the new one. Each row is sealed under a key of the seed: a file that is read without
//! the seed tells nothing of the purchase.
//!
//! ```text
//! length of the sealed row (4 bytes, little-endian) || sealed row
//! ```

use crate::{
    error::WalletError,
    rows::PurchaseRow,
    vault::sealing::{self, KEY_BYTES},
    wallet::{GOODS_DIR, Wallet},
};
use farthing_coin::Signed;
use farthing_node::home::files;
use farthing_protocol::{
    ids::PurchaseId,
    purchase::Purchase,
    stream::{Batch, Voucher},
    wire,
};
use farthing_store::entropy::Entropy;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// The bytes of one slot: more than the ticks of an answer and all that is stored with them.
const SLOT_BYTES: u64 = 2 * 1024 * 1024;

/// The bytes of the length before a row.
const LENGTH_BYTES: usize = 4;

/// The associated data of a row.
const LABEL: &[u8] = b"farthing wallet held ticks";

/// Extension of a file of held ticks.
pub const HELD_TICKS: &str = "ticks";

/// The place of a record in an output file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file system.
    pub device: u64,
    /// The file's number in it.
    pub inode: u64,
    /// The bytes before the record.
    pub bytes: u64,
    /// SHA-256 of the last of these bytes. Another file may have got the number.
    pub before: [u8; 32],
}

/// The last voucher of a stream, and the ticks of it that the customer may not have seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The voucher.
    pub(crate) voucher: Signed<Voucher>,
    /// The last ticks that it pays for, encrypted. Absent if the customer has seen them.
    pub(crate) batch: Option<Batch>,
    /// Where the first record of these ticks goes, as the customer's output has said.
    pub(crate) place: Option<Place>,
}

impl Held {
    /// How many ticks were seen before the ones that may not be.
    pub(crate) fn seen(&self) -> u32 {
        let paid = self.voucher.body.ticks;
        let first = self.batch.as_ref().map(|batch| batch.signed.body.first);
        first.map_or(paid, |first| first.saturating_sub(1))
    }

    /// How many ticks of a stream that was committed for `paid` ticks may not have been seen.
    pub(crate) fn unseen(&self, paid: u32) -> u32 {
        paid.min(self.voucher.body.ticks).saturating_sub(self.seen())
    }
}

/// The file for the last voucher and the ticks of one purchase.
pub(crate) struct HeldFile {
    path: PathBuf,
    seal: Seal,
    /// The file, from the first write on.
    file: Option<File>,
    /// How many rows were written.
    written: u64,
}

/// What seals the rows.
struct Seal {
    key: Zeroizing<[u8; KEY_BYTES]>,
    entropy: Arc<dyn Entropy>,
}

/// A row of the file: its number, and what is held.
type Row = (u64, Held);

impl HeldFile {
    /// The file of a purchase, and what is in it. `None` if nothing was paid with it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn open(
        wallet: &Wallet,
        purchase: &PurchaseId,
    ) -> Result<(HeldFile, Option<Held>), WalletError> {
        let seal = Seal {
            key: Zeroizing::new(wallet.seed.held_ticks_key(&purchase.0)),
            entropy: Arc::clone(&wallet.env.entropy),
        };
        Self::at(path(wallet, purchase), seal)
    }

    fn at(path: PathBuf, seal: Seal) -> Result<(HeldFile, Option<Held>), WalletError> {
        let rows = read(&path, &seal).map_err(WalletError::io(&path))?;
        let last = rows.into_iter().flatten().max_by_key(|(number, _)| *number);
        let (written, held) = last.unzip();
        let file = HeldFile {
            path,
            seal,
            file: None,
            written: written.unwrap_or_default(),
        };
        Ok((file, held))
    }

    /// Writes a voucher and its ticks. They are durable after that.
    ///
    /// # Errors
    /// When they cannot be written. Then what was written before is still there.
    pub(crate) fn write(&mut self, held: &Held) -> Result<(), WalletError> {
        let written = self.try_write(held);
        written.map_err(WalletError::io(&self.path))
    }

    fn try_write(&mut self, held: &Held) -> io::Result<()> {
        let number = self.written.saturating_add(1);
        let row = wire::encode(&(number, held)).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
        let sealed = sealing::seal(&self.seal.key, self.seal.entropy.as_ref(), &[LABEL], &row);
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_le_bytes();
        let bytes = [length.as_slice(), &sealed].concat();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(create(&self.path)?),
        };
        file.write_all_at(&bytes, (number % 2).saturating_mul(SLOT_BYTES))?;
        file.sync_data()?;
        self.written = number;
        Ok(())
    }

    /// Removes the file, if there is one: the stream has ended, and its customer has seen what is paid.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn remove(self) -> Result<(), WalletError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(WalletError::io(&self.path)(error)),
            _ => Ok(()),
        }
    }
}

impl Wallet {
    /// How many ticks of a stream that has ended were paid for and not seen, as a process has died.
    /// [`watch_on`](Wallet::watch_on) gives them.
    ///
    /// # Errors
    /// When their file cannot be read.
    pub fn unseen_ticks(&self, row: &PurchaseRow) -> Result<u32, WalletError> {
        let held = ended_stream(self, &row.purchase)?;
        Ok(held.map_or(0, |(_, unseen)| unseen))
    }

    /// Removes the held ticks of a stream that has ended, unless some were paid for and not seen. If a process has died before
    /// this, [`resume`](Wallet::resume) does it.
    ///
    /// # Errors
    /// When their file cannot be read or removed.
    pub(crate) fn tidy_ticks(&self, row: &PurchaseRow) -> Result<(), WalletError> {
        match ended_stream(self, &row.purchase)? {
            Some((file, 0)) => file.remove(),
            _ => Ok(()),
        }
    }
}

/// The file of a stream that has ended, and how many of its ticks were paid for and not seen. `None` for other purchases.
fn ended_stream(wallet: &Wallet, purchase: &Purchase) -> Result<Option<(HeldFile, u32)>, WalletError> {
    let paid = match purchase {
        Purchase::Committed(..) => purchase.committed_ticks(),
        Purchase::Aborted(..) | Purchase::Recovered(_) => purchase.offer().body.ticks().map(|_| 0),
        _ => None,
    };
    let Some((order, paid)) = purchase.order().zip(paid) else {
        return Ok(None);
    };
    let (file, held) = HeldFile::open(wallet, &order.purchase())?;
    Ok(Some((file, held.map_or(0, |held| held.unseen(paid)))))
}

/// The path of the file. Without the seed, its name tells nothing.
fn path(wallet: &Wallet, purchase: &PurchaseId) -> PathBuf {
    let name = hex::encode(wallet.seed.goods_name(&purchase.0));
    wallet.dir().join(GOODS_DIR).join(format!("{name}.{HELD_TICKS}"))
}

/// Opens the file, or creates it durably.
fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    files::sync_parent(path)?;
    Ok(file)
}

/// Reads both slots. `None` for one that was never written, or whose write was cut off. What was read is durable: a process
/// may have died between its write and the sync.
fn read(path: &Path, seal: &Seal) -> io::Result<[Option<Row>; 2]> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok([None, None]),
        file => file?,
    };
    file.sync_data()?;
    files::sync_parent(path)?;
    Ok([read_slot(&file, 0, seal)?, read_slot(&file, SLOT_BYTES, seal)?])
}

fn read_slot(file: &File, at: u64, seal: &Seal) -> io::Result<Option<Row>> {
    let mut length = [0; LENGTH_BYTES];
    let mut sealed = Vec::new();
    let read = file.read_exact_at(&mut length, at).and_then(|()| {
        let length = u64::from(u32::from_le_bytes(length)).min(SLOT_BYTES);
        sealed.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        file.read_exact_at(&mut sealed, at.saturating_add(LENGTH_BYTES as u64))
    });
    match read {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    // What opens was written by a wallet with this seed.
    let Some(row) = sealing::open(&seal.key, &[LABEL], &sealed) else {
        return Ok(None);
    };
    let row = wire::decode(&row, row.len());
    row.map(Some).map_err(|error| {
        let why = format!("another version of this program has written it: {error}");
        io::Error::new(ErrorKind::InvalidData, why)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use farthing_coin::Seed;
    use farthing_protocol::money::Amount;
    use farthing_store::entropy::SeededEntropy;
    use tempfile::TempDir;

    const PURCHASE: PurchaseId = PurchaseId([7; 32]);

    /// Two ticks that end with tick `last`, and their voucher. None if they were seen.
    fn held(last: u32, has_ticks: bool) -> Held {
        let key = Seed::from_bytes(&[9; 32]).account_key();
        let voucher = Voucher {
            purchase: PURCHASE,
            ticks: last,
            amount: Amount(last.into()),
        };
        let ticks = vec![vec![1; 40].into(), vec![2; 30].into()];
        Held {
            voucher: Signed::sign(voucher, &key),
            batch: has_ticks.then(|| Batch::sign(PURCHASE, last - 1, ticks, &key)),
            place: None,
        }
    }

    struct Disk(TempDir);

    impl Disk {
        fn new() -> Disk {
            Disk(tempfile::tempdir().unwrap())
        }

        fn open(&self) -> (HeldFile, Option<(u32, u32)>) {
            self.open_with([3; KEY_BYTES])
        }

        fn open_with(&self, key: [u8; KEY_BYTES]) -> (HeldFile, Option<(u32, u32)>) {
            let seal = Seal {
                key: Zeroizing::new(key),
                entropy: Arc::new(SeededEntropy::new(1)),
            };
            let (file, held) = HeldFile::at(self.0.path().join("held"), seal).unwrap();
            (file, held.map(|held| (held.voucher.body.ticks, held.seen())))
        }

        /// Changes the byte of the file at this place.
        fn damage(&self, at: u64) {
            let path = self.0.path().join("held");
            let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        }
    }

    #[test]
    fn the_last_write_counts_and_the_one_before_if_it_was_cut_off() {
        let disk = Disk::new();
        assert_eq!(disk.open().1, None);
        for (last, slot) in [(2, SLOT_BYTES), (4, 0), (6, SLOT_BYTES)] {
            let (mut file, _) = disk.open();
            file.write(&held(last, true)).unwrap();
            assert_eq!(disk.open().1, Some((last, last - 2)));
            disk.damage(slot + 100);
            assert_eq!(disk.open().1, (last > 2).then(|| (last - 2, last - 4)));
            disk.damage(slot + 100);
        }
        let (mut file, _) = disk.open();
        file.write(&held(8, true)).unwrap();
        file.write(&held(10, true)).unwrap();
        assert_eq!(disk.open().1, Some((10, 8)));
    }

    #[test]
    fn ticks_that_were_seen_are_held_no_more() {
        let disk = Disk::new();
        let (mut file, _) = disk.open();
        for (last, has_ticks) in [
            (2, true),
            (4, true),
            (4, false),
            (6, true),
            (6, false),
            (6, false),
        ] {
            file.write(&held(last, has_ticks)).unwrap();
            let seen = if has_ticks { last - 2 } else { last };
            assert_eq!(disk.open().1, Some((last, seen)));
        }
        let (file, _) = disk.open();
        file.remove().unwrap();
        let (file, held) = disk.open();
        assert_eq!(held, None);
        file.remove().unwrap();
    }

    #[test]
    fn nobody_without_the_seed_reads_what_is_held() {
        let disk = Disk::new();
        disk.open().0.write(&held(2, true)).unwrap();
        assert_eq!(disk.open_with([4; KEY_BYTES]).1, None);
        let bytes = std::fs::read(disk.0.path().join("held")).unwrap();
        assert!(!bytes.windows(32).any(|window| window == PURCHASE.0));
    }

    #[test]
    fn what_another_version_has_written_is_not_taken_for_nothing() {
        let disk = Disk::new();
        let (mut file, _) = disk.open();
        file.write(&held(2, true)).unwrap();
        let sealed = sealing::seal(&[3; KEY_BYTES], &SeededEntropy::new(2), &[LABEL], b"?");
        let length = u32::try_from(sealed.len()).unwrap().to_le_bytes();
        let path = disk.0.path().join("held");
        let other = OpenOptions::new().write(true).open(&path).unwrap();
        other
            .write_all_at(&[length.as_slice(), &sealed].concat(), 0)
            .unwrap();
        let seal = Seal {
            key: Zeroizing::new([3; KEY_BYTES]),
            entropy: Arc::new(SeededEntropy::new(1)),
        };
        assert!(HeldFile::at(path, seal).is_err());
    }

    #[test]
    fn only_what_is_paid_counts_as_unseen() {
        let held = held(4, true);
        assert_eq!([1, 2, 3, 4, 5].map(|paid| held.unseen(paid)), [0, 0, 1, 2, 2]);
    }
}

//! A small world: an office, meters and stations on simulated disks.

#![allow(dead_code, reason = "each test file uses a part")]

use farthing_coin::{PublicKey, SecretKey, Seed, Signed, TextSalt};
use farthing_postage::{
    address::{Address, PostalCode},
    class::MailClass,
    day::{DAY_MS, Day},
    documents::{AuditChallenge, MeterAudit, refill_text},
    indicium::encode,
    meter::{
        device::{Device, KEY_BYTES, LockReason},
        interface::{Meter, MeterError},
        order::{JobId, PrintOrder, Printed},
        soft::SoftMeter,
    },
    office::desk::{Office, OfficeAccount},
    sort::{
        rules::{Face, StationSettings},
        station::Station,
    },
};
use farthing_protocol::{
    deposited::{DepositOutput, Deposited, Payee, text_digest},
    ids::DepositSource,
    money::Amount,
    payment_proof::PaymentProof,
};
use farthing_store::{Store, StoreOptions, disk::MemoryDisk, entropy::SeededEntropy, probe::Probe};
use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};
use zeroize::Zeroizing;

/// The day on which everything happens.
pub(crate) const TODAY: Day = Day(20_787);

/// Noon of that day (ms since 1970).
pub(crate) const NOW_MS: u64 = TODAY.0 as u64 * DAY_MS + DAY_MS / 2;

/// The address of most letters.
pub(crate) const LINES: [&str; 3] = ["Erika Mustermann", "Heidestraße 17", "51147 Köln"];

pub(crate) const DIR: &str = "/store";

pub(crate) fn key(who: u8) -> SecretKey {
    Seed::from_bytes(&[who; 32]).account_key()
}

/// The content of a device in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceContent {
    pub(crate) key: [u8; KEY_BYTES],
    pub(crate) writes: u64,
    pub(crate) locked: Option<LockReason>,
}

/// A device in memory. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct MemoryDevice(pub(crate) Arc<Mutex<DeviceContent>>);

impl MemoryDevice {
    pub(crate) fn new(number: u8) -> MemoryDevice {
        MemoryDevice::with(DeviceContent {
            key: [number; KEY_BYTES],
            writes: 0,
            locked: None,
        })
    }

    pub(crate) fn with(content: DeviceContent) -> MemoryDevice {
        MemoryDevice(Arc::new(Mutex::new(content)))
    }

    pub(crate) fn content(&self) -> DeviceContent {
        self.0.lock().unwrap().clone()
    }
}

impl Device for MemoryDevice {
    fn sealing_key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(self.content().key)
    }

    fn writes(&self) -> u64 {
        self.content().writes
    }

    fn locked(&self) -> Option<LockReason> {
        self.content().locked
    }

    fn advance(&self, writes: u64) -> io::Result<()> {
        let mut content = self.0.lock().unwrap();
        content.writes = content.writes.max(writes);
        Ok(())
    }

    fn lock(&self, why: LockReason) -> io::Result<()> {
        self.0.lock().unwrap().locked.get_or_insert(why);
        Ok(())
    }
}

/// What was on disk and device at one moment.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) point: &'static str,
    pub(crate) disk: MemoryDisk,
    pub(crate) device: Option<DeviceContent>,
}

/// Takes an image of disk and device at every point of the store: all bytes, as after a kill, and the synced bytes, as after a
/// power failure.
pub(crate) struct Camera {
    disk: MemoryDisk,
    device: Option<MemoryDevice>,
    images: Mutex<Vec<Image>>,
}

impl Camera {
    pub(crate) fn new(disk: &MemoryDisk, device: Option<&MemoryDevice>) -> Arc<Camera> {
        Arc::new(Camera {
            disk: disk.clone(),
            device: device.cloned(),
            images: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn images(&self) -> Vec<Image> {
        self.images.lock().unwrap().clone()
    }

    pub(crate) fn take(&self, point: &'static str) {
        let device = self.device.as_ref().map(MemoryDevice::content);
        for disk in [self.disk.copy(), self.disk.synced()] {
            let device = device.clone();
            self.images.lock().unwrap().push(Image { point, disk, device });
        }
    }
}

impl Probe for Camera {
    fn reached(&self, point: &'static str) {
        self.take(point);
    }
}

pub(crate) fn options(disk: &MemoryDisk) -> StoreOptions {
    StoreOptions::simulated(disk.clone(), 7)
}

pub(crate) fn filmed(disk: &MemoryDisk, camera: &Arc<Camera>) -> StoreOptions {
    StoreOptions {
        probe: Arc::clone(camera) as Arc<dyn Probe>,
        ..options(disk)
    }
}

pub(crate) fn open_meter(options: StoreOptions, device: &MemoryDevice) -> Result<SoftMeter, MeterError> {
    let entropy = Arc::new(SeededEntropy::new(3));
    SoftMeter::open(Path::new(DIR), options, Arc::new(device.clone()), entropy)
}

/// A new meter on a disk of its own. Its key differs by `number`.
pub(crate) fn new_meter(number: u8) -> (MemoryDisk, MemoryDevice, SoftMeter) {
    let (disk, device) = (MemoryDisk::new(), MemoryDevice::new(number));
    let entropy = Arc::new(SeededEntropy::new(u64::from(number) + 100));
    let shared = Arc::new(device.clone());
    let meter = SoftMeter::create(Path::new(DIR), options(&disk), shared, code("10115"), entropy).unwrap();
    (disk, device, meter)
}

/// An audit that answers no question.
pub(crate) fn audit(meter: &SoftMeter) -> Signed<MeterAudit> {
    meter.audit(AuditChallenge([0; 32])).unwrap()
}

pub(crate) fn code(text: &str) -> PostalCode {
    text.parse().unwrap()
}

pub(crate) fn bank() -> SecretKey {
    key(1)
}

pub(crate) fn account() -> PublicKey {
    key(2).public()
}

pub(crate) fn office_on(options: StoreOptions) -> Office {
    let store = Store::open(Path::new(DIR), options).unwrap().0;
    let account = OfficeAccount {
        bank: bank().public(),
        account: account(),
    };
    Office::new(store, key(3), account)
}

pub(crate) fn office() -> Office {
    office_on(options(&MemoryDisk::new()))
}

pub(crate) fn station_on(options: StoreOptions, number: u8, area: &[&str]) -> Station {
    let store = Store::open(Path::new(DIR), options).unwrap().0;
    let settings = StationSettings {
        area: area.iter().map(|prefix| code(prefix)).collect(),
        window: 100,
    };
    Station::new(store, key(number), key(3).public(), settings)
}

pub(crate) fn station(number: u8, area: &[&str]) -> Station {
    station_on(options(&MemoryDisk::new()), number, area)
}

/// What proves a payment of `amount` for `meter`. Payments differ by `number`.
pub(crate) fn proof(meter: &PublicKey, amount: u64, number: u8) -> PaymentProof {
    let (text, salt) = (refill_text(meter), [number; 32]);
    let deposited = Deposited {
        bank: bank().public(),
        source: DepositSource([number; 32]),
        outputs: vec![DepositOutput {
            to: Payee::Account(account()),
            amount: Amount(amount),
        }],
        text: text_digest(&TextSalt::from_bytes(salt), &text),
        at_ms: NOW_MS,
    };
    PaymentProof {
        deposits: vec![Signed::sign(deposited, &bank())],
        text,
        salt: hex::encode(salt),
    }
}

/// Certifies a meter and refills it once.
pub(crate) fn supply(office: &Office, meter: &SoftMeter, amount: u64, number: u8) {
    let certificate = office.certify(&meter.request().unwrap(), TODAY).unwrap();
    meter.certify(&certificate).unwrap();
    let refill = office.refill(&proof(&meter.id(), amount, number)).unwrap();
    meter.refill(&refill).unwrap();
}

/// A meter with this amount, and a copy of its state together with its device.
pub(crate) fn copied_meter(office: &Office, amount: u64) -> (SoftMeter, SoftMeter) {
    let (disk, device, meter) = new_meter(9);
    supply(office, &meter, amount, 1);
    meter.close().unwrap();
    let (copied_disk, copied_device) = (disk.copy(), MemoryDevice::with(device.content()));
    let meter = open_meter(options(&disk), &device).unwrap();
    let copy = open_meter(options(&copied_disk), &copied_device).unwrap();
    (meter, copy)
}

/// An order for a letter to `lines`. Orders differ by `job`.
pub(crate) fn order(job: u64, lines: &[&str], day: Day) -> PrintOrder {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&job.to_be_bytes());
    PrintOrder {
        job: JobId(id),
        after: job,
        class: MailClass::First,
        day,
        value: Amount(110),
        to: Address::new(lines).unwrap(),
        code: PostalCode::in_lines(lines).unwrap(),
    }
}

pub(crate) fn print(meter: &SoftMeter, job: u64) -> Printed {
    meter.print(&order(job, &LINES, TODAY)).unwrap()
}

pub(crate) fn bytes(printed: &Printed) -> Vec<u8> {
    encode(&printed.indicium)
}

pub(crate) fn face(lines: &[&str]) -> Face {
    Face {
        address: Some(Address::new(lines).unwrap()),
        value: None,
    }
}

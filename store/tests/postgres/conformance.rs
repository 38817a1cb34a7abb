//! The same transactions, reads and scans on a database and on the embedded store have the same results.

use crate::{COUNTERS, is_halted, made, open, schema, shared};
use farthing_store::disk::MemoryDisk;
use farthing_store::entropy::{Entropy, SeededEntropy};
use farthing_store::{Reads, Store, StoreError, StoreOptions, Table, limits};
use std::ops::Bound;
use std::path::Path;

const ROWS: Table<u8, Vec<u8>> = Table::new(2, "rows");
const NAMES: Table<u8, u8> = Table::new(3, "names");

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, bound: u8) -> u8 {
        let mut byte = [0];
        self.0.fill(&mut byte);
        byte[0] % bound
    }
}

/// A transaction: what it reads in two stages, and what it writes.
#[derive(Debug, Clone)]
struct Step {
    read: u8,
    write: u8,
    length: u8,
    kind: u8,
}

fn run(store: &Store, step: &Step) -> Result<(Option<Vec<u8>>, u64), StoreError> {
    let Step {
        read,
        write,
        length,
        kind,
    } = step.clone();
    let reads = Reads::from([NAMES.key(&read), COUNTERS.key(&0)]).then(move |rows| {
        let named = rows.get(&NAMES, &read)?;
        Ok(named.map(|named| ROWS.key(&named)).into_iter().collect())
    });
    store.transact_blocking(reads, move |tx| {
        let named = NAMES.get(tx, &read)?;
        let row = named.map(|named| ROWS.get(tx, &named)).transpose()?.flatten();
        let count = COUNTERS.get(tx, &0)?.unwrap_or(0) + 1;
        match kind {
            0 => ROWS.delete(tx, &write)?,
            1 => NAMES.put(tx, &read, &write)?,
            2 => return Ok((row, count)),
            3 => return Err(StoreError::Refused("no".to_owned())),
            4 => panic!("a bug"),
            5 => COUNTERS.put(tx, &0, &count)?,
            6 => drop(ROWS.get(tx, &200)?),
            _ => ROWS.put(tx, &write, &vec![write; usize::from(length)])?,
        }
        Ok((row, count))
    })
}

/// All that a handle can read: all rows, some rows, and the counter.
type Content = ([Vec<(u8, Vec<u8>)>; 2], Option<u64>);

fn content(store: &Store, dice: &Dice) -> Content {
    let view = store.view();
    let key = dice.below(20);
    let from = match dice.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(&key),
        _ => Bound::Excluded(&key),
    };
    let all = ROWS.scan(&view, Bound::Unbounded, limits::SCAN_MAX_ROWS).unwrap();
    let some = ROWS.scan(&view, from, usize::from(dice.below(6))).unwrap();
    ([all, some], COUNTERS.peek(&view, &0).unwrap())
}

#[test]
fn a_database_and_the_embedded_store_have_the_same_results() {
    let Some(cluster) = shared() else { return };
    let database = made(&cluster.url(&schema()));
    let one = open(&database).unwrap();
    let options = StoreOptions::simulated(MemoryDisk::new(), 1);
    let (other, _) = Store::open(Path::new("/store"), options).unwrap();
    let dice = Dice(SeededEntropy::new(11));
    let (seeds, mut heads) = (SeededEntropy::new(12), vec![one.head()]);
    for number in 0..400 {
        let step = Step {
            read: dice.below(4),
            write: dice.below(20),
            length: dice.below(255),
            kind: dice.below(16),
        };
        let space = u64::from(dice.below(3));
        let spaces = [&one, &other].map(|store| match space {
            0 => store.clone(),
            space => store.namespace(space),
        });
        let [a, b] = spaces.each_ref().map(|store| run(store, &step));
        assert_eq!(a, b, "{number}: {step:?}");
        let mut seed = [0; 1];
        seeds.fill(&mut seed);
        let [a, b] = spaces.map(|store| content(&store, &Dice(SeededEntropy::new(seed[0].into()))));
        assert_eq!(a, b, "{number}: {step:?}");
        if one.head() != heads[heads.len() - 1] {
            heads.push(one.head());
        }
    }
    assert_eq!(one.head().sequence, other.head().sequence);
    assert_eq!(
        heads.len() as u64,
        one.head().sequence + 1,
        "every batch has its number"
    );
    let rows = one.view().scan(&[255], Bound::Unbounded, 4096);
    assert!(rows.is_err(), "the rows of namespaces are not the store's own");
    one.close().unwrap();
    let one = open(&database).unwrap();
    for head in &heads {
        assert_eq!(one.hash_at(head.sequence).unwrap(), Some(head.hash));
    }
    assert_eq!(one.hash_at(heads.len() as u64), Ok(None));
    let dices = [3, 3].map(|seed| Dice(SeededEntropy::new(seed)));
    assert_eq!(content(&one, &dices[0]), content(&other, &dices[1]));
}

#[test]
fn the_longest_rows_fit_and_longer_ones_are_refused() {
    let Some(cluster) = shared() else { return };
    let store = open(&made(&cluster.url(&schema()))).unwrap();
    let put = |key: Vec<u8>, bytes: usize| {
        store.transact_blocking(Reads::none(), move |tx| tx.put(&key, vec![7; bytes]))
    };
    let longest = [vec![9], vec![255; limits::KEY_MAX_BYTES - 1]].concat();
    put(longest.clone(), limits::VALUE_MAX_BYTES).unwrap();
    let row = store.view().get(&longest).unwrap().unwrap();
    assert_eq!(row.len(), limits::VALUE_MAX_BYTES);
    let scanned = store.view().scan(&[9, 255], Bound::Unbounded, 9).unwrap();
    assert_eq!(scanned[0].0, longest);
    let long = put(longest, limits::VALUE_MAX_BYTES + 1);
    assert!(matches!(long, Err(StoreError::TooLong { .. })), "{long:?}");
    let long = put(vec![9; limits::KEY_MAX_BYTES + 1], 1);
    assert!(matches!(long, Err(StoreError::TooLong { .. })), "{long:?}");
    // Full batches are divided, and every job has its result.
    let waiting: Vec<_> = (0..40u8)
        .map(|row| {
            let store = store.clone();
            std::thread::spawn(move || {
                store.transact_blocking(Reads::none(), move |tx| {
                    (0..10).try_for_each(|part| tx.put(&[8, row, part], vec![row; 60_000]))
                })
            })
        })
        .collect();
    waiting.into_iter().for_each(|one| one.join().unwrap().unwrap());
    assert_eq!(
        store.view().scan(&[8], Bound::Unbounded, 4096).unwrap().len(),
        400
    );
}

#[test]
fn a_store_works_inside_runtimes_of_both_kinds_and_after_its_last_handle_it_is_free() {
    let Some(cluster) = shared() else { return };
    let database = made(&cluster.url(&schema()));
    let work = || async {
        let store = open(&database)?;
        let counted = store.transact([COUNTERS.key(&0)], crate::increment).await?;
        assert_eq!(COUNTERS.peek(&store.view(), &0)?, Some(counted));
        drop(store);
        Ok::<_, StoreError>(counted)
    };
    let single = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let multi = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    assert_eq!(single.block_on(work()), Ok(1));
    // The server needs a moment to see that the connection of the lock has ended.
    let again = (0..100).find_map(|_| match multi.block_on(work()) {
        Err(error) if error.is_in_use() => {
            std::thread::sleep(std::time::Duration::from_millis(20));
            None
        }
        result => Some(result),
    });
    assert_eq!(again, Some(Ok(2)));
}

#[test]
fn a_closed_store_refuses_and_is_free_at_once() {
    let Some(cluster) = shared() else { return };
    let database = made(&cluster.url(&schema()));
    for counted in 1..5 {
        let store = open(&database).unwrap();
        assert_eq!(crate::count(&store), Ok(counted));
        let handle = store.clone();
        store.close().unwrap();
        let error = crate::count(&handle).unwrap_err();
        assert!(error == StoreError::Closed || is_halted(&error), "{error}");
    }
}

//! One simulated world, from one seed, in virtual time.
//!
//! | what | file |
//! |---|---|
//! | one purchase in each mode, and every fault at every message and write of it | `schedules` |
//! | a wallet that dies and comes back in three ways | `deaths` |
//! | random campaigns | `campaigns` |
//! | change and refunds of purchases | `change` |
//! | gifts | `gifts` |
//! | offers that expire before any coin is put to them | `expired` |
//! | large goods from a merchant that is far away | `far_away` |
//! | requests of a lost machine that arrive after the restore | `late` |
//! | a wallet's life, and restores at random moments of it | `life` |
//! | payments by deposit that go wrong | `payments` |
//! | prices and the number of coins | `small_coins` |
//! | stories | `stories` |
//! | upkeep of a wallet | `upkeep` |
//! | what the bank forgets | `long_past` |
//! | the numbers of a wallet, and restores that find all of them | `numbers` |
//! | purchases whose escrow gives no decision | `recovered` |
//! | wallets that use a relay | `relayed` |
//! | a relay that breaks the protocol, and what a relay sees | `hostile_relay` |
//! | a wallet at a bank whose list of keys is full | `key_lists` |

/// A story of the simulation that checks itself.
macro_rules! story {
    ($module:ident :: $name:ident) => {
        #[test]
        fn $name() {
            farthing_simulation::local(farthing_simulation::$module::$name());
        }
    };
}

mod campaigns;
mod change;
mod deaths;
mod expired;
mod far_away;
mod gifts;
mod hostile_relay;
mod key_lists;
mod late;
mod life;
mod long_past;
mod numbers;
mod payments;
mod recovered;
mod relayed;
mod schedules;
mod small_coins;
mod stories;
mod upkeep;

//! Withdrawals, driven until the coins are in the wallet.

use crate::{
    error::WalletError,
    mint::{Asked, Word, add_coins, new_rows, no_word, note_finish, refused, silent},
    rows::{Counter, WITHDRAWALS},
    scan_record::{GAP_MAX, note_bridged},
    talk::{Pause, Talk},
    wallet::{Wallet, take_numbers},
    watch::Event,
};
use farthing_coin::{Coin, Document, KeyBook, KeyId, PublicKey};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_planted::{Defect, is_planted};
use farthing_protocol::{
    denial::RequestKind,
    issue::IssueState,
    limits::COINS_PER_REQUEST_MAX,
    money::{Amount, assortment},
    refusal::Refusal,
    restore::Origin,
    withdraw::{WithdrawAsk, Withdrawal},
};
use farthing_store::Transaction;

/// The most coins of one withdrawal: what is planned of it is written down at once.
const COINS_PER_WITHDRAWAL_MAX: usize = 16_384;

/// A withdrawal's bank and number.
type At = (PublicKey, u64);

impl Wallet {
    /// Withdraws `amount` from the wallet's account: an assortment of coins, in as many requests as it takes.
    ///
    /// # Errors
    /// When the bank refuses, or does not answer; then `resume` carries on.
    pub async fn withdraw(&self, bank: &Card, amount: Amount) -> Result<(), WalletError> {
        self.check_restored(&bank.identity)?;
        let keys = self.keys(bank).await?;
        let values = assortment(amount, keys.values()).ok_or(WalletError::NoCoins(amount))?;
        if values.len() > COINS_PER_WITHDRAWAL_MAX {
            return Err(WalletError::TooManyCoins {
                coins: values.len(),
                most: COINS_PER_WITHDRAWAL_MAX,
            });
        }
        let outputs = self.issuing(&keys, &values)?;
        // It says who it is here, so this is when to reserve numbers of what it does without a name, too.
        let requests = values.len().div_ceil(COINS_PER_REQUEST_MAX) as u64;
        self.bridge_gap(bank, Counter::Withdrawals, requests, GAP_MAX)
            .await?;
        self.bridge_gaps_early(bank).await?;
        let numbers = self.plan_withdrawals(bank, outputs).await?;
        let total = values.len() as u64;
        let mut done = 0;
        let mut talk = self.talk(bank, Lane::Identified);
        for number in &numbers {
            let outcome = self.drive_withdrawal(*number, &mut talk).await;
            let taken_for_refusal = outcome.is_err() && is_planted(Defect::SilenceTakenForRefusal);
            if matches!(outcome, Err(WalletError::Refused { .. })) || taken_for_refusal {
                // What was refused to her as a whole must not be debited in part by a later `resume`.
                self.give_up_planned(&numbers).await?;
            }
            done += outcome?;
            self.watch().see(&Event::Coins { done, total });
        }
        Ok(())
    }

    /// Writes down everything that will be asked for, before any of it is.
    async fn plan_withdrawals(&self, bank: &Card, outputs: Vec<KeyId>) -> Result<Vec<At>, WalletError> {
        let requests: Vec<Vec<KeyId>> = outputs
            .chunks(COINS_PER_REQUEST_MAX)
            .map(<[KeyId]>::to_vec)
            .collect();
        let (bank, account) = (bank.identity, self.account(&bank.identity)?);
        let seed = self.seed_for(&bank);
        self.transact(move |tx| {
            let first = take_numbers(tx, &bank, Counter::Withdrawals, requests.len() as u64)?;
            let mut numbers = Vec::with_capacity(requests.len());
            for (number, outputs) in (first..).zip(requests) {
                let request_id = seed.withdraw_id(number);
                let state = IssueState::Beginning;
                WITHDRAWALS.put(
                    tx,
                    &(bank, number),
                    &Withdrawal {
                        bank,
                        account,
                        request_id,
                        outputs,
                        state,
                    },
                )?;
                numbers.push((bank, number));
            }
            Ok(numbers)
        })
        .await
    }

    async fn give_up_planned(&self, numbers: &[At]) -> Result<(), WalletError> {
        let mut planned = Vec::with_capacity(numbers.len());
        for number in numbers {
            // What may have been debited is carried on.
            let row = WITHDRAWALS.peek(&self.store.view(), number)?;
            let is_at_stake = match &row {
                Some(row) => self.has_sent_finish(&row.request_id)?,
                None => false,
            };
            if !is_at_stake || is_planted(Defect::SilenceTakenForRefusal) {
                planned.push(*number);
            }
        }
        self.transact(move |tx| {
            for number in &planned {
                if let Some(mut planned) = WITHDRAWALS.get(tx, number)?
                    && (planned.state == IssueState::Beginning || is_planted(Defect::SilenceTakenForRefusal))
                {
                    planned.state = IssueState::Refused {
                        why: "another part of the withdrawal was refused".into(),
                    };
                    WITHDRAWALS.put(tx, number, &planned)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Carries a withdrawal on until it has ended; returns how many coins it has.
    pub(crate) async fn drive_withdrawal(&self, at: At, talk: &mut Talk<'_>) -> Result<u64, WalletError> {
        let seed = self.seed_for(&at.0);
        let mut pause = Pause::new(self.around.patience);
        loop {
            let withdrawal = WITHDRAWALS
                .peek(&self.store.view(), &at)?
                .ok_or(WalletError::Inconsistent("a withdrawal is missing"))?;
            let bank = self.party_by_key(RoleName::Bank, &withdrawal.bank)?;
            let account_key = self.key_of(&at.0, &withdrawal.account)?;
            let id = withdrawal.request_id;
            let asked = |kind, digest, is_at_stake| Asked {
                kind,
                digest,
                is_at_stake,
            };
            let (refusal, asked) = match withdrawal.ask(&account_key, &seed) {
                WithdrawAsk::Nothing => return Ok(withdrawal.outputs.len() as u64),
                WithdrawAsk::Begin(begin) => match talk.ask(&begin).await? {
                    Ok(begun) => {
                        let keys = self.keys_of(&bank, &withdrawal.outputs).await?;
                        let next = withdrawal.on_begun(&begun, &keys, &seed)?;
                        let save = move |tx: &mut Transaction<'_>| {
                            note_finish(tx, at, id, next.finish_digest())?;
                            WITHDRAWALS.put(tx, &at, &next)
                        };
                        self.met(id, &withdrawal.outputs, begun, save).await?;
                        continue;
                    }
                    Err(refusal) => {
                        let is_at_stake = self.has_sent_finish(&id)?;
                        (
                            refusal,
                            asked(RequestKind::WithdrawBegin, begin.body.digest(), is_at_stake),
                        )
                    }
                },
                WithdrawAsk::Finish(finish) => match talk.ask(&finish).await? {
                    Ok(issued) => {
                        let keys = self.keys_of(&bank, &issued.body.outputs).await?;
                        self.withdrawn(at, withdrawal.on_issued(&issued, &keys, &seed)?, &keys)
                            .await?;
                        continue;
                    }
                    Err(refusal) => (
                        refusal,
                        asked(RequestKind::WithdrawFinish, finish.body.digest(), true),
                    ),
                },
            };
            self.withdrawal_refused(at, withdrawal, &refusal, asked, &bank, talk)
                .await?;
            if !pause.wait().await {
                return Err(silent(talk, "withdraw", &refusal));
            }
        }
    }

    /// What a refusal comes to: an error, unless the withdrawal can be carried on at once.
    async fn withdrawal_refused(
        &self,
        at: At,
        withdrawal: Withdrawal,
        refusal: &Refusal,
        asked: Asked,
        bank: &Card,
        talk: &Talk<'_>,
    ) -> Result<(), WalletError> {
        let word = asked.word(refusal, &bank.identity);
        let next = match word {
            Word::BeginAgain => withdrawal.on_session_gone(),
            Word::Finished(issued) => {
                let keys = self.keys_of(bank, &issued.body.outputs).await?;
                let ended = withdrawal.on_other_content(issued, &keys, &self.seed_for(&at.0))?;
                return self.withdrawn(at, ended, &keys).await;
            }
            Word::NotIssuing => {
                let outputs = self.renewed(bank, &withdrawal.outputs).await?;
                Withdrawal {
                    outputs,
                    ..withdrawal.on_session_gone()
                }
            }
            Word::Denied(_) | Word::Refused => withdrawal.on_refused(refusal),
            Word::Nothing => return Err(no_word(talk, "withdraw", refusal)),
        };
        let is_over = matches!(next.state, IssueState::Refused { .. });
        self.transact(move |tx| {
            // One that an older version has sent was not written down.
            note_finish(tx, at, withdrawal.request_id, withdrawal.finish_digest())?;
            WITHDRAWALS.put(tx, &at, &next)
        })
        .await?;
        match is_over {
            true => Err(refused(talk, "withdraw", refusal.clone())),
            false => Ok(()),
        }
    }

    async fn withdrawn(
        &self,
        at: At,
        (withdrawal, coins): (Withdrawal, Vec<Coin>),
        keys: &KeyBook,
    ) -> Result<(), WalletError> {
        let rows = new_rows(&coins, keys, |slot| Origin::withdrawn(at.1 as u32, slot))?;
        self.transact(move |tx| {
            add_coins(tx, &rows)?;
            note_bridged(tx, &at.0, Counter::Withdrawals, at.1.saturating_add(1))?;
            WITHDRAWALS.put(tx, &at, &withdrawal)
        })
        .await
    }
}

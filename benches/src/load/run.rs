//! One run: a number of customers at work at once for a time, and the audit afterwards.

use crate::{
    args::{Attack, Kind},
    audit::{AllBooks, LoadAudit},
    bars,
    counts::{Costs, Snapshot, quiet},
    crowd,
    hostile::Hostile,
    target::Target,
    wallets::Wallets,
    work::Work,
};
use anyhow::{Context, Result, bail};
use farthing_client::wallet::Wallet;
use indicatif::ProgressBar;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

/// Length of the short run before, whose rate tells how many customers the run needs.
const WARM_UP: Duration = Duration::from_secs(1);

/// The least number of customers in that run, if they have few exchanges each.
const PREPARED_WARM_UP: usize = 8;

/// The number of prepared customers, in percent of the number that this rate needs. The rate is that of a cold start.
const MARGIN_PERCENT: u64 = 170;

/// The most kinds of failures that are counted separately.
const FAILURES_MAX: usize = 20;

/// The plan of a run.
pub(crate) struct Run<'a> {
    pub(crate) target: &'a Arc<Target>,
    pub(crate) work: &'a Arc<Work>,
    pub(crate) under_way: u64,
    pub(crate) time: Duration,
    /// The attack beside the customers, if there is one.
    pub(crate) hostile: Option<&'a Hostile>,
    /// The latency of the quiet run before an attack.
    pub(crate) quiet: Option<Latency>,
}

/// The attack during a run.
pub(crate) struct Attacked {
    pub(crate) kind: Attack,
    pub(crate) done: crowd::Attacked,
    /// The latency of the quiet run before.
    pub(crate) quiet: Option<Latency>,
}

/// The result of a run.
pub(crate) struct Measured {
    pub(crate) kind: Kind,
    pub(crate) under_way: u64,
    /// The number of coins spent before the run, if requested.
    pub(crate) spent: Option<u64>,
    /// The measured time, with all places at work (s).
    pub(crate) seconds: f64,
    /// The number completed in that time.
    pub(crate) done: u64,
    pub(crate) per_second: f64,
    pub(crate) latency: Latency,
    pub(crate) attacked: Option<Attacked>,
    /// The failures by their message, with their number. All failed work was finished afterwards.
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) costs: Costs,
    /// The client's CPU time for one unit of work before the clock started (us), if the work was prepared.
    pub(crate) prepared_cpu_us: Option<f64>,
    /// The time that the nodes settled after the last completion (s).
    pub(crate) settling_seconds: f64,
    pub(crate) audit: LoadAudit,
}

/// The duration of each, from beginning to end (ms).
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Latency {
    fn of(mut times: Vec<Duration>) -> Latency {
        times.sort_unstable();
        let at = |percent: usize| {
            // The smallest time that at least this share did not exceed.
            let rank = times.len().saturating_mul(percent).div_ceil(100);
            let time = times.get(rank.saturating_sub(1)).copied().unwrap_or_default();
            time.as_secs_f64() * 1e3
        };
        Latency {
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: at(100),
        }
    }
}

/// The state that all customers under way share.
struct Pool {
    waiting: Mutex<Vec<Arc<Wallet>>>,
    /// Completions left before the measurement begins: one for each place. All places begin at once, so the first
    /// completions come late and would distort the rate.
    ahead: AtomicU64,
    time: Duration,
    /// The start of the measurement.
    began: OnceLock<Instant>,
    /// The moment at which no customer was left for a place, if this happened.
    dry: OnceLock<Instant>,
    bar: ProgressBar,
}

impl Pool {
    /// Counts a completion at `now`.
    fn completed(&self, now: Instant) {
        match self
            .ahead
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| ahead.checked_sub(1))
        {
            Ok(1) => drop(self.began.set(now)),
            Ok(_) => {}
            Err(_) => self.bar.inc(1),
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.began.get().is_some_and(|began| now >= *began + self.time)
    }

    /// The measured part of all completions.
    fn end(&self, done: Done) -> Ended {
        let Some(began) = self.began.get().copied() else {
            return Ended {
                done,
                in_time: 0,
                time: self.time,
                times: Vec::new(),
            };
        };
        let over = began + self.time;
        let ended = self.dry.get().map_or(over, |dry| (*dry).clamp(began, over));
        let since = done.completed.iter().filter(|(at, _)| *at > began);
        Ended {
            in_time: since.clone().filter(|(at, _)| *at <= ended).count() as u64,
            time: ended.duration_since(began).max(Duration::from_millis(1)),
            times: since.map(|(_, took)| *took).collect(),
            done,
        }
    }
}

/// The work done in a run, or in one of its places.
#[derive(Default)]
struct Done {
    /// The end and duration of each completion.
    completed: Vec<(Instant, Duration)>,
    failures: Vec<String>,
    /// The customers with unfinished work.
    to_resume: Vec<Arc<Wallet>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run that has ended.
struct Ended {
    done: Done,
    /// The number completed in the measured time, and that time.
    in_time: u64,
    time: Duration,
    /// The durations of the measured completions.
    times: Vec<Duration>,
}

impl Ended {
    fn per_second(&self) -> f64 {
        self.in_time as f64 / self.time.as_secs_f64()
    }
}

impl Run<'_> {
    /// Prepares customers, measures, waits until everything is settled, and audits the books.
    pub(crate) async fn measure(&self, wallets: &mut Wallets, books: &AllBooks) -> Result<Measured> {
        let places = usize::try_from(self.under_way)?;
        let count = places.saturating_add(self.wanted(wallets).await?);
        let fresh = wallets.prepare(self.target, self.work, count).await?;
        let prepared_cpu_us = self.work.compute_ahead(self.target, &fresh).await?;
        quiet(self.target).await?;
        let before = Snapshot::take(self.target, wallets).await?;
        let bar = bars::running(self.under_way, self.work.kind.mode, self.time);
        let (ended, attacked) = self.go_attacked(fresh, &bar).await?;
        bar.finish_and_clear();
        resume(&ended.done.to_resume).await?;
        let settling = quiet(self.target).await?;
        let after = Snapshot::take(self.target, wallets).await?;
        let per_second = ended.per_second();
        let Ended {
            done,
            in_time,
            time,
            times,
        } = ended;
        let total = done.completed.len() as u64;
        if in_time == 0 {
            let why = done.failures.into_iter().next().unwrap_or_default();
            bail!(
                "too few were completed to measure a {}: {total}. {why}",
                self.work.kind.mode.noun()
            );
        }
        let mut failures: BTreeMap<String, u64> = BTreeMap::new();
        for failure in done.failures {
            let known = failures.len() < FAILURES_MAX || failures.contains_key(&failure);
            let what = if known { failure } else { "others".to_owned() };
            *failures.entry(what).or_default() += 1;
        }
        Ok(Measured {
            kind: self.work.kind,
            under_way: self.under_way,
            spent: self.target.spent,
            seconds: time.as_secs_f64(),
            done: in_time,
            per_second,
            latency: Latency::of(times),
            attacked,
            failures,
            prepared_cpu_us,
            costs: Costs::between(&before, &after, total),
            settling_seconds: settling.as_secs_f64(),
            audit: LoadAudit::take(self.target, self.work, wallets, books).await?,
        })
    }

    /// The number of customers that the run needs in reserve, from the rate of the short run before.
    async fn wanted(&self, wallets: &mut Wallets) -> Result<usize> {
        let places = usize::try_from(self.under_way)?;
        let warming = match self.work.kind.is_prepared {
            true => places.max(PREPARED_WARM_UP),
            false => places,
        };
        let fresh = wallets.prepare(self.target, self.work, warming).await?;
        self.work.compute_ahead(self.target, &fresh).await?;
        let bar = bars::running(self.under_way, self.work.kind.mode, WARM_UP);
        let ended = self.go(fresh, WARM_UP, &bar).await?;
        bar.finish_and_clear();
        resume(&ended.done.to_resume).await?;
        let expected = ended.per_second() * self.time.as_secs_f64() * MARGIN_PERCENT as f64 / 100.0;
        Ok((expected / self.work.times_each() as f64) as usize)
    }

    /// The measured part of the run, with the attack beside it, if there is one.
    async fn go_attacked(
        &self,
        wallets: Vec<Arc<Wallet>>,
        bar: &ProgressBar,
    ) -> Result<(Ended, Option<Attacked>)> {
        let Some(hostile) = self.hostile else {
            return Ok((self.go(wallets, self.time, bar).await?, None));
        };
        let attacking = hostile.start().await?;
        let ended = self.go(wallets, self.time, bar).await?;
        let attacked = Attacked {
            kind: hostile.kind(),
            done: attacking.stop().await?,
            quiet: self.quiet,
        };
        Ok((ended, Some(attacked)))
    }

    /// Keeps `places` customers at work until the time is over or no customer is left.
    async fn go(&self, wallets: Vec<Arc<Wallet>>, time: Duration, bar: &ProgressBar) -> Result<Ended> {
        let pool = Arc::new(Pool {
            waiting: Mutex::new(wallets),
            ahead: AtomicU64::new(self.under_way),
            time,
            began: OnceLock::new(),
            dry: OnceLock::new(),
            bar: bar.clone(),
        });
        let mut places = JoinSet::new();
        for _ in 0..self.under_way {
            places.spawn(one_place(Arc::clone(&pool), Arc::clone(self.work)));
        }
        let mut all = Done::default();
        while let Some(done) = places.join_next().await {
            let done = done.context("a customer failed on a bug")?;
            all.completed.extend(done.completed);
            all.failures.extend(done.failures);
            all.to_resume.extend(done.to_resume);
        }
        Ok(pool.end(all))
    }
}

/// One place: customers follow one another, and each works as often as possible.
async fn one_place(pool: Arc<Pool>, work: Arc<Work>) -> Done {
    let mut done = Done::default();
    loop {
        let Some(wallet) = lock(&pool.waiting).pop() else {
            pool.dry.get_or_init(Instant::now);
            return done;
        };
        for _ in 0..work.times_each() {
            let began = Instant::now();
            if pool.is_over(began) {
                return done;
            }
            match work.once(&wallet).await {
                Ok(()) => {
                    let now = Instant::now();
                    done.completed.push((now, now.duration_since(began)));
                    pool.completed(now);
                }
                Err(error) => {
                    done.failures.push(format!("{error:#}"));
                    done.to_resume.push(Arc::clone(&wallet));
                    break;
                }
            }
        }
    }
}

/// Finishes the work that was left unfinished.
async fn resume(wallets: &[Arc<Wallet>]) -> Result<()> {
    for wallet in wallets {
        let resumed = wallet.resume().await?;
        if let Some((matter, error)) = resumed.open.into_iter().next() {
            return Err(error).with_context(|| format!("{matter} could not be carried on"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let latency = Latency::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(
            [latency.p50, latency.p90, latency.p99, latency.max],
            [100.0, 180.0, 198.0, 200.0]
        );
        let one = Latency::of(vec![Duration::from_millis(3)]);
        assert_eq!([one.p50, one.max], [3.0, 3.0]);
    }
}

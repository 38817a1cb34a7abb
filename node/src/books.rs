//! The books of a node, as sums for its operator. No figure is about one customer, one purchase or one coin.

use farthing_store::{Key, StoreError, Table, View};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::ops::Bound;

/// The maximum number of figures of a role.
pub const FIGURES_MAX: usize = 16;

/// One figure: a sum over the rows of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// Its name in the metrics.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Its unit.
    pub unit: FigureUnit,
    /// The value.
    pub value: u64,
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FigureUnit {
    /// Money, in the smallest unit of the currency.
    Money,
    /// A number of things.
    Count,
}

/// The books at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// The currency of the money.
    pub currency: Option<String>,
    /// The number of acts of customers in the figures, or fewer. The figures are published only with enough new ones.
    #[serde(skip)]
    pub acts: u64,
    /// The figures: always the same ones, in the same order.
    pub figures: Vec<Figure>,
}

impl Figure {
    /// A sum of money, in the smallest unit.
    #[must_use]
    pub fn money(name: &'static str, title: &'static str, value: u64) -> Self {
        let unit = FigureUnit::Money;
        Self {
            name,
            title,
            unit,
            value,
        }
    }

    /// A number of things.
    #[must_use]
    pub fn count(name: &'static str, title: &'static str, value: u64) -> Self {
        let unit = FigureUnit::Count;
        Self {
            name,
            title,
            unit,
            value,
        }
    }
}

/// Calls `with` for every row of `table`, at most `page_max` rows at a time.
///
/// # Errors
/// When the store cannot be read.
pub fn each_row<K: Key + Clone, V: Serialize + DeserializeOwned>(
    table: &Table<K, V>,
    view: &View,
    page_max: usize,
    mut with: impl FnMut(K, V),
) -> Result<(), StoreError> {
    let mut after: Option<K> = None;
    loop {
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = table.scan(view, from, page_max)?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        rows.into_iter().for_each(|(key, value)| with(key, value));
    }
}

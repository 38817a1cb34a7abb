//! Numbers for equal values, so that a state of the model is a few numbers.

use std::{collections::HashMap, hash::Hash, sync::Arc};

/// The values that were met, each with its number.
pub struct Pool<T> {
    numbers: HashMap<Arc<T>, u32>,
    all: Vec<Arc<T>>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            all: Vec::new(),
        }
    }
}

impl<T: Hash + Eq> Pool<T> {
    /// The number of `value`.
    pub fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = self.all.len() as u32;
        let value = Arc::new(value);
        self.all.push(value.clone());
        self.numbers.insert(value, number);
        number
    }

    /// The value with this number.
    pub fn get(&self, number: u32) -> Arc<T> {
        self.all[number as usize].clone()
    }
}

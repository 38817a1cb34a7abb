//! The claims that a check makes of a case.

use crate::Field;
use serde::Serialize;
use std::fmt::Debug;

/// The claims that a check made of one case, in order.
#[derive(Debug, Default)]
pub struct Claims(Vec<(String, Result<(), String>)>);

impl Claims {
    /// Adds a claim with this result.
    pub fn result<E: ToString>(&mut self, claim: impl Into<String>, result: Result<(), E>) {
        self.0.push((claim.into(), result.map_err(|e| e.to_string())));
    }

    /// Claims that a condition holds.
    pub fn holds(&mut self, claim: impl Into<String>, holds: bool) {
        self.result(claim, if holds { Ok(()) } else { Err("it does not hold") });
    }

    /// Claims that two values are equal.
    pub fn equal<T: PartialEq + Debug>(&mut self, claim: impl Into<String>, ours: T, theirs: T) {
        let result = if ours == theirs {
            Ok(())
        } else {
            Err(format!("the vector says {theirs:?}, the program {ours:?}"))
        };
        self.result(claim, result);
    }

    /// Claims that the bytes equal the field `name`. The claim has the field's name.
    pub fn bytes(&mut self, name: &str, ours: impl AsRef<[u8]>, case: Field<'_>) {
        self.hex(name, ours, case.get(name));
    }

    /// Claims that the bytes equal a field.
    pub fn hex(&mut self, claim: impl Into<String>, ours: impl AsRef<[u8]>, theirs: Field<'_>) {
        self.equal(claim, hex::encode(ours), theirs.text().to_owned());
    }

    /// Claims that a value equals a field.
    pub fn value(&mut self, claim: impl Into<String>, ours: &impl Serialize, theirs: Field<'_>) {
        self.result(claim, theirs.is_same(ours));
    }

    /// The number of claims.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no claims.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claims with their results.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Result<(), String>)> {
        self.0.iter().map(|(claim, result)| (claim.as_str(), result))
    }
}

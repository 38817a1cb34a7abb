//! What a check claims of a case.

use crate::Field;
use serde::Serialize;
use std::fmt::Debug;

/// The claims that a check has made of one case, in their order.
#[derive(Debug, Default)]
pub struct Claims(Vec<(String, Result<(), String>)>);

impl Claims {
    /// Claims something that was found out as a result.
    pub fn result<E: ToString>(&mut self, claim: impl Into<String>, result: Result<(), E>) {
        self.0.push((claim.into(), result.map_err(|e| e.to_string())));
    }

    /// Claims that something holds.
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

    /// Claims that bytes are those of the field `name`, after which the claim is called.
    pub fn bytes(&mut self, name: &str, ours: impl AsRef<[u8]>, case: Field<'_>) {
        self.hex(name, ours, case.get(name));
    }

    /// Claims that bytes are those of a field.
    pub fn hex(&mut self, claim: impl Into<String>, ours: impl AsRef<[u8]>, theirs: Field<'_>) {
        self.equal(claim, hex::encode(ours), theirs.text().to_owned());
    }

    /// Claims that a value says what a field says.
    pub fn value(&mut self, claim: impl Into<String>, ours: &impl Serialize, theirs: Field<'_>) {
        self.result(claim, theirs.is_same(ours));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each with what came of it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Result<(), String>)> {
        self.0.iter().map(|(claim, result)| (claim.as_str(), result))
    }
}

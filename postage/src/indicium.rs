//! The indicium: the signed bytes that are printed as postage.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | `FP` |
//! | 2 | 1 | version, 1 |
//! | 3 | 1 | mail class: 1 first, 2 second, 3 card, 4 parcel |
//! | 4 | 4 | date: days since 1970-01-01 |
//! | 8 | 4 | value, in the smallest unit; not 0 |
//! | 12 | 8 | sequence number of the meter; the first is 1 |
//! | 20 | 8 | ascending register after this print: all that was ever printed |
//! | 28 | 8 | descending register after this print: what is left |
//! | 36 | 32 | the meter's public key, which is its id |
//! | 68 | 32 | digest of the delivery address |
//! | 100 | 1 + n | length and characters of the sender's postal code |
//! | | 1 + m | length and characters of the recipient's postal code |
//! | | 64 | signature: commitment and response |
//!
//! Integers are big-endian. There is one encoding of each indicium, and every other one is refused. The signature covers the
//! fields one by one, as every document of Farthing, and not these bytes.

use crate::{
    address::{AddressDigest, POSTAL_CODE_MAX_BYTES, PostalCode},
    class::MailClass,
    day::Day,
};
use farthing_coin::{
    Document, EncodedPoint, EncodedScalar, PublicKey, SecretKey, Signature, SignatureError, Signed,
    StatementDigest, Transcript, TranscriptExt,
};
use farthing_protocol::money::Amount;

/// The first bytes of an indicium.
pub const MAGIC: [u8; 2] = *b"FP";

/// The version of the form.
pub const VERSION: u8 = 1;

/// The longest indicium (bytes).
pub const INDICIUM_MAX_BYTES: usize = FIXED_BYTES + 2 * (1 + POSTAL_CODE_MAX_BYTES) + SIGNATURE_BYTES;

/// The bytes before the postal codes.
const FIXED_BYTES: usize = 100;

const SIGNATURE_BYTES: usize = 64;

/// The fields of an indicium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indicium {
    /// The mail class.
    pub class: MailClass,
    /// The date of mailing.
    pub day: Day,
    /// The postage. Not 0, and at most `u32::MAX` units.
    pub value: Amount,
    /// The number of this print at its meter. The first is 1.
    pub sequence: u64,
    /// All that the meter ever printed, with this print.
    pub ascending: Amount,
    /// What the meter has left after this print.
    pub descending: Amount,
    /// The meter's public key.
    pub meter: PublicKey,
    /// The digest of the delivery address.
    pub address: AddressDigest,
    /// The sender's postal code.
    pub from: PostalCode,
    /// The recipient's postal code, in clear for the sorting stations.
    pub to: PostalCode,
}

impl Document for Indicium {
    const LABEL: &'static str = "farthing postage indicium";

    fn describe(&self, t: &mut Transcript) {
        t.u8(b"version", VERSION);
        t.u8(b"class", self.class.code());
        t.u32(b"day", self.day.0);
        t.u64(b"value", self.value.0);
        t.u64(b"sequence", self.sequence);
        t.u64(b"ascending", self.ascending.0);
        t.u64(b"descending", self.descending.0);
        t.bytes(b"meter", &self.meter.0);
        t.bytes(b"address", &self.address.0);
        t.bytes(b"from", self.from.as_str().as_bytes());
        t.bytes(b"to", self.to.as_str().as_bytes());
    }
}

/// Why bytes are no indicium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// They do not begin as one.
    #[error("it does not begin with `FP`")]
    Magic,
    /// The version is another one.
    #[error("its version is {0}, and not {VERSION}")]
    Version(u8),
    /// They end too early.
    #[error("it ends too early")]
    Short,
    /// Bytes are left.
    #[error("{0} bytes follow it")]
    Trailing(usize),
    /// A field is not in its only form, or out of its bounds.
    #[error("its {0} is not valid")]
    Field(&'static str),
}

/// An indicium with a signature that is not verified yet.
pub type SignedIndicium = Signed<Indicium>;

/// Signs an indicium with the meter's key.
///
/// # Errors
/// When a field is out of its bounds, or the key is not that of the meter in it.
pub fn sign(indicium: Indicium, key: &SecretKey) -> Result<SignedIndicium, DecodeError> {
    if indicium.meter != key.public() {
        return Err(DecodeError::Field("meter"));
    }
    check(&indicium)?;
    Ok(Signed::sign(indicium, key))
}

/// The bytes of an indicium. Its fields are within their bounds, as [`sign`] and [`decode`] leave them.
#[must_use]
pub fn encode(signed: &SignedIndicium) -> Vec<u8> {
    let body = &signed.body;
    let mut bytes = Vec::with_capacity(INDICIUM_MAX_BYTES);
    bytes.extend(MAGIC);
    bytes.extend([VERSION, body.class.code()]);
    bytes.extend(body.day.0.to_be_bytes());
    bytes.extend(u32::try_from(body.value.0).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(body.sequence.to_be_bytes());
    bytes.extend(body.ascending.0.to_be_bytes());
    bytes.extend(body.descending.0.to_be_bytes());
    bytes.extend(body.meter.0);
    bytes.extend(body.address.0);
    for code in [&body.from, &body.to] {
        let code = code.as_str().as_bytes();
        bytes.push(u8::try_from(code.len()).unwrap_or(u8::MAX));
        bytes.extend(code);
    }
    bytes.extend(signed.signature.commitment.0);
    bytes.extend(signed.signature.response.0);
    bytes
}

/// Reads an indicium. Its signature is not verified.
///
/// # Errors
/// [`DecodeError`] says what is wrong. Every encoding but that of [`encode`] is refused.
pub fn decode(bytes: &[u8]) -> Result<SignedIndicium, DecodeError> {
    let mut rest = Rest(bytes);
    if rest.take::<2>()? != MAGIC {
        return Err(DecodeError::Magic);
    }
    let [version] = rest.take()?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let [class] = rest.take()?;
    let body = Indicium {
        class: MailClass::from_code(class).ok_or(DecodeError::Field("class"))?,
        day: Day(u32::from_be_bytes(rest.take()?)),
        value: Amount(u32::from_be_bytes(rest.take()?).into()),
        sequence: u64::from_be_bytes(rest.take()?),
        ascending: Amount(u64::from_be_bytes(rest.take()?)),
        descending: Amount(u64::from_be_bytes(rest.take()?)),
        meter: PublicKey(rest.take()?),
        address: AddressDigest(rest.take()?),
        from: rest.postal_code("sender's postal code")?,
        to: rest.postal_code("recipient's postal code")?,
    };
    let signature = Signature {
        commitment: EncodedPoint(rest.take()?),
        response: EncodedScalar(rest.take()?),
    };
    if !rest.0.is_empty() {
        return Err(DecodeError::Trailing(rest.0.len()));
    }
    check(&body)?;
    Ok(Signed { body, signature })
}

/// Checks the bounds of the numbers.
fn check(body: &Indicium) -> Result<(), DecodeError> {
    if body.value.0 == 0 || u32::try_from(body.value.0).is_err() {
        return Err(DecodeError::Field("value"));
    }
    if body.sequence == 0 {
        return Err(DecodeError::Field("sequence number"));
    }
    // The register has at least this print.
    if body.ascending < body.value {
        return Err(DecodeError::Field("ascending register"));
    }
    match body.ascending.checked_add(body.descending) {
        Some(_) => Ok(()),
        None => Err(DecodeError::Field("descending register")),
    }
}

/// The bytes that are not read yet.
struct Rest<'b>(&'b [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn postal_code(&mut self, field: &'static str) -> Result<PostalCode, DecodeError> {
        let [length] = self.take()?;
        let length = usize::from(length);
        if length > POSTAL_CODE_MAX_BYTES {
            return Err(DecodeError::Field(field));
        }
        let (code, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Short)?;
        self.0 = rest;
        let text = std::str::from_utf8(code).map_err(|_| DecodeError::Field(field))?;
        PostalCode::try_from(text.to_owned()).map_err(|_| DecodeError::Field(field))
    }
}

/// An indicium whose signature is that of the meter in it. Only [`verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedIndicium {
    body: Indicium,
    digest: StatementDigest,
}

impl VerifiedIndicium {
    /// The fields.
    #[must_use]
    pub fn body(&self) -> &Indicium {
        &self.body
    }

    /// The digest of all fields. Two digests under one sequence number prove that a meter was copied.
    #[must_use]
    pub fn digest(&self) -> StatementDigest {
        self.digest
    }
}

/// Verifies the signature under the meter's key. Whether the meter is certified, the caller must know.
///
/// # Errors
/// When the signature is not the meter's over these fields.
pub fn verify(signed: SignedIndicium) -> Result<VerifiedIndicium, SignatureError> {
    let meter = signed.body.meter;
    signed.verify(&meter)?;
    let digest = signed.body.digest();
    Ok(VerifiedIndicium {
        body: signed.body,
        digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    fn key() -> SecretKey {
        SecretKey::from_wide(&[7; 64]).unwrap()
    }

    fn body() -> Indicium {
        Indicium {
            class: MailClass::First,
            day: Day(20_787),
            value: Amount(110),
            sequence: 5,
            ascending: Amount(550),
            descending: Amount(1450),
            meter: key().public(),
            address: Address::new(&["Erika Mustermann", "51147 Köln"])
                .unwrap()
                .digest(),
            from: "10115".parse().unwrap(),
            to: "SW1A 2AA".parse().unwrap(),
        }
    }

    #[test]
    fn an_indicium_is_read_as_it_was_written_and_every_changed_byte_is_refused() {
        let signed = sign(body(), &key()).unwrap();
        let bytes = encode(&signed);
        assert_eq!(bytes.len(), 100 + 1 + 5 + 1 + 8 + 64);
        assert_eq!(decode(&bytes), Ok(signed.clone()));
        assert_eq!(verify(signed.clone()).unwrap().body(), &signed.body);
        for at in 0..bytes.len() {
            for mask in [1, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                let read = decode(&changed)
                    .map_err(|_| ())
                    .and_then(|it| verify(it).map_err(|_| ()));
                assert!(read.is_err(), "byte {at}");
            }
        }
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode(&longer), Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn fields_out_of_bounds_are_never_signed() {
        type Change = fn(&mut Indicium);
        let cases: [(Change, &str); 6] = [
            (|it| it.value = Amount(0), "value"),
            (|it| it.value = Amount(1 << 32), "value"),
            (|it| it.sequence = 0, "sequence number"),
            (|it| it.ascending = Amount(109), "ascending register"),
            (|it| it.descending = Amount(u64::MAX), "descending register"),
            (|it| it.meter = PublicKey([0; 32]), "meter"),
        ];
        for (change, field) in cases {
            let mut body = body();
            change(&mut body);
            assert_eq!(sign(body, &key()), Err(DecodeError::Field(field)));
        }
    }
}

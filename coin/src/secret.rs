//! Secrets of 32 bytes: wiped, redacted, compared in constant time.

#[doc(hidden)]
pub use {subtle, zeroize};

/// Defines a secret of 32 bytes: wiped when dropped, redacted in `Debug`, compared in constant time.
///
/// It is hex in JSON and raw bytes in all other formats, as with [`bytes32!`](crate::bytes32).
///
/// ```
/// farthing_coin::secret32! {
///     /// Opens a parcel.
///     ParcelKey
/// }
///
/// let key = ParcelKey::from_bytes([7; 32]);
/// assert_eq!(key, ParcelKey::from_bytes([7; 32]));
/// assert_eq!(format!("{key:?}"), "ParcelKey(redacted)");
/// ```
#[macro_export]
macro_rules! secret32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Wiped when dropped, redacted in `Debug`, compared in constant time.
        #[derive(Clone)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Makes a secret of bytes from a key derivation or a secure random source.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The secret's bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                $crate::secret::zeroize::Zeroize::zeroize(&mut self.0);
            }
        }

        impl $crate::secret::zeroize::ZeroizeOnDrop for $name {}

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                $crate::secret::subtle::ConstantTimeEq::ct_eq(self.0.as_slice(), other.0.as_slice()).into()
            }
        }

        impl Eq for $name {}

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }

        $crate::hex_serde!($name);
    };
}
pub use secret32;

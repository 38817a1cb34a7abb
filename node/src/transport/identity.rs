//! A server's TLS identity: a self-signed certificate, which clients pin by its fingerprint, and its key.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::tls::{PROVIDER, SERVER_NAME};
use crate::fingerprint::Fingerprint;
use crate::network::Lane;

/// A certificate and its key.
#[derive(Clone)]
pub struct ServerIdentity {
    certificate: CertificateDer<'static>,
    key: Zeroizing<Vec<u8>>,
}

/// The error of an unusable certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A new certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(String),
    /// Certificate and key do not make a TLS server.
    #[error("the certificate and its key cannot be used: {0}; were tls.cert or tls.key altered?")]
    Unusable(String),
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity")
            .field("fingerprint", &hex::encode(self.fingerprint()))
            .finish_non_exhaustive()
    }
}

impl ServerIdentity {
    /// Derives bytes from the certificate's key and `label`. Only the holder of the key can know them.
    pub(crate) fn derive(&self, label: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(label)
            .chain_update(&*self.key)
            .finalize()
            .into()
    }

    /// Generates a certificate for a new Ed25519 key. The TLS library takes the randomness from the operating system.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn generate() -> Result<Self, IdentityError> {
        let make = |e: rcgen::Error| IdentityError::Make(e.to_string());
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(make)?;
        let certificate = rcgen::CertificateParams::new(vec![SERVER_NAME.to_owned()])
            .and_then(|params| params.self_signed(&key))
            .map_err(make)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            key: Zeroizing::new(key.serialize_der()),
        })
    }

    /// Builds the identity from a stored certificate (DER) and its key (PKCS#8 DER).
    ///
    /// # Errors
    /// [`IdentityError::Unusable`] when they do not match or are damaged.
    pub fn from_der(certificate: Vec<u8>, key: Zeroizing<Vec<u8>>) -> Result<Self, IdentityError> {
        let identity = Self {
            certificate: CertificateDer::from(certificate),
            key,
        };
        identity.tls()?;
        Ok(identity)
    }

    /// The certificate (DER).
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// The key (PKCS#8 DER).
    #[must_use]
    pub fn key_der(&self) -> &[u8] {
        &self.key
    }

    /// The SHA-256 digest of the certificate (DER). It is in the node's card.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.certificate)
    }

    /// The TLS configuration of a server: only TLS 1.3, every lane, and nothing that could identify a returning client.
    pub(crate) fn tls(&self) -> Result<rustls::ServerConfig, IdentityError> {
        let unusable = |e: rustls::Error| IdentityError::Unusable(e.to_string());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.to_vec()));
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .map_err(unusable)?;
        tls.alpn_protocols = Lane::ALL.iter().map(|lane| lane.alpn().into()).collect();
        tls.send_tls13_tickets = 0;
        tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        tls.max_early_data_size = 0;
        Ok(tls)
    }
}

/// SHA-256 of a certificate.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    Fingerprint(Sha256::digest(certificate.as_ref()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_identity_is_loaded_unchanged_and_a_mixed_one_is_refused() {
        let one = ServerIdentity::generate().unwrap();
        let other = ServerIdentity::generate().unwrap();
        let key = |identity: &ServerIdentity| Zeroizing::new(identity.key_der().to_vec());
        let again = ServerIdentity::from_der(one.certificate_der().to_vec(), key(&one)).unwrap();
        assert_eq!(again.fingerprint(), one.fingerprint());
        assert_ne!(other.fingerprint(), one.fingerprint());
        let mixed = ServerIdentity::from_der(one.certificate_der().to_vec(), key(&other));
        assert!(matches!(mixed, Err(IdentityError::Unusable(_))));
        let damaged = ServerIdentity::from_der(one.certificate_der().to_vec(), Zeroizing::new(vec![1, 2]));
        assert!(matches!(damaged, Err(IdentityError::Unusable(_))));
    }
}

//! Authenticates a server by the fingerprint of its certificate.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};

use super::identity::fingerprint;
use crate::fingerprint::Fingerprint;

/// A verifier that accepts only the certificate with the pinned fingerprint, and only with a signature by its key.
///
/// The fingerprint alone is not enough. A certificate is public, so any server can show it. So the signature over the
/// handshake is verified as well.
#[derive(Debug)]
pub(crate) struct PinnedVerifier {
    expected: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
    /// The reason why this handshake was refused, for the error message.
    finding: OnceLock<Finding>,
}

/// The reason why a handshake was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The certificate has this fingerprint, which is not the pinned one.
    OtherCertificate(Fingerprint),
    /// The certificate is the pinned one, but the signature is not by its key.
    OtherKey,
}

impl PinnedVerifier {
    /// A verifier for one handshake.
    pub(crate) fn new(expected: Fingerprint, algorithms: WebPkiSupportedAlgorithms) -> Arc<Self> {
        Arc::new(Self {
            expected,
            algorithms,
            finding: OnceLock::new(),
        })
    }

    /// The reason why this verifier has refused the handshake, if it has.
    pub(crate) fn finding(&self) -> Option<Finding> {
        self.finding.get().copied()
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The names, dates and issuer in the certificate are ignored: the card determines the certificate.
        let got = fingerprint(end_entity);
        if got == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        self.finding.get_or_init(|| Finding::OtherCertificate(got));
        Err(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Only TLS 1.3 is offered.
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms).inspect_err(|_| {
            self.finding.get_or_init(|| Finding::OtherKey);
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

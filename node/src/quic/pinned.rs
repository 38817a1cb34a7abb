//! Knowing a server by the fingerprint of its certificate.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};

use super::identity::fingerprint;
use crate::fingerprint::Fingerprint;

/// Accepts the one certificate with the pinned fingerprint, from whoever can sign with its key.
///
/// The fingerprint alone would not do: a certificate is public, and anybody can show it. So the signature over the
/// handshake is verified as well.
#[derive(Debug)]
pub(super) struct PinnedVerifier {
    expected: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
    /// What this one handshake came to, for the error message.
    finding: OnceLock<Finding>,
}

/// Why a handshake was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// The certificate has another fingerprint, this one.
    OtherCertificate(Fingerprint),
    /// The certificate is the pinned one, the signature is not by its key.
    OtherKey,
}

impl PinnedVerifier {
    /// A verifier for one handshake.
    pub(super) fn new(expected: Fingerprint, algorithms: WebPkiSupportedAlgorithms) -> Arc<Self> {
        Arc::new(Self {
            expected,
            algorithms,
            finding: OnceLock::new(),
        })
    }

    /// Why the handshake was refused, if this is who refused it.
    pub(super) fn finding(&self) -> Option<Finding> {
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
        // Names, dates and issuers in it mean nothing here: the card says which certificate it is.
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
        // QUIC has TLS 1.3 alone.
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

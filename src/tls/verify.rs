//! Certificate verification. webpki does the work; this adds certificates that it rejects but applications use: a peer that
//! presents a trust anchor itself, X.509 version 1, and host names only in the subject.

use super::error::Error as Refused;
use super::pem;
use super::provider;
use super::x509::{Certificate, SEQUENCE, Usage, wrap};
use crate::memory;
use crate::memory::prelude::*;
use crate::sys::log::log_info;
use alloc::sync::Arc;
use rustls::client::danger::{HandshakeSignatureValid as Valid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use webpki::RawPublicKeyEntity;

/// Maximum size of the list of acceptable issuers that a server sends: it must fit in one message.
const ISSUERS_MAX: usize = 16 * 1024;

/// The trust anchors in `ca`. Entries that cannot be one are ignored.
pub(super) fn anchors(ca: &[u8]) -> Result<RootCertStore, Refused> {
    let (list, damaged) = pem::certificates(ca);
    if list.is_empty() {
        return Err(Refused::ca("no certificate in it", "neither PEM nor DER"));
    }
    let mut roots = RootCertStore::empty();
    let mut left_out = damaged;
    for der in list.into_iter().take_while(|_| !memory::is_low()) {
        let is_anchor = Certificate::read(&der).is_some_and(|c| c.is_anchor());
        if !is_anchor || roots.add(CertificateDer::from(der)).is_err() {
            left_out += 1;
        }
    }
    if roots.is_empty() {
        return Err(Refused::ca("no usable CA certificate in it", format_args!("{left_out} are unreadable or not a CA")));
    }
    if left_out > 0 {
        log_info!("TLS: ignored {left_out} certificates of ca that are unreadable or not a CA, using {}", roots.len());
    }
    Ok(roots)
}

/// Verifies the peer of a server or client.
#[derive(Debug)]
pub(super) struct Verifier {
    /// None disables verification.
    anchors: Option<Anchors>,
    /// True if the server's name is verified.
    names: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
struct Anchors {
    roots: Arc<RootCertStore>,
    issuers: Vec<DistinguishedName>,
    /// Verifies clients. Servers are verified by a function.
    clients: Arc<dyn ClientCertVerifier>,
}

impl Verifier {
    pub(super) fn new(roots: Option<RootCertStore>, names: bool, provider: &Arc<CryptoProvider>) -> Result<Self, Refused> {
        let anchors = roots.map(|roots| Anchors::new(roots, provider)).transpose()?;
        Ok(Self { anchors, names, algorithms: provider.signature_verification_algorithms })
    }

    /// True if a trust anchor vouches for the certificate, for this use, at this time.
    fn check(&self, cert: &CertificateDer<'_>, more: &[CertificateDer<'_>], now: UnixTime, usage: Usage) -> Result<(), Error> {
        let Some(anchors) = &self.anchors else { return Ok(()) };
        let result = match usage {
            Usage::Client => anchors.clients.verify_client_cert(cert, more, now).map(|_| ()),
            Usage::Server => ParsedCertificate::try_from(cert).and_then(|parsed| {
                verify_server_cert_signed_by_trust_anchor(&parsed, &anchors.roots, more, now, self.algorithms.all)
            }),
        };
        match result {
            Err(e) if is_of_no_kind(&e) => {
                let unknown = Err(CertificateError::UnknownIssuer.into());
                self.check_directly(cert, &anchors.roots, now, usage).unwrap_or(unknown)
            }
            result => result,
        }
    }

    /// Like [`Self::check`], for a certificate signed by an anchor directly, which includes self-signed anchors. None if there is
    /// no such anchor.
    fn check_directly(&self, cert: &[u8], roots: &RootCertStore, now: UnixTime, usage: Usage) -> Option<Result<(), Error>> {
        let cert = Certificate::read(cert)?;
        let signed = |anchor: &&TrustAnchor<'_>| anchor.subject.as_ref() == cert.issuer && self.is_signed_by(&cert, anchor);
        let anchor = roots.roots.iter().find(signed)?;
        Some(if now < cert.not_before {
            Err(CertificateError::NotValidYetContext { time: now, not_before: cert.not_before }.into())
        } else if now > cert.not_after {
            Err(CertificateError::ExpiredContext { time: now, not_after: cert.not_after }.into())
        } else if !cert.allows(usage) {
            Err(CertificateError::InvalidPurpose.into())
        } else if anchor.name_constraints.is_some() {
            Err(CertificateError::UnknownIssuer.into())
        } else {
            Ok(())
        })
    }

    fn is_signed_by(&self, cert: &Certificate<'_>, anchor: &TrustAnchor<'_>) -> bool {
        let key = SubjectPublicKeyInfoDer::from(wrap(SEQUENCE, &anchor.subject_public_key_info));
        let Ok(key) = RawPublicKeyEntity::try_from(&key) else { return false };
        let mut fitting = self.algorithms.all.iter().filter(|a| a.signature_alg_id().as_ref() == cert.algorithm);
        fitting.any(|a| key.verify_signature(*a, cert.tbs, cert.signature).is_ok())
    }

    fn check_name(&self, cert: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
        if !self.names {
            return Ok(());
        }
        let result = ParsedCertificate::try_from(cert).and_then(|parsed| verify_server_name(&parsed, name));
        let ServerName::DnsName(host) = name else { return result };
        match Certificate::read(cert) {
            Some(cert) if result.is_err() && cert.common_name_is(host.as_ref()) => Ok(()),
            Some(_) if result.as_ref().is_err_and(is_of_no_kind) => Err(CertificateError::NotValidForName.into()),
            _ => result,
        }
    }

    /// Verifies that a TLS 1.2 handshake was signed with the certificate's key, whatever the options.
    fn signed12(&self, message: &[u8], cert: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<Valid, Error> {
        if ParsedCertificate::try_from(cert).is_ok() {
            return verify_tls12_signature(message, cert, signed, &self.algorithms);
        }
        let info = key_info(cert)?;
        let key = RawPublicKeyEntity::try_from(&info).map_err(|_| CertificateError::BadEncoding)?;
        let fitting = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme).flat_map(|(_, list)| *list);
        let mut results = fitting.map(|algorithm| key.verify_signature(*algorithm, message, signed.signature()));
        let found = results.any(|r| r.is_ok());
        if found { Ok(Valid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
    }

    /// Verifies that a TLS 1.3 handshake was signed with the certificate's key, whatever the options.
    fn signed13(&self, message: &[u8], cert: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<Valid, Error> {
        if ParsedCertificate::try_from(cert).is_ok() {
            return verify_tls13_signature(message, cert, signed, &self.algorithms);
        }
        verify_tls13_signature_with_raw_key(message, &key_info(cert)?, signed, &self.algorithms)
    }
}

/// The public key of a certificate that webpki cannot parse.
fn key_info<'a>(cert: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    let cert = Certificate::read(cert).ok_or(CertificateError::BadEncoding)?;
    Ok(SubjectPublicKeyInfoDer::from(cert.key_info))
}

impl Anchors {
    fn new(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Self, Refused> {
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
        let clients = clients.map_err(|e| Refused::ca("not usable", e))?;
        let issuers = roots.subjects();
        let fits = issuers.iter().map(|name| name.as_ref().len() + 2).sum::<usize>() <= ISSUERS_MAX;
        Ok(Self { roots, issuers: if fits { issuers } else { Vec::new() }, clients })
    }
}

/// True if webpki rejects this kind of certificate: version 1, or one that may sign others.
fn is_of_no_kind(e: &Error) -> bool {
    use webpki::Error::{CaUsedAsEndEntity, UnsupportedCertVersion};
    match e {
        Error::InvalidCertificate(CertificateError::Other(e)) => {
            provider::webpki_error(e).is_some_and(|e| matches!(e, CaUsedAsEndEntity | UnsupportedCertVersion))
        }
        _ => false,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(cert, more, now, Usage::Server)?;
        self.check_name(cert, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, m: &[u8], cert: &CertificateDer<'_>, s: &DigitallySignedStruct) -> Result<Valid, Error> {
        self.signed12(m, cert, s)
    }

    fn verify_tls13_signature(&self, m: &[u8], cert: &CertificateDer<'_>, s: &DigitallySignedStruct) -> Result<Valid, Error> {
        self.signed13(m, cert, s)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Clients without an acceptable certificate are refused.
impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.anchors.as_ref().map_or(&[], |a| &a.issuers)
    }

    fn verify_client_cert(
        &self,
        cert: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(cert, more, now, Usage::Client)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, m: &[u8], cert: &CertificateDer<'_>, s: &DigitallySignedStruct) -> Result<Valid, Error> {
        self.signed12(m, cert, s)
    }

    fn verify_tls13_signature(&self, m: &[u8], cert: &CertificateDer<'_>, s: &DigitallySignedStruct) -> Result<Valid, Error> {
        self.signed13(m, cert, s)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

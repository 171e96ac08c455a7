//! An application's own certificate chain and private key.

use super::crypto::sign::any_supported_type;
use super::error::Error;
use super::pem;
use super::x509::{BIT_STRING, Certificate, SEQUENCE, element, elements, key_bits, wrap};
use crate::memory::prelude::*;
use alloc::sync::Arc;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use zeroize::{Zeroize, Zeroizing};

/// Tag of the optional public part of an EC key.
const PUBLIC_KEY: u8 = 0xa1;

/// The chain, leaf first, with its key; None if neither is given. Bytes that begin with NUL count as not given.
pub(super) fn own(cert: &[u8], key: &[u8]) -> Result<Option<CertifiedKey>, Error> {
    let given = |bytes: &[u8]| bytes.first().is_some_and(|&b| b != 0);
    match (given(cert), given(key)) {
        (false, false) => Ok(None),
        (true, false) => Err(Error::key("no private key for the certificate", "")),
        (false, true) => Err(Error::cert("no certificate for the private key", "")),
        (true, true) => {
            let chain = chain(cert)?;
            let key = signing_key(key, &chain[0])?;
            Ok(Some(CertifiedKey::new(chain, key)))
        }
    }
}

fn chain(cert: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let (chain, damaged) = pem::certificates(cert);
    if damaged > 0 {
        return Err(Error::cert("damaged certificate", "not base64"));
    }
    if chain.is_empty() {
        return Err(Error::cert("no certificate in it", "neither PEM nor DER"));
    }
    if let Some(n) = chain.iter().position(|der| Certificate::read(der).is_none()) {
        return Err(Error::cert("damaged certificate", format_args!("number {} is not X.509", n + 1)));
    }
    Ok(chain.into_iter().map(CertificateDer::from).collect())
}

/// The key, verified to match the certificate.
fn signing_key(key: &[u8], leaf: &[u8]) -> Result<Arc<dyn SigningKey>, Error> {
    let point = Certificate::read(leaf).and_then(|leaf| leaf.key_bits());
    let mut der = private_key(key)?;
    let result = any_supported_type(&der).or_else(|e| {
        let mut whole = point.and_then(|point| with_public_key(&der, point)).ok_or(e)?;
        let result = any_supported_type(&whole);
        whole.zeroize();
        result
    });
    der.zeroize();
    let key = result.map_err(|e| Error::key("damaged, or not RSA, P-256, P-384 or Ed25519", e))?;
    if point.is_none() || key.public_key().as_deref().and_then(key_bits) != point {
        return Err(Error::key("does not match the certificate", "their public keys differ"));
    }
    Ok(key)
}

/// Adds the public key of the certificate to an EC key that lacks one. A mismatch is detected when the result is used.
fn with_public_key(der: &PrivateKeyDer<'_>, point: &[u8]) -> Option<PrivateKeyDer<'static>> {
    let sec1 = match der {
        PrivateKeyDer::Sec1(sec1) => sec1.secret_sec1_der(),
        PrivateKeyDer::Pkcs8(pkcs8) => elements(element(pkcs8.secret_pkcs8_der())?.0.content)?.get(2)?.content,
        _ => return None,
    };
    match &elements(element(sec1)?.0.content)?[..] {
        [version, private, rest @ ..] if rest.iter().all(|e| e.tag != PUBLIC_KEY) => {
            let public = wrap(PUBLIC_KEY, &wrap(BIT_STRING, point));
            let content = Zeroizing::new([version.whole, private.whole, &public].concat());
            Some(PrivateKeyDer::Sec1(wrap(SEQUENCE, &content).into()))
        }
        _ => None,
    }
}

/// The first private key in PEM or DER.
fn private_key(key: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    if let Some(der) = pem::elements(key).and_then(|list| list.first().copied()) {
        let kind = PrivateKeyDer::try_from(der).map_err(|e| Error::key("not a private key", e))?;
        return Ok(kind.clone_key());
    }
    let label = |b: &pem::Block| b.label.ends_with(b"PRIVATE KEY");
    let block = pem::blocks(key).find(label).ok_or_else(|| Error::key("no private key in it", "neither PEM nor DER"))?;
    if block.is_encrypted() {
        return Err(Error::key("the private key is encrypted", "give it without a password"));
    }
    let mut der = block.decode().ok_or_else(|| Error::key("damaged private key", "not base64"))?;
    let der = core::mem::take::<Vec<u8>>(&mut der);
    Ok(match block.label {
        b"RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der.into()),
        b"EC PRIVATE KEY" => PrivateKeyDer::Sec1(der.into()),
        b"PRIVATE KEY" => PrivateKeyDer::Pkcs8(der.into()),
        other => {
            drop(Zeroizing::new(der));
            return Err(Error::key("unknown kind of private key", String::from_utf8_lossy(other)));
        }
    })
}

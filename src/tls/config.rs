//! rustls configurations from the options of mg_tls_init.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) struct Options<'a> {
    pub(crate) ca: &'a [u8],
    pub(crate) cert: &'a [u8],
    pub(crate) key: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) skip_verification: bool,
}

pub(crate) struct Error(String);
impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}
impl Error {
    pub(crate) fn detail(&self) -> &str {
        &self.0
    }
}

#[derive(Default)]
pub(crate) struct Cache {
    servers: RefCell<HashMap<Vec<u8>, Arc<ServerConfig>>>,
    clients: RefCell<HashMap<Vec<u8>, Arc<ClientConfig>>>,
}

#[derive(Debug)]
struct No;
impl ServerCertVerifier for No {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certs(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| Error(format!("CERT err: {e}")))
}

fn id(o: &Options) -> Vec<u8> {
    [o.ca, b"|", o.cert, b"|", o.key, b"|", &[u8::from(o.skip_verification)]].concat()
}

impl Cache {
    pub(crate) fn server(&self, o: &Options) -> Result<Arc<ServerConfig>, Error> {
        if let Some(found) = self.servers.borrow().get(&id(o)) {
            return Ok(found.clone());
        }
        let key = PrivateKeyDer::from_pem_slice(o.key).map_err(|e| Error(format!("KEY err: {e}")))?;
        let mut c = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| Error(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(certs(o.cert)?, key)
            .map_err(|e| Error(e.to_string()))?;
        c.ticketer = ring::Ticketer::new().map_err(|e| Error(e.to_string()))?;
        let c = Arc::new(c);
        self.servers.borrow_mut().insert(id(o), c.clone());
        Ok(c)
    }

    pub(crate) fn client(&self, o: &Options, peer: core::net::IpAddr) -> Result<(Arc<ClientConfig>, ServerName<'static>), Error> {
        let name = match core::str::from_utf8(o.name) {
            Ok("") | Err(_) => ServerName::IpAddress(peer.into()),
            Ok(s) => ServerName::try_from(s.to_string()).map_err(|e| Error(e.to_string()))?,
        };
        if let Some(found) = self.clients.borrow().get(&id(o)) {
            return Ok((found.clone(), name));
        }
        let b = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| Error(e.to_string()))?;
        let c = if o.ca.is_empty() || o.name.is_empty() {
            b.dangerous().with_custom_certificate_verifier(Arc::new(No)).with_no_client_auth()
        } else {
            let mut roots = RootCertStore::empty();
            for cert in certs(o.ca)? {
                roots.add(cert).map_err(|e| Error(e.to_string()))?;
            }
            b.with_root_certificates(roots).with_no_client_auth()
        };
        let c = Arc::new(c);
        self.clients.borrow_mut().insert(id(o), c.clone());
        Ok((c, name))
    }
}

pub(crate) fn explain(e: &rustls::Error) -> String {
    e.to_string()
}

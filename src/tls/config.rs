//! rustls configurations from the options of `mg_tls_init`, and a cache of them: applications pass the same options for every
//! connection.
//!
//! With ALPN, HTTP connections offer and choose `http/1.1`. Others have no list: with one, a server would refuse clients whose
//! list has nothing in common with it.

use super::crypto;
pub(crate) use super::error::{Error, explain};
use super::keys;
use super::session::OOM;
use super::verify::{Verifier, anchors};
use crate::hash::md::sha256_of;
use crate::memory;
use crate::memory::prelude::*;
use crate::sys::random;
use alloc::sync::Arc;
use core::cell::RefCell;
use core::net::IpAddr;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, GetRandomFailed, SecureRandom};
use rustls::pki_types::ServerName;
use rustls::server::{ResolvesServerCert, ResolvesServerCertUsingSni, ServerConfig};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore, SupportedProtocolVersion};

/// `struct mg_tls_opts`, borrowed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options<'a> {
    pub(crate) ca: &'a [u8],
    pub(crate) cert: &'a [u8],
    pub(crate) key: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) skip_verification: bool,
    /// The connection carries HTTP. Not from the application.
    pub(crate) http: bool,
}

/// Maximum number of early data bytes to skip (RFC 8446, 4.2.10).
const EARLY_DATA: u32 = 1 << 20;

/// Number of configurations cached.
const KEPT: usize = 32;

/// Number of sessions a client configuration remembers, up to eight per server.
const SESSIONS: usize = 256;

/// Configurations by a digest of their options, most recently used first. Tickets and sessions belong to one configuration, so a
/// session established under some requirements is never resumed under others.
#[derive(Default)]
pub(crate) struct Cache {
    servers: List<ServerConfig>,
    clients: List<ClientConfig>,
}

impl Cache {
    pub(crate) fn server(&self, o: &Options<'_>) -> Result<Arc<ServerConfig>, Error> {
        kept(&self.servers, digest(o, false), || server(o, DEFAULT_VERSIONS))
    }

    /// The name that the server's certificate must have; the peer's address if it may have any.
    pub(crate) fn client(&self, o: &Options<'_>, peer: IpAddr) -> Result<(Arc<ClientConfig>, ServerName<'static>), Error> {
        let name = server_name(o.name)?;
        let config = kept(&self.clients, digest(o, name.is_some()), || client(o, name.is_some(), DEFAULT_VERSIONS))?;
        Ok((config, name.unwrap_or_else(|| peer.into())))
    }
}

fn digest(o: &Options<'_>, named: bool) -> [u8; 32] {
    sha256_of(&[o.key, o.cert, o.ca, &[u8::from(o.skip_verification), u8::from(named), u8::from(o.http)]])
}

/// The configurations of a list with their digests.
type List<T> = RefCell<Vec<([u8; 32], Arc<T>)>>;

fn kept<T>(list: &List<T>, digest: [u8; 32], make: impl FnOnce() -> Result<T, Error>) -> Result<Arc<T>, Error> {
    let found = list.borrow().iter().position(|(d, _)| *d == digest);
    if let Some(at) = found {
        list.borrow_mut()[..=at].rotate_right(1);
        return Ok(list.borrow()[0].1.clone());
    }
    // It writes to the log, and so may call the application, which may come here again.
    let helped = memory::helped();
    let made = make();
    if memory::helped() != helped {
        // The reserve is not for what stays.
        return Err(Error::new(OOM, ""));
    }
    let config = Arc::new(made?);
    let mut list = list.borrow_mut();
    list.truncate(KEPT - 1);
    list.insert(0, (digest, config.clone()));
    Ok(config)
}

/// The name to expect. None if there is none.
fn server_name(name: &[u8]) -> Result<Option<ServerName<'static>>, Error> {
    let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    let name = String::from_utf8_lossy(&name[..end]);
    if name.is_empty() {
        return Ok(None);
    }
    let plain = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(&name);
    let plain = plain.strip_suffix('.').unwrap_or(plain);
    match ServerName::try_from(plain) {
        Ok(found) => Ok(Some(found.to_owned())),
        Err(e) => Err(Error::new(format!("TLS name is no host name: {name}"), e)),
    }
}

/// Random numbers from `mg_random`, which an application may have replaced. Without them there is no handshake.
#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, buf: &mut [u8]) -> Result<(), GetRandomFailed> {
        if random::fill(buf) { Ok(()) } else { Err(GetRandomFailed) }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { secure_random: &Random, ..crypto::default_provider() })
}

fn protocols(o: &Options<'_>) -> Vec<Vec<u8>> {
    if o.http { vec![b"http/1.1".to_vec()] } else { Vec::new() }
}

fn other(e: rustls::Error) -> Error {
    Error::new("TLS OOM", e)
}

/// The trust anchors to verify the peer with; None disables verification.
fn trusted(o: &Options<'_>) -> Result<Option<RootCertStore>, Error> {
    if o.ca.is_empty() || o.skip_verification { Ok(None) } else { anchors(o.ca).map(Some) }
}

pub(super) fn server(o: &Options<'_>, versions: &[&'static SupportedProtocolVersion]) -> Result<ServerConfig, Error> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).map_err(other)?;
    let builder = match trusted(o)? {
        Some(roots) => builder.with_client_cert_verifier(Arc::new(Verifier::new(Some(roots), false, &provider)?)),
        None => builder.with_no_client_auth(),
    };
    let resolver: Arc<dyn ResolvesServerCert> = match keys::own(o.cert, o.key)? {
        Some(own) => Arc::new(SingleCertAndKey::from(own)),
        // It has none for anyone: clients are refused.
        None => Arc::new(ResolvesServerCertUsingSni::new()),
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = protocols(o);
    config.ticketer = crypto::Ticketer::new().map_err(other)?;
    // Early data is neither asked for nor taken where there is a ticketer. This is how much of it is skipped: a client may have the
    // ticket of another server, whose limit nobody knows.
    config.max_early_data_size = EARLY_DATA;
    Ok(config)
}

pub(super) fn client(
    o: &Options<'_>,
    named: bool,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ClientConfig, Error> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).map_err(other)?;
    let verifier = Verifier::new(trusted(o)?, named && !o.skip_verification, &provider)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match keys::own(o.cert, o.key)? {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols(o);
    config.enable_sni = named;
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}

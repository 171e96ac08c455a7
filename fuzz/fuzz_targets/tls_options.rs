//! Certificates and keys: as options, in PEM or DER, and as presented by a peer. Nothing but the test server's certificate is
//! accepted for it.

use rustls::pki_types::{CertificateDer, PrivateSec1KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConnection, ServerConfig, ServerConnection};
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};

use crate::hash;
use crate::tls::config::{Cache, Options, explain};

const CA: &[u8] = include_bytes!("../../c-tests/certs/ca.pem");
const CERT: &[u8] = include_bytes!("../../c-tests/certs/server-p256.pem");
const KEY: &[u8] = include_bytes!("../../c-tests/certs/server-p256.key");

fn der(pem: &[u8]) -> Vec<u8> {
    let lines = pem.split(|b| *b == b'\n').filter(|l| !l.starts_with(b"-"));
    let text = lines.collect::<Vec<_>>().concat();
    let mut der = vec![0; text.len()];
    let n = hash::base64::decode(&text, &mut der).unwrap();
    der.truncate(n);
    der
}

/// The test server's certificate, and a key to sign with.
static OWN: LazyLock<CertifiedKey> = LazyLock::new(|| {
    let key = PrivateSec1KeyDer::from(der(KEY)).into();
    CertifiedKey::new(vec![der(CERT).into()], rustls::crypto::ring::sign::any_supported_type(&key).unwrap())
});

fn talk(mut client: ClientConnection, mut server: ServerConnection) -> Result<(), rustls::Error> {
    loop {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        if wire.is_empty() && !client.is_handshaking() {
            return Ok(());
        }
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut input = &wire[..];
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets()?;
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let good = Options { ca: CA, cert: CERT, key: KEY, name: b"localhost", ..Options::default() };
    let cache = Cache::default();
    for options in [
        Options { ca: data, ..good },
        Options { cert: data, ..good },
        Options { key: data, ..good },
        Options { cert: data, key: data, ..good },
        Options { name: data, ..good },
    ] {
        for result in [cache.server(&options).map(drop), cache.client(&options, Ipv4Addr::LOCALHOST.into()).map(drop)] {
            if let Err(e) = result {
                assert!(e.to_string().len() <= 63 && e.detail().len() >= e.to_string().len());
            }
        }
    }

    let shown = CertifiedKey::new(vec![CertificateDer::from(data.to_vec())], OWN.key.clone());
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let server = builder.with_protocol_versions(&[&rustls::version::TLS12, &rustls::version::TLS13]).unwrap();
    let server = Arc::new(server.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(shown))));
    for options in
        [Options { ca: CA, name: b"localhost", ..Options::default() }, Options { name: b"localhost", ..Options::default() }]
    {
        let (config, name) = cache.client(&options, Ipv4Addr::LOCALHOST.into()).unwrap();
        let client = ClientConnection::new(config, name).unwrap();
        match talk(client, ServerConnection::new(server.clone()).unwrap()) {
            Ok(()) => assert!(options.ca.is_empty() || data == OWN.cert[0].as_ref()),
            Err(e) => assert!(explain(&e).len() <= 63),
        }
    }
});

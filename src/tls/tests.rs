//! Handshakes in memory, between configurations made from options.

use super::config::{self, Cache, Error, Options, explain};
use super::verify::{Verifier, anchors};
use crate::hash::base64;
use core::net::{IpAddr, Ipv4Addr};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The two ends after a handshake.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

/// Both ends, created from their options, or the first error.
fn connect(cache: &Cache, server: &Options, client: &Options) -> Result<Pair, String> {
    let text = |e: Error| e.to_string();
    let server = cache.server(server).map_err(text)?;
    let (client, name) = cache.client(client, PEER).map_err(text)?;
    talk(server, client, name)
}

/// The same for each version of TLS. The result is that of the last, and must be the same for all.
fn connect_all(server: &Options, client: &Options) -> Result<(), String> {
    let name = Cache::default().client(client, PEER).map_err(|e| e.to_string())?.1;
    let named = !client.name.is_empty();
    let results = [&TLS12, &TLS13].map(|version| {
        let server = config::server(server, &[version]).map_err(|e| e.to_string())?;
        let client = config::client(client, named, &[version]).map_err(|e| e.to_string())?;
        let pair = talk(Arc::new(server), Arc::new(client), name.clone())?;
        assert_eq!(pair.client.protocol_version(), Some(version.version));
        Ok(())
    });
    assert_eq!(results[0], results[1]);
    results[1].clone()
}

/// A handshake: both ends talk until neither has more to say.
fn talk(server: Arc<ServerConfig>, client: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Pair, String> {
    talk_over(server, client, name, |_| ())
}

/// The same over a wire that may change the server's output.
fn talk_over(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
    mut change: impl FnMut(&mut [u8]),
) -> Result<Pair, String> {
    let mut server = ServerConnection::new(server).unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut wire = Vec::new();
    loop {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let sent = wire.len();
        let mut input = &wire[..];
        while !input.is_empty() {
            server.read_tls(&mut input).unwrap();
            server.process_new_packets().map_err(|e| explain(&e))?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        change(&mut wire);
        let mut input = &wire[..];
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets().map_err(|e| explain(&e))?;
        }
        if sent + wire.len() == 0 {
            let done = !client.is_handshaking() && !server.is_handshaking();
            return if done { Ok(Pair { client, server }) } else { Err("both wait".into()) };
        }
    }
}

/// Options of which the parts are files of the vectors, or texts.
struct Parts(HashMap<String, Vec<u8>>);

impl Parts {
    fn new(pki: &Value, options: &Value) -> Self {
        let bytes = |v: &Value| match (v["file"].as_str(), v["text"].as_str()) {
            (Some(file), _) => file_of(&pki[file]),
            (None, text) => text.or(v.as_str()).unwrap().as_bytes().to_vec(),
        };
        let parts = options.as_object().unwrap().iter().filter(|(_, v)| !v.is_boolean() && !v.is_number());
        Self(parts.map(|(name, v)| (name.clone(), bytes(v))).collect())
    }

    fn options(&self) -> Options<'_> {
        let part = |name| self.0.get(name).map_or(&[][..], |v| v);
        Options {
            ca: part("ca"),
            cert: part("cert"),
            key: part("key"),
            name: part("name"),
            skip_verification: false,
            http: false,
        }
    }
}

fn file_of(entry: &Value) -> Vec<u8> {
    match entry["pem"].as_str() {
        Some(pem) => pem.as_bytes().to_vec(),
        None => {
            let text = entry["base64"].as_str().unwrap();
            let mut der = vec![0; text.len()];
            let n = base64::decode(text.as_bytes(), &mut der).unwrap();
            der[..n].to_vec()
        }
    }
}

#[test]
fn verification_matrix() {
    let all: Value = serde_json::from_str(include_str!("../../c-tests/vectors/tls_matrix.json")).unwrap();
    let mut seen = 0;
    for v in all["vectors"].as_array().unwrap() {
        let [server, client] = ["server", "client"].map(|side| Parts::new(&all["pki"], &v[side]));
        let cache = Cache::default();
        let result = connect(&cache, &server.options(), &client.options());
        let expected = ["openssl", "builtin"].map(|b| v[b]["ok"].as_u64());
        let ok = expected[0].or(expected[1]).unwrap();
        assert_eq!(u64::from(result.is_ok()), ok, "{}: {:?}", v["name"], result.err());
        seen += 1;
    }
    assert!(seen >= 61);
}

/// A file of c-tests/certs. It lives as long as the tests, as options borrow from it.
fn file(name: &str) -> &'static [u8] {
    let path = format!("{}/c-tests/certs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}")).leak()
}

fn der(name: &str) -> &'static [u8] {
    super::pem::blocks(file(name)).next().unwrap().decode().unwrap().to_vec().leak()
}

fn own(name: &str) -> Options<'static> {
    Options { cert: file(&format!("{name}.pem")), key: file(&format!("{name}.key")), ..Options::default() }
}

fn expecting(ca: &str, name: &'static str) -> Options<'static> {
    Options { ca: if ca.is_empty() { b"" } else { file(ca) }, name: name.as_bytes(), ..Options::default() }
}

/// Tries a server's certificate on a client that trusts `ca` and expects `name`.
fn try_server(server: &str, ca: &str, name: &'static str) -> Result<(), String> {
    connect_all(&own(server), &expecting(ca, name))
}

#[track_caller]
fn refused(result: Result<(), String>, text: &str) {
    assert_eq!(result, Err(text.to_string()));
}

const EXPIRED: &str = "tls hs: peer's certificate: expired";
const FUTURE: &str = "tls hs: peer's certificate: not valid yet";
const UNKNOWN: &str = "tls hs: peer's certificate: issuer is not in ca";
const PURPOSE: &str = "tls hs: peer's certificate: not for this purpose";

#[test]
fn every_kind_of_key() {
    for kind in ["p256", "p384", "ed25519", "rsa2048", "rsa4096"] {
        assert_eq!(try_server(&format!("server-{kind}"), "ca.pem", "localhost"), Ok(()), "{kind}");
    }
    for kind in ["p256", "p384", "ed25519", "rsa2048"] {
        let server = Options { ca: file("ca.pem"), ..own("server-p256") };
        let client = Options { ca: file("ca.pem"), name: b"localhost", ..own(&format!("client-{kind}")) };
        assert_eq!(connect_all(&server, &client), Ok(()), "{kind}");
    }
}

#[test]
fn alpn_is_offered_for_http_only() {
    let server = |http| Options { http, ..own("server-p256") };
    let client = |http| Options { http, ..Options::default() };
    let alpn = |server, client| {
        let pair = connect(&Cache::default(), &server, &client)?;
        Ok::<_, String>(pair.client.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(alpn(server(true), client(true)), Ok(Some(b"http/1.1".to_vec())));
    for (s, c) in [(true, false), (false, true), (false, false)] {
        assert_eq!(alpn(server(s), client(c)), Ok(None));
    }
}

#[test]
fn every_key_format() {
    let keys = [
        ("server-p256", "server-p256-pkcs8.key"),
        ("server-p256", "server-p256-no-public.key"),
        ("server-p256", "server-p256-pkcs8-no-public.key"),
        ("server-p384", "server-p384-no-public.key"),
        ("server-rsa2048", "server-rsa2048-pkcs8.key"),
        ("with-parameters", "with-parameters.key"),
    ];
    for (cert, key) in keys {
        let server = Options { key: file(key), ..own(cert) };
        assert_eq!(connect_all(&server, &expecting("ca.pem", "localhost")), Ok(()), "{key}");
    }
    for name in ["server-p256", "server-p384", "server-ed25519", "server-rsa2048"] {
        let server = Options { cert: der(&format!("{name}.pem")), key: der(&format!("{name}.key")), ..Options::default() };
        let client = Options { ca: der("ca.pem"), name: b"localhost", ..Options::default() };
        assert_eq!(connect_all(&server, &client), Ok(()), "{name}");
    }
}

#[test]
fn pem_may_be_indented_and_mixed_with_text() {
    let dress = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let indented = text.replace('\n', "\r\n\t ");
        let bare = text.trim_end().to_string();
        let crs = text.replace('\n', "\r");
        let noted = format!("0 s:CN = x\n-----BEGIN X-----\nAAAA\n-----END X-----\n-----BEGIN CERTIFICATE-----\n{text}\0");
        [indented, bare, crs, noted].map(|t| &*t.into_bytes().leak())
    };
    let plain = own("server-p256");
    let (certs, keys, cas) = (dress(plain.cert), dress(plain.key), dress(file("ca.pem")));
    for n in 0..certs.len() {
        let server = Options { cert: certs[n], key: keys[n], ..plain };
        let client = Options { ca: cas[n], name: b"localhost\0", ..plain };
        assert_eq!(connect_all(&server, &client), Ok(()), "{n}");
    }
    let both = [plain.key, plain.cert].concat();
    assert_eq!(connect_all(&Options { cert: &both, key: &both, ..plain }, &expecting("ca.pem", "localhost")), Ok(()));
    let trailing = [der("server-p256.key"), b"\0"].concat();
    assert_eq!(connect_all(&Options { key: &trailing, ..plain }, &expecting("ca.pem", "localhost")), Ok(()));
}

#[test]
fn unusable_options_are_refused() {
    let good = own("server-p256");
    let (cert, key) = (good.cert, good.key);
    let half = |bytes: &'static [u8]| &bytes[..bytes.len() / 2];
    let flipped = |name: &str| {
        let mut bytes = file(name).to_vec();
        bytes[100] = b'*';
        &*bytes.leak()
    };
    let cases: [(&str, Options); 18] = [
        ("KEY err 1: no private key for the certificate", Options { cert, ..Options::default() }),
        ("KEY err 1: no private key for the certificate", Options { cert, key: b"\0x", ..Options::default() }),
        ("CERT err 1: no certificate for the private key", Options { key, ..Options::default() }),
        ("CERT err 1: no certificate in it", Options { cert: key, ..good }),
        ("CERT err 1: no certificate in it", Options { cert: half(cert), ..good }),
        ("CERT err 1: damaged certificate", Options { cert: flipped("server-p256.pem"), ..good }),
        ("CERT err 1: damaged certificate", Options { cert: der("server-p256.key"), ..good }),
        ("KEY err 1: no private key in it", Options { key: cert, ..good }),
        ("KEY err 1: no private key in it", Options { key: half(key), ..good }),
        ("KEY err 1: damaged private key", Options { key: flipped("server-p256.key"), ..good }),
        ("KEY err 1: not a private key", Options { key: der("server-p256.pem"), ..good }),
        ("KEY err 1: the private key is encrypted", Options { key: file("server-p256-encrypted.key"), ..good }),
        ("KEY err 1: the private key is encrypted", Options { key: file("server-rsa2048-encrypted.key"), ..good }),
        ("KEY err 1: does not match the certificate", Options { key: file("chain.key"), ..good }),
        ("KEY err 1: does not match the certificate", Options { key: file("server-rsa2048.key"), ..good }),
        ("KEY err 1: does not match the certificate", Options { key: file("client-p384.key"), ..own("server-p384") }),
        ("KEY err 1: damaged, or not RSA, P-256, P-384 or Ed25519", own("unsupported-p521")),
        ("KEY err 1: damaged, or not RSA, P-256, P-384 or Ed25519", own("unsupported-rsa1024")),
    ];
    // aws-lc knows P-521 too.
    let p521 = file("unsupported-p521.key");
    for (text, options) in cases.into_iter().filter(|(_, o)| !cfg!(feature = "aws-lc") || o.key != p521) {
        let cache = Cache::default();
        let both = [cache.server(&options).map(drop), cache.client(&options, PEER).map(drop)];
        assert_eq!(both.map(|r| r.map_err(|e| e.to_string())), [Err(text.into()), Err(text.into())]);
    }
    let wrong_half = Options { key: file("server-p256-no-public.key"), ..own("chain") };
    assert!(Cache::default().server(&wrong_half).is_err());
}

#[test]
fn bundles_of_trust_anchors() {
    let error = |ca: &[u8]| {
        let options = Options { ca, ..Options::default() };
        Cache::default().client(&options, PEER).map(drop).unwrap_err().to_string()
    };
    assert_eq!(error(b"garbage"), "CA err: no certificate in it");
    assert_eq!(error(b"\0"), "CA err: no certificate in it");
    assert_eq!(error(file("server-p256.pem")), "CA err: no usable CA certificate in it");

    let server = own("server-p256");
    let try_list = |ca: &[u8]| connect_all(&server, &Options { ca, name: b"localhost", ..Options::default() });
    assert_eq!(try_list(&[der("other-ca.pem"), der("ca.pem")].concat()), Ok(()));
    let mut mixed = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    ["server-p256.pem", "server-p256.key", "other-ca.pem", "ca.pem"].iter().for_each(|name| mixed.extend(file(name)));
    assert_eq!(try_list(&mixed), Ok(()));
    // An intermediate certificate is enough.
    assert_eq!(try_server("chain", "intermediate.pem", "localhost"), Ok(()));
    // A certificate that is not a CA does not anchor itself, unless it is self-signed.
    assert_eq!(try_list(&[file("server-p256.pem"), file("other-ca.pem")].concat()), Err(UNKNOWN.into()));
}

#[test]
fn a_long_list_of_ca_names_is_not_sent() {
    let other = file("other-ca.pem");
    let list = [other.repeat(1500), file("ca.pem").to_vec()].concat();
    let server = Options { ca: &list, ..own("server-p256") };
    assert_eq!(connect_all(&server, &own("client-p256")), Ok(()));
}

#[test]
fn matching_server_names() {
    for ca in ["ca.pem", ""] {
        let good = [
            ("server-p256", "localhost"),
            ("server-p256", "LocalHost"),
            ("server-p256", "localhost."),
            ("server-p256", "a.wild.test"),
            ("server-p256", "127.0.0.1"),
            ("server-p256", "::1"),
            ("server-p256", "[::1]"),
            ("server-p256", ""),
            ("elsewhere", "192.0.2.1"),
            ("elsewhere", ""),
            ("cn-only", "localhost"),
            ("cn-with-ip", "localhost"),
            ("cn-wildcard", "a.wild.test"),
            ("v1", "localhost"),
            ("v1", ""),
        ];
        for (server, name) in good {
            assert_eq!(try_server(server, ca, name), Ok(()), "{server} {name} {ca}");
        }
        let bad = [
            ("server-p256", "wild.test"),
            ("server-p256", "a.b.wild.test"),
            ("server-p256", "127.0.0.2"),
            ("server-p256", "::2"),
            ("elsewhere", "localhost"),
            ("elsewhere", "127.0.0.1"),
            ("cn-only", "local"),
            ("cn-only", "127.0.0.1"),
            ("cn-wildcard", "wild.test"),
            ("v1", "elsewhere.test"),
        ];
        for (server, name) in bad {
            let text = try_server(server, ca, name).unwrap_err();
            assert!(text.starts_with("failed to verify hostname"), "{server} {name} {ca}: {text}");
        }
    }
}

#[test]
fn invalid_server_names() {
    for name in ["a b", "a..b", "-", "http://a", "a:443", "ä.test", &"a".repeat(64)] {
        let options = Options { name: name.as_bytes(), ..Options::default() };
        let text = Cache::default().client(&options, PEER).map(drop).unwrap_err().to_string();
        assert!(text.starts_with("TLS name is no host name: "), "{text}");
        assert!(text.len() <= 63);
    }
    let options = Options { name: b"with_underscore.test", ..Options::default() };
    assert!(Cache::default().client(&options, PEER).is_ok());
}

#[test]
fn server_dates_and_issuers() {
    refused(try_server("expired", "ca.pem", "localhost"), EXPIRED);
    refused(try_server("future", "ca.pem", ""), FUTURE);
    refused(try_server("v1-expired", "ca.pem", "localhost"), EXPIRED);
    refused(try_server("v1-future", "ca.pem", ""), FUTURE);
    refused(try_server("self-expired", "self-expired.pem", ""), EXPIRED);
    refused(try_server("server-p256", "other-ca.pem", ""), UNKNOWN);
    refused(try_server("v1", "other-ca.pem", ""), UNKNOWN);
    refused(try_server("self", "ca.pem", ""), UNKNOWN);
    refused(try_server("self-leaf", "ca.pem", ""), UNKNOWN);
    refused(try_server("for-clients", "ca.pem", "localhost"), PURPOSE);
    refused(try_server("marked-as-ca-for-clients", "ca.pem", "localhost"), PURPOSE);
    refused(try_server("unknown-extension", "ca.pem", "localhost"), "tls hs: peer's certificate: unknown extension");
    refused(
        try_server("constrained-elsewhere", "constrained-ca.pem", "elsewhere.test"),
        "tls hs: peer's certificate: a CA forbids its name",
    );
    refused(try_server("constrained-v1", "constrained-ca.pem", "server.test"), UNKNOWN);
    for (server, ca) in [
        ("self", "self.pem"),
        ("self-leaf", "self-leaf.pem"),
        ("self-v1", "self-v1.pem"),
        ("under-v1-ca", "v1-ca.pem"),
        ("marked-as-ca", "ca.pem"),
        ("chain", "ca.pem"),
    ] {
        assert_eq!(try_server(server, ca, "localhost"), Ok(()), "{server}");
    }
    assert_eq!(try_server("constrained", "constrained-ca.pem", "server.test"), Ok(()));
    let chain = own("chain");
    let leaf =
        chain.cert.split_inclusive(|&b| b == b'\n').take_while(|l| !l.starts_with(b"-----END")).collect::<Vec<_>>().concat();
    let leaf = [&leaf[..], b"-----END CERTIFICATE-----\n"].concat();
    refused(connect_all(&Options { cert: &leaf, ..chain }, &expecting("ca.pem", "localhost")), UNKNOWN);
}

#[test]
fn skipped_verification() {
    for server in ["server-p256", "expired", "v1-future", "elsewhere", "self", "unknown-extension", "constrained-elsewhere"] {
        for name in ["", "other.test"] {
            let client = Options { skip_verification: true, ..expecting("ca.pem", name) };
            assert_eq!(connect_all(&own(server), &client), Ok(()), "{server} {name}");
        }
        // Without ca only the name is checked.
        assert_eq!(try_server(server, "", ""), Ok(()), "{server}");
    }
    let server = Options { skip_verification: true, ca: file("ca.pem"), ..own("server-p256") };
    assert_eq!(connect_all(&server, &Options::default()), Ok(()));
}

#[test]
fn client_certificates() {
    let server = Options { ca: file("ca.pem"), ..own("server-p256") };
    let try_client = |name: &str| connect_all(&server, &Options { ca: file("ca.pem"), ..own(name) });
    for client in ["client-p256", "client-v1", "server-p256", "marked-as-ca"] {
        assert_eq!(try_client(client), Ok(()), "{client}");
    }
    refused(connect_all(&server, &expecting("ca.pem", "")), "tls hs: the peer has no certificate");
    refused(try_client("client-other-ca"), UNKNOWN);
    refused(try_client("client-expired"), EXPIRED);
    refused(try_client("v1-expired"), EXPIRED);
    let itself = Options { ca: file("self.pem"), ..server };
    assert_eq!(connect_all(&itself, &own("self")), Ok(()));
    assert!(connect_all(&itself, &own("client-p256")).is_err());
}

/// How the last of several connections in a row began.
fn last_of(cache: &Cache, pairs: &[(&Options, &Options)]) -> Option<HandshakeKind> {
    let connected = pairs.iter().map(|(server, client)| connect(cache, server, client).unwrap());
    connected.last().unwrap().server.handshake_kind()
}

#[test]
fn sessions_resume_with_identical_options_only() {
    use HandshakeKind::{Full, Resumed};
    let cache = Cache::default();
    let server = own("server-p256");
    let demanding = Options { ca: file("ca.pem"), ..server };
    let client = Options { name: b"localhost", ..own("client-p256") };
    assert_eq!(last_of(&cache, &[(&server, &client)]), Some(Full));
    assert_eq!(last_of(&cache, &[(&server, &client)]), Some(Resumed));
    // The server's current requirements apply.
    assert_eq!(last_of(&cache, &[(&demanding, &client)]), Some(Full));
    assert_eq!(last_of(&cache, &[(&demanding, &client)]), Some(Resumed));
    let stranger = Options { name: b"localhost", ..Options::default() };
    assert_eq!(last_of(&cache, &[(&server, &stranger), (&server, &stranger)]), Some(Resumed));
    refused(connect(&cache, &demanding, &stranger).map(drop), "tls hs: the peer has no certificate");
    let checking = Options { ca: file("ca.pem"), ..stranger };
    assert_eq!(last_of(&cache, &[(&server, &checking)]), Some(Full));
    let elsewhere = Options { name: b"server.test", ..checking };
    assert_eq!(last_of(&cache, &[(&server, &elsewhere)]), Some(Full));
    // A client that does not verify shares no sessions with one that does.
    let fresh = Cache::default();
    let careless = Options { skip_verification: true, ..checking };
    assert!(connect(&fresh, &own("self"), &careless).is_ok());
    assert!(connect(&fresh, &own("self"), &checking).is_err());
    let nameless = Options { name: b"", ..checking };
    assert!(connect(&fresh, &own("elsewhere"), &nameless).is_ok());
    assert!(connect(&fresh, &own("elsewhere"), &checking).is_err());
    // Another server with the same certificate cannot read the first one's tickets.
    let other = Cache::default();
    let (config, name) = cache.client(&client, PEER).unwrap();
    let pair = talk(other.server(&server).unwrap(), config, name).unwrap();
    assert_eq!(pair.server.handshake_kind(), Some(Full));
}

#[test]
fn tls12_sessions_are_resumed() {
    let (server, client) = (own("server-p256"), expecting("ca.pem", "localhost"));
    let server = Arc::new(config::server(&server, &[&TLS12]).unwrap());
    let client = Arc::new(config::client(&client, true, &[&TLS12]).unwrap());
    let name = ServerName::try_from("localhost").unwrap();
    let kinds = [(); 2].map(|()| talk(server.clone(), client.clone(), name.clone()).unwrap().server.handshake_kind());
    assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
}

#[test]
fn the_cache_is_bounded() {
    let cache = Cache::default();
    let plain = own("server-p256");
    let first = cache.server(&plain).unwrap();
    assert!(Arc::ptr_eq(&first, &cache.server(&plain).unwrap()));
    let variants: Vec<Vec<u8>> = (0..100).map(|n| [plain.cert, format!("{n}").as_bytes()].concat()).collect();
    for (n, cert) in variants.iter().enumerate() {
        cache.server(&Options { cert, ..plain }).unwrap();
        // Configurations in use stay.
        if n < 50 {
            assert!(Arc::ptr_eq(&first, &cache.server(&plain).unwrap()));
        }
    }
    assert_eq!(Arc::strong_count(&first), 1);
    let last = cache.server(&Options { cert: &variants[99], ..plain }).unwrap();
    assert_eq!(Arc::strong_count(&last), 2);
    // The same bytes split differently are different options.
    let (a, b) = ([plain.cert, plain.key].concat(), plain.key);
    assert!(!Arc::ptr_eq(&cache.server(&Options { cert: &a, key: b, ..plain }).unwrap(), &cache.server(&plain).unwrap()));
}

/// One certificate with the key of another, as no options can make it.
fn stolen(shown: &str, has: &str) -> Arc<SingleCertAndKey> {
    let right = super::keys::own(file(&format!("{has}.pem")), file(&format!("{has}.key"))).unwrap().unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![der(&format!("{shown}.pem")).into()], right.key)))
}

#[test]
fn the_handshake_signature_is_verified() {
    for version in [&TLS12, &TLS13] {
        for (shown, has) in [("server-p256", "chain"), ("v1", "server-p256"), ("server-rsa2048", "server-p256")] {
            let builder = ServerConfig::builder_with_provider(Arc::new(super::crypto::default_provider()));
            let builder = builder.with_protocol_versions(&[version]).unwrap().with_no_client_auth();
            let server = builder.with_cert_resolver(stolen(shown, has));
            let client = Options { skip_verification: true, ..Options::default() };
            let client = config::client(&client, false, &[version]).unwrap();
            let result = talk(Arc::new(server), Arc::new(client), PEER.into()).map(drop);
            assert!(result.unwrap_err().starts_with("tls hs: peer's certificate: "), "{shown} {has}");
        }
        for (shown, has) in [("client-p256", "chain"), ("client-p384", "server-p384"), ("client-v1", "client-p256")] {
            let server = Options { ca: file("ca.pem"), ..own("server-p256") };
            let server = config::server(&server, &[version]).unwrap();
            let mut client = config::client(&Options::default(), false, &[version]).unwrap();
            client.client_auth_cert_resolver = stolen(shown, has);
            let result = talk(Arc::new(server), Arc::new(client), PEER.into()).map(drop);
            assert!(result.unwrap_err().starts_with("tls hs: peer's certificate: "), "{shown} {has}");
        }
    }
}

#[test]
fn a_flipped_bit_fails_the_handshake() {
    let options = own("server-p256");
    let server = Arc::new(config::server(&options, &[&TLS13]).unwrap());
    let client = Arc::new(config::client(&expecting("ca.pem", "localhost"), true, &[&TLS13]).unwrap());
    let name = ServerName::try_from("localhost").unwrap();
    // The significant bytes of a flight: all but the versions in record headers, which are ignored.
    let counting = |flight: &[u8]| {
        let (mut bytes, mut record) = (Vec::new(), 0);
        while record < flight.len() {
            let end = record + 5 + usize::from(u16::from_be_bytes([flight[record + 3], flight[record + 4]]));
            bytes.extend((record..end).filter(|at| ![1, 2].contains(&(at - record))));
            record = end;
        }
        bytes
    };
    // Signatures, and so flights, differ in length.
    for n in 0.. {
        let (mut flights, mut changed) = (0, false);
        let result = talk_over(server.clone(), client.clone(), name.clone(), |flight| {
            if let (0, Some(at)) = (flights, counting(flight).get(n)) {
                flight[*at] ^= 0x80;
                changed = true;
            }
            flights += 1;
        });
        assert_eq!(result.is_err(), changed, "{n}");
        if !changed {
            assert!(n > 500);
            break;
        }
    }
}

#[test]
fn a_changed_certificate_is_refused() {
    // One for each kind of trust: issued by a CA, self-signed, version 1, marked as a CA.
    for (name, ca) in [
        ("server-p256", "ca.pem"),
        ("v1", "ca.pem"),
        ("self-v1", "self-v1.pem"),
        ("self", "self.pem"),
        ("marked-as-ca", "ca.pem"),
        ("client-rsa2048", "ca.pem"),
    ] {
        let provider = Arc::new(super::crypto::default_provider());
        let verifier = Verifier::new(Some(anchors(file(ca)).unwrap()), true, &provider).unwrap();
        let host = ServerName::try_from("localhost").unwrap();
        let now = UnixTime::now();
        let good = der(&format!("{name}.pem"));
        let is_client = name.starts_with("client");
        let check = |cert: Vec<u8>| match is_client {
            true => verifier.verify_client_cert(&cert.into(), &[], now).is_ok(),
            false => verifier.verify_server_cert(&cert.into(), &[], &host, &[], now).is_ok(),
        };
        assert!(check(good.to_vec()), "{name}");
        for at in 0..good.len() {
            let mut changed = good.to_vec();
            changed[at] ^= 1 << (at % 8);
            assert!(!check(changed), "{name}: byte {at}");
        }
        assert!((0..good.len()).all(|len| !check(good[..len].to_vec())), "{name}");
        assert!(!check([good, &[0]].concat()), "{name}");
    }
}

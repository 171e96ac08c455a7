//! Handshakes in memory, between configurations made from options.

use super::config::{Cache, Options, explain};
use crate::hash::base64;
use rustls::{ClientConnection, HandshakeKind, ServerConnection};
use serde_json::Value;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The two ends after a handshake.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

/// Both ends made from their options, talking until neither has more to say. What went wrong first, if something did.
fn connect(server: (&Cache, &Options), client: (&Cache, &Options)) -> Result<Pair, String> {
    let text = |e: super::config::Error| e.to_string();
    let config = server.0.server(server.1).map_err(text)?;
    let mut server = ServerConnection::new(config).unwrap();
    let (config, name) = client.0.client(client.1, PEER).map_err(text)?;
    let mut client = ClientConnection::new(config, name).unwrap();
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
        let mut input = &wire[..];
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets().map_err(|e| explain(&e))?;
        }
        if sent + wire.len() == 0 {
            assert!(!client.is_handshaking() && !server.is_handshaking());
            return Ok(Pair { client, server });
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
        Options { ca: part("ca"), cert: part("cert"), key: part("key"), name: part("name"), skip_verification: false }
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
fn matrix() {
    let all: Value = serde_json::from_str(include_str!("../../c-tests/vectors/tls_matrix.json")).unwrap();
    let mut seen = 0;
    for v in all["vectors"].as_array().unwrap() {
        let [server, client] = ["server", "client"].map(|side| Parts::new(&all["pki"], &v[side]));
        let cache = Cache::default();
        let result = connect((&cache, &server.options()), (&cache, &client.options()));
        let expected = ["openssl", "builtin"].map(|b| v[b]["ok"].as_u64());
        let ok = expected[0].or(expected[1]).unwrap();
        assert_eq!(u64::from(result.is_ok()), ok, "{}: {:?}", v["name"], result.err());
        seen += 1;
    }
    assert!(seen >= 61);
}

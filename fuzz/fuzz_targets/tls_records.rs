//! Arbitrary TLS records as the first input of a server and of a client: a session ends the same way however the input is
//! split, and yields no plaintext.

use crate::tls::config::{Cache, Options};
use crate::tls::session::{Role, Session, Step};
use std::net::{IpAddr, Ipv4Addr};

const CA: &[u8] = include_bytes!("../../c-tests/certs/ca.pem");
const CERT: &[u8] = include_bytes!("../../c-tests/certs/server-p256.pem");
const KEY: &[u8] = include_bytes!("../../c-tests/certs/server-p256.key");
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

thread_local! {
    static CACHE: Cache = Cache::default();
}

fn session(server: bool) -> Session {
    CACHE.with(|cache| {
        let role = if server {
            Role::Server(cache.server(&Options { cert: CERT, key: KEY, ..Options::default() }).unwrap())
        } else {
            let (config, name) = cache.client(&Options { ca: CA, name: b"localhost", ..Options::default() }, PEER).unwrap();
            Role::Client(config, Some(name))
        };
        let mut session = Session::new(role);
        session.start(PEER).unwrap();
        session
    })
}

/// Whether the session failed.
fn run_one(server: bool, pieces: &[&[u8]]) -> bool {
    let (mut session, mut input, mut room) = (session(server), Vec::new(), [0; 64]);
    for piece in pieces {
        input.extend(*piece);
        loop {
            let (used, step) = session.advance(&mut input, &mut room);
            assert!(used <= input.len());
            input.drain(..used);
            match step {
                Step::Data(_) => panic!("plaintext from a peer without the keys"),
                Step::Failed(_) => return true,
                Step::Blocked => break,
                Step::Closed => return false,
            }
        }
        assert!(session.out.bytes().len() < 1 << 16);
    }
    assert!(session.is_handshaking());
    false
}

fuzz_target!(|input: (bool, u16, &[u8])| {
    let (server, data) = (input.0, input.2);
    let (first, second) = data.split_at(usize::from(input.1) % (data.len() + 1));
    assert_eq!(run_one(server, &[data]), run_one(server, &[first, second]));
});

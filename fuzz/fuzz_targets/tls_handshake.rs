//! A handshake between our client and our server, in pieces, with bytes changed, duplicated or dropped in transit: neither side
//! accepts data that was not sent, and an unchanged handshake completes.

use crate::tls::config::{Cache, Options};
use crate::tls::session::{Role, Session, Step};
use std::net::{IpAddr, Ipv4Addr};

const CA: &[u8] = include_bytes!("../../c-tests/certs/ca.pem");
const CERT: &[u8] = include_bytes!("../../c-tests/certs/server-p256.pem");
const KEY: &[u8] = include_bytes!("../../c-tests/certs/server-p256.key");
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SENT: [&[u8]; 2] = [b"from the client", b"from the server"];

thread_local! {
    static CACHE: Cache = Cache::default();
}

struct End {
    session: Session,
    input: Vec<u8>,
    got: Vec<u8>,
    has_sent: bool,
    failed: bool,
}

impl End {
    fn new(role: Role) -> End {
        let mut session = Session::new(role);
        session.start(PEER).unwrap();
        End { session, input: Vec::new(), got: Vec::new(), has_sent: false, failed: false }
    }

    fn run(&mut self, message: &[u8]) {
        let mut room = [0; 5];
        while !self.failed {
            let (used, step) = self.session.advance(&mut self.input, &mut room);
            self.input.drain(..used);
            match step {
                Step::Data(n) => self.got.extend(&room[..n]),
                Step::Failed(_) => self.failed = true,
                Step::Blocked | Step::Closed => break,
            }
        }
        if !self.failed && !self.session.is_handshaking() && !self.has_sent {
            self.has_sent = true;
            self.failed = self.session.encrypt(&mut self.input, message).is_err();
        }
    }
}

fuzz_target!(|input: (u8, Vec<(bool, u16, u8, u8)>)| {
    let (piece, changes) = (usize::from(input.0) + 1, input.1);
    let mut ends = CACHE.with(|cache| {
        let (config, name) = cache.client(&Options { ca: CA, name: b"localhost", ..Options::default() }, PEER).unwrap();
        let server = cache.server(&Options { cert: CERT, key: KEY, ..Options::default() }).unwrap();
        [End::new(Role::Client(config, Some(name))), End::new(Role::Server(server))]
    });
    let mut passed = [0usize; 2];
    for _ in 0..20_000 {
        let mut moved = false;
        for from in 0..2 {
            ends[from].run(SENT[from]);
            let bytes = ends[from].session.out.bytes();
            let mut bytes = bytes[..piece.min(bytes.len())].to_vec();
            ends[from].session.out.sent(bytes.len());
            moved |= !bytes.is_empty();
            let start = passed[from];
            passed[from] += bytes.len();
            for (side, at, how, to) in &changes {
                let Some(i) = usize::from(*at).checked_sub(start).filter(|i| usize::from(*side) == from && *i < bytes.len())
                else {
                    continue;
                };
                match how % 4 {
                    0 => bytes[i] ^= to,
                    1 => bytes.insert(i, *to),
                    2 => bytes.truncate(i),
                    _ => bytes.extend_from_within(i..),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            ends[1 - from].input.extend(bytes);
        }
        if !moved {
            for (i, end) in ends.iter().enumerate() {
                assert!(SENT[1 - i].starts_with(&end.got));
                assert!(!changes.is_empty() || end.got == SENT[1 - i]);
            }
            return;
        }
    }
    panic!("the handshake did not finish");
});

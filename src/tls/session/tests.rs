use super::*;
use crate::tls::config::{Cache, Options};
use core::net::{IpAddr, Ipv4Addr};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/c-tests/certs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A session with its input, and what came out of it.
struct End {
    session: Session,
    input: Vec<u8>,
    got: Vec<u8>,
    last: Option<Step>,
}

impl End {
    fn new(role: Role) -> End {
        let mut session = Session::new(role);
        session.start(PEER).unwrap();
        End { session, input: Vec::new(), got: Vec::new(), last: None }
    }

    /// Works through the input, with room for `room` bytes at a time.
    fn run(&mut self, room: usize) {
        let mut room = vec![0; room];
        loop {
            let (used, step) = self.session.advance(&mut self.input, &mut room);
            self.input.drain(..used);
            let go_on = matches!(step, Step::Data(_));
            if let Step::Data(n) = step {
                self.got.extend_from_slice(&room[..n]);
            }
            self.last = Some(step);
            if !go_on {
                return;
            }
        }
    }

    /// Takes up to `n` bytes of the output.
    fn output(&mut self, n: usize) -> Vec<u8> {
        let bytes = self.session.out.bytes();
        let bytes = bytes[..n.min(bytes.len())].to_vec();
        self.session.out.sent(bytes.len());
        bytes
    }

    fn failed(&self) -> bool {
        matches!(self.last, Some(Step::Failed(_)))
    }
}

fn pair() -> (End, End) {
    let cache = Cache::default();
    let (ca, cert, key) = (file("ca.pem"), file("server-p256.pem"), file("server-p256.key"));
    let server = cache.server(&Options { cert: &cert, key: &key, ..Options::default() }).unwrap();
    let (client, name) = cache.client(&Options { ca: &ca, name: b"localhost", ..Options::default() }, PEER).unwrap();
    (End::new(Role::Client(client, Some(name))), End::new(Role::Server(server)))
}

/// Lets bytes pass in pieces until nothing more comes.
fn talk(a: &mut End, b: &mut End, piece: usize, room: usize) {
    a.run(room);
    b.run(room);
    loop {
        let (up, down) = (a.output(piece), b.output(piece));
        if up.is_empty() && down.is_empty() {
            return;
        }
        b.input.extend(up);
        a.input.extend(down);
        b.run(room);
        a.run(room);
    }
}

fn data(n: usize) -> Vec<u8> {
    (0..n).map(|k| ((k * 31) ^ (k >> 7)) as u8).collect()
}

#[test]
fn everything_arrives_in_pieces_of_any_size() {
    for (piece, room) in [(usize::MAX, 1 << 20), (1, 100), (5, 1), (1000, 16384), (16406, 7), (20000, 20000)] {
        let (mut client, mut server) = pair();
        assert!(client.session.is_handshaking() && server.session.is_handshaking());
        talk(&mut client, &mut server, piece, room);
        assert!(!client.session.is_handshaking() && !server.session.is_handshaking());
        let (up, down) = (data(if piece < 10 { 3000 } else { 200_000 }), data(70_000 / piece.min(100)));
        client.session.encrypt(&mut client.input, &up).unwrap();
        server.session.encrypt(&mut server.input, &down).unwrap();
        talk(&mut client, &mut server, piece, room);
        assert!(server.got == up && client.got == down, "{piece} {room}");
        client.session.close(&mut client.input);
        talk(&mut client, &mut server, piece, room);
        assert!(server.session.is_closed() && !client.session.is_closed());
        // The other direction is still open.
        server.session.encrypt(&mut server.input, b"last words").unwrap();
        server.session.close(&mut server.input);
        talk(&mut client, &mut server, piece, room);
        assert!(client.got.ends_with(b"last words") && client.session.is_closed());
    }
}

#[test]
fn sending_goes_on_while_input_waits() {
    let (mut client, mut server) = pair();
    talk(&mut client, &mut server, usize::MAX, 100);
    for n in 0..5 {
        client.session.encrypt(&mut client.input, &data(10_000 + n)).unwrap();
    }
    server.input.extend(client.output(usize::MAX));
    // One record is taken, of which a part has room.
    let mut room = [0; 100];
    let (used, step) = server.session.advance(&mut server.input, &mut room);
    assert!(matches!(step, Step::Data(100)) && used > 10_000 && server.session.has_unread());
    assert_eq!(server.session.pending(), 9_900);
    server.input.drain(..used);
    server.session.encrypt(&mut server.input, b"meanwhile").unwrap();
    server.session.close(&mut server.input);
    talk(&mut client, &mut server, usize::MAX, 3000);
    assert_eq!(client.got, b"meanwhile");
    assert_eq!(server.got.len() + 100, 50_010);
    assert!(!server.session.has_unread() && server.session.pending() == 0);
}

#[test]
fn a_changed_byte_is_found_and_told() {
    let (mut client, mut server) = pair();
    talk(&mut client, &mut server, usize::MAX, 100);
    client.session.encrypt(&mut client.input, b"secret").unwrap();
    let mut bytes = client.output(usize::MAX);
    *bytes.last_mut().unwrap() ^= 1;
    server.input.extend(bytes);
    server.run(100);
    assert!(server.failed() && server.session.has_failed() && server.got.is_empty());
    assert!(server.session.encrypt(&mut server.input, b"x").is_err());
    client.input.extend(server.output(usize::MAX));
    client.run(100);
    assert!(matches!(client.last, Some(Step::Failed(Error::AlertReceived(_)))));
}

#[test]
fn input_that_a_program_has_taken_away_is_an_error() {
    let (mut client, mut server) = pair();
    client.run(0);
    let hello = client.output(usize::MAX);
    server.input.extend(&hello[..50]);
    server.run(0);
    server.input.clear();
    server.run(0);
    assert!(server.failed());
    // And again, at each place of the whole exchange.
    for cut in 1..60 {
        let (mut client, mut server) = pair();
        client.run(0);
        let hello = client.output(usize::MAX);
        server.input.extend(&hello[..cut]);
        server.run(0);
        server.session.close(&mut []);
        server.input.truncate(cut / 2);
        server.input.extend(&hello[cut..]);
        server.run(0);
    }
}

#[test]
fn output_blocks_are_used_again() {
    let mut out = Output::default();
    assert!(out.release().is_none() && out.is_empty());
    out.reuse(vec![7; 10]);
    assert!(out.has_block() && out.is_empty());
    let pass = out.put(Pass::Written, 4, |room| {
        room[..4].copy_from_slice(b"abcd");
        Ok(4)
    });
    assert!(matches!(pass, Pass::Written));
    out.sent(1);
    assert_eq!(out.bytes(), b"bcd");
    assert!(out.release().is_none());
    // What does not fit behind the rest makes the block longer.
    let pass = out.put(Pass::Written, 1, |room| if room.len() < 20 { Err(Ok(20)) } else { Ok(20) });
    assert!(matches!(pass, Pass::Written) && out.bytes().len() == 23);
    assert!(matches!(out.put(Pass::Again, 1, |_| Err(Err("no".into()))), Pass::Failed(_)));
    out.sent(usize::MAX);
    assert_eq!(out.release().map(|b| b.len()), Some(25));
}

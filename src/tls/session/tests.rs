use super::*;
use crate::tls::config::{Cache, Options};
use core::net::{IpAddr, Ipv4Addr};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/c-tests/certs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A session with its input and output.
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
fn data_arrives_in_segments_of_any_size() {
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
fn sending_continues_while_input_waits() {
    let (mut client, mut server) = pair();
    talk(&mut client, &mut server, usize::MAX, 100);
    for n in 0..5 {
        client.session.encrypt(&mut client.input, &data(10_000 + n)).unwrap();
    }
    server.input.extend(client.output(usize::MAX));
    // One record is processed; only part of it fits.
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
fn a_changed_byte_raises_an_alert() {
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
fn removed_ciphertext_is_an_error() {
    let (mut client, mut server) = pair();
    client.run(0);
    let hello = client.output(usize::MAX);
    server.input.extend(&hello[..50]);
    server.run(0);
    server.input.clear();
    server.run(0);
    assert!(server.failed());
    // The same at each position of the whole exchange.
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
fn output_blocks_are_reused() {
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
    // The block grows if the data does not fit after the rest.
    let pass = out.put(Pass::Written, 1, |room| if room.len() < 20 { Err(Ok(20)) } else { Ok(20) });
    assert!(matches!(pass, Pass::Written) && out.bytes().len() == 23);
    assert!(matches!(out.put(Pass::Again, 1, |_| Err(Err("no".into()))), Pass::Failed(_)));
    out.sent(usize::MAX);
    assert_eq!(out.release().map(|b| b.len()), Some(25));
}

/// Records of a client that sends early data without the server's consent, with the rest of the handshake.
fn early(len: usize, kx: &[&'static dyn rustls::crypto::SupportedKxGroup]) -> Result<(), String> {
    use rustls::ServerConfig;
    use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
    use std::io::Write;
    let (ca, cert, key) = (file("ca.pem"), file("server-p256.pem"), file("server-p256.key"));
    let options = Options { cert: &cert, key: &key, ..Options::default() };
    let cache = Cache::default();
    let (client, name) = cache.client(&Options { ca: &ca, name: b"localhost", ..Options::default() }, PEER).unwrap();
    let mut client = (*client).clone();
    client.enable_early_data = true;
    let client = Arc::new(client);
    let server = cache.server(&options).unwrap();
    // The client has a ticket from when this server accepted early data.
    let mut before = (*server).clone();
    before.ticketer = Arc::new(never::Never);
    before.session_storage = ServerSessionMemoryCache::new(10);
    before.max_early_data_size = u32::MAX;
    let mut a = rustls::ClientConnection::new(client.clone(), name.clone()).unwrap();
    let mut b = rustls::ServerConnection::new(Arc::new(before)).unwrap();
    for _ in 0..4 {
        let mut wire = Vec::new();
        while a.wants_write() {
            a.write_tls(&mut wire).unwrap();
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            b.read_tls(&mut rest).unwrap();
            b.process_new_packets().unwrap();
        }
        let mut wire = Vec::new();
        while b.wants_write() {
            b.write_tls(&mut wire).unwrap();
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            a.read_tls(&mut rest).unwrap();
            a.process_new_packets().unwrap();
        }
    }
    let mut server = server;
    if !kx.is_empty() {
        let provider =
            Arc::new(rustls::crypto::CryptoProvider { kx_groups: kx.to_vec(), ..crate::tls::crypto::default_provider() });
        let mut other = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(server.cert_resolver.clone());
        other.session_storage = Arc::new(NoServerSessionStorage {});
        other.ticketer = server.ticketer.clone();
        other.max_early_data_size = server.max_early_data_size;
        server = Arc::new(other);
    }
    let mut a = rustls::ClientConnection::new(client, name).unwrap();
    a.set_buffer_limit(None);
    let mut early = a.early_data().ok_or("the client sends no early data")?;
    let text = data(len);
    let mut at = 0;
    while at < len {
        at += early.write(&text[at..]).unwrap();
    }
    let mut b = End::new(Role::Server(server));
    for round in 0.. {
        let mut wire = Vec::new();
        while a.wants_write() {
            a.write_tls(&mut wire).unwrap();
        }
        b.input.extend(&wire);
        b.run(1000);
        if let Some(Step::Failed(e)) = &b.last {
            return Err(e.to_string());
        }
        let wire = b.output(usize::MAX);
        let mut rest = &wire[..];
        while !rest.is_empty() {
            a.read_tls(&mut rest).unwrap();
            a.process_new_packets().map_err(|e| e.to_string())?;
        }
        if !a.is_handshaking() && round > 5 {
            break;
        }
    }
    assert!(!a.is_early_data_accepted() && b.got.is_empty() && !b.session.is_handshaking());
    a.writer().write_all(b"late").unwrap();
    let mut wire = Vec::new();
    a.write_tls(&mut wire).unwrap();
    b.input.extend(&wire);
    b.run(1000);
    assert_eq!(b.got, b"late");
    Ok(())
}

mod never {
    #[derive(Debug, Default)]
    pub(super) struct Never;
    impl rustls::server::ProducesTickets for Never {
        fn enabled(&self) -> bool {
            false
        }
        fn lifetime(&self) -> u32 {
            0
        }
        fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }
        fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }
    }
}

#[test]
fn early_data_is_skipped() {
    use crate::tls::crypto::kx_group::SECP384R1;
    for len in [1, 1000, 16_384, 40_000, 300_000] {
        assert_eq!(early(len, &[]), Ok(()), "{len}");
        // The same with a HelloRetryRequest first.
        assert_eq!(early(len, &[SECP384R1]), Ok(()), "{len}");
    }
    // But not without limit.
    assert!(early(2 << 20, &[]).is_err());
}

#[test]
fn protocol_violations_are_answered_with_alerts() {
    let inputs: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[0; 100],
        &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3],
        &[0x16, 3, 1, 0, 0],
        &[0x16, 3, 1, 0, 4, 99, 0, 0, 0],
        &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0],
        &[0x17, 3, 3, 0, 3, 1, 2, 3],
        &[0x14, 3, 3, 0, 1, 2],
        &[0x16, 9, 9, 0, 4, 1, 0, 0, 0],
    ];
    for at_server in [true, false] {
        for input in inputs {
            let (mut client, mut server) = pair();
            client.run(0);
            client.output(usize::MAX);
            let end = if at_server { &mut server } else { &mut client };
            end.input.extend(input);
            end.run(100);
            let out = end.output(usize::MAX);
            assert!(!end.failed() || out.first() == Some(&0x15), "{at_server} {input:02x?}: {:?} {out:02x?}", end.last);
            assert!(end.failed() || matches!(end.last, Some(Step::Blocked)), "{:?}", end.last);
        }
        // After the handshake: unprotected records of each type.
        for input in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 3, 0, 1, 0], &[0x17, 3, 3, 0, 30], &[0x15, 3, 3, 0, 2, 2, 80]] {
            let (mut client, mut server) = pair();
            talk(&mut client, &mut server, usize::MAX, 100);
            let end = if at_server { &mut server } else { &mut client };
            end.input.extend(input);
            end.input.extend([0; 40]);
            end.run(100);
            let out = end.output(usize::MAX);
            assert!(
                end.failed() && out.first().is_some_and(|b| *b == 0x17 || *b == 0x15),
                "{at_server} {input:02x?}: {:?} {out:02x?}",
                end.last
            );
        }
    }
}

//! Handshakes: which are refused and how, and data that follows them in the same segment.

use crate::net::{Conn, c_text};
use crate::script::{Mode, REQUEST, Side, Stage, collect, frame, read_request, response, unmasked};
use libtest_mimic::{Failed, Trial};
use mongoose::abi::*;
use std::cell::RefCell;
use std::ffi::{CString, c_int, c_void};
use std::io::Write;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Upgrades, notes what comes, and answers nothing.
#[derive(Clone, Default)]
struct Notes {
    seen: Rc<RefCell<Vec<String>>>,
    headers: Rc<RefCell<Option<CString>>>,
}

impl Notes {
    fn stage(&self, mode: Mode) -> Stage {
        let notes = self.clone();
        Stage::new(mode, move |c, ev, data| notes.event(c, ev, data))
    }

    fn event(&self, c: Conn, ev: c_int, data: *mut c_void) {
        let name = match ev {
            MG_EV_HTTP_MSG => return c.upgrade(data, self.headers.borrow().as_ref()),
            MG_EV_WS_OPEN => "open".into(),
            MG_EV_WS_MSG => "message".into(),
            MG_EV_ERROR => c_text(data),
            MG_EV_CLOSE => "close".into(),
            _ => return,
        };
        self.seen.borrow_mut().push(name);
    }

    fn take(&self) -> Vec<String> {
        self.seen.take()
    }
}

/// Polls until `enough`, and some more.
fn poll_until(s: &Stage, peer: &mut TcpStream, enough: impl Fn(&[u8], bool) -> bool) -> Result<Vec<u8>, String> {
    let end = Instant::now() + Duration::from_secs(10);
    let (mut got, mut ended) = (Vec::new(), false);
    while !enough(&got, ended) {
        if Instant::now() > end {
            return Err(format!("got {}", got.escape_ascii()));
        }
        s.m.poll(1);
        ended |= collect(peer, &mut got);
    }
    (0..5).for_each(|_| s.m.poll(0));
    collect(peer, &mut got);
    Ok(got)
}

/// What a server answers to a request, and what its program sees until then.
fn ask(strict: bool, request: &str, headers: Option<&str>) -> Result<(String, Vec<String>), String> {
    let notes = Notes::default();
    *notes.headers.borrow_mut() = headers.map(|h| CString::new(h).unwrap());
    let stage = notes.stage(Mode { side: Side::Server, strict });
    let mut peer = stage.connect("/");
    peer.write_all(request.as_bytes()).unwrap();
    let is_whole = |got: &[u8], ended| ended || got.starts_with(b"HTTP/1.1 101") && got.ends_with(b"\r\n\r\n");
    let got = poll_until(&stage, &mut peer, is_whole)?;
    Ok((String::from_utf8(got).unwrap(), notes.take()))
}

fn ensure(condition: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(text()) }
}

fn requests() -> Result<(), Failed> {
    let request = std::str::from_utf8(REQUEST).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(request.contains(from), "{from}");
        request.replace(from, to)
    };
    // Status as it is, and with strict rules.
    let cases = [
        (request.to_string(), 101, 101),
        (changed("keep-alive, Upgrade", "uPGRADE"), 101, 101),
        (changed("websocket", "WebSocket"), 101, 101),
        (changed("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 426, 426),
        (changed("Sec-WebSocket-Version: 13\r\n", ""), 101, 426),
        (changed("Version: 13", "Version: 8"), 101, 426),
        (changed("GET / HTTP/1.1", "POST / HTTP/1.1\r\nContent-Length: 0"), 101, 400),
        (changed("HTTP/1.1", "HTTP/1.0"), 101, 400),
        (changed("Upgrade: websocket\r\n", ""), 101, 400),
        (changed("Upgrade: websocket", "Upgrade: h2c"), 101, 400),
        (changed("keep-alive, Upgrade", "keep-alive"), 101, 400),
        (changed("dGhlIHNhbXBsZSBub25jZQ==", "abc"), 101, 400),
        (changed("dGhlIHNhbXBsZSBub25jZQ==", ""), 101, 400),
    ];
    for (request, default, strictly) in cases {
        for (is_strict, status) in [(false, default), (true, strictly)] {
            let (answer, seen) = ask(is_strict, &request, None)?;
            let what = || format!("{request}strict: {is_strict}\n{answer}\n{seen:?}");
            ensure(answer.starts_with(&format!("HTTP/1.1 {status} ")), what)?;
            if status == 101 {
                ensure(seen == ["open"], what)?;
            } else {
                let version =
                    if status == 426 && is_strict && request.contains("Key") { "Sec-WebSocket-Version: 13\r\n" } else { "" };
                let end = "\r\n\r\nWS upgrade expected\n";
                ensure(answer.contains(version) && answer.contains("Connection: close\r\n") && answer.ends_with(end), what)?;
                ensure(seen == ["close"], what)?;
            }
        }
    }
    Ok(())
}

/// One of the protocols that the client offers, or the one that the program chooses.
fn protocols() -> Result<(), Failed> {
    let request = |offer: &str| {
        String::from_utf8(REQUEST.to_vec()).unwrap().replace("Host: a", &format!("Host: a\r\nSec-WebSocket-Protocol: {offer}"))
    };
    const OURS: &str = "X: y\r\nsec-websocket-protocol: b\r\n";
    let cases = [
        ("a", None, "Protocol: a"),
        ("a, b,c", None, "Protocol: a"),
        ("a, b", Some(OURS), "protocol: b"),
        ("a", Some("X: Sec-WebSocket-Protocol: z\r\n"), "Protocol: a"),
    ];
    for (offer, headers, want) in cases {
        let (answer, seen) = ask(true, &request(offer), headers)?;
        let lines: Vec<&str> = answer.lines().filter(|l| l.to_ascii_lowercase().starts_with("sec-websocket-protocol:")).collect();
        ensure(seen == ["open"] && lines.len() == 1 && lines[0].ends_with(want), || answer.clone())?;
    }
    Ok(())
}

fn responses() -> Result<(), Failed> {
    let good = response("KEY");
    assert!(good.contains("Accept: ") && good.ends_with("=\r\n\r\n"));
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let other = response("another");
    const OPEN: &[&str] = &["open"];
    const REFUSED: &[&str] = &["ws handshake error", "close"];
    // As it is, and with strict rules.
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("", OPEN, OPEN),
        (&other, REFUSED, REFUSED),
        (&format!("{head}\r\n"), REFUSED, REFUSED),
        (&format!("{head}Sec-WebSocket-Accept: xyz=\r\n\r\n"), OPEN, REFUSED),
        ("HTTP/1.1 101\r\n\r\n", OPEN, REFUSED),
        ("HTTP/1.1 101 OK\r\nno colon\r\n\r\n", REFUSED, REFUSED),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            &["ws handshake error: 200", "close"],
            &["ws handshake error: 200", "close"],
        ),
        ("HTTP/1.1 403 Forbidden\r\n\r\n\x01\x01a", &["ws handshake error: 403", "close"], &["ws handshake error: 403", "close"]),
        ("\x01", &["not http", "close"], &["not http", "close"]),
    ];
    for strict in [false, true] {
        let notes = Notes::default();
        let stage = notes.stage(Mode { side: Side::Client, strict });
        for (text, default, strictly) in cases {
            let mut peer = stage.connect("/a?b");
            let (request, key) = read_request(&stage.m, &mut peer);
            let port = peer.local_addr().unwrap().port();
            let host = if strict { format!("Host: 127.0.0.1:{port}\r\n") } else { "Host: 127.0.0.1\r\n".into() };
            ensure(request.starts_with("GET /a?b HTTP/1.1\r\n") && request.contains(&host), || request.clone())?;
            let answer = if text.is_empty() { response(&key) } else { text.to_string() };
            peer.write_all(answer.as_bytes()).unwrap();
            poll_until(&stage, &mut peer, |_, _| !notes.seen.borrow().is_empty())?;
            let seen = notes.take();
            ensure(seen == *if strict { strictly } else { default }, || format!("{answer}\nstrict: {strict}: {seen:?}"))?;
            drop(peer);
            stage.finish();
            notes.take();
        }
    }
    Ok(())
}

/// Frames may arrive together with the handshake, cut anywhere.
fn together(mode: Mode) -> Result<(), Failed> {
    let server = mode.side == Side::Server;
    let frames = [frame(0x81, "one"), frame(0x89, "\x01\x02"), frame(2, [0; 200]), frame(0x80, "two"), frame(0x88, [3, 0xe8])];
    let frames: Vec<u8> = frames.iter().flat_map(|f| f.encode(server)).collect();
    let want = [frame(0x8a, "\x01\x02"), frame(0x88, [3, 0xe8])].iter().flat_map(|f| f.plain()).collect::<Vec<_>>();
    let handshake_len = if server { REQUEST.len() } else { response("KEY").len() };
    let notes = Notes::default();
    let stage = notes.stage(mode);
    // First all at once, then cut at every place behind the middle of the handshake.
    for cut in std::iter::once(0).chain(handshake_len / 2..handshake_len + frames.len()) {
        let mut peer = stage.connect("/");
        let handshake = if server { REQUEST.to_vec() } else { response(&read_request(&stage.m, &mut peer).1).into_bytes() };
        let all = [handshake, frames.clone()].concat();
        peer.write_all(&all[..cut]).unwrap();
        (0..3).for_each(|_| stage.m.poll(0));
        peer.write_all(&all[cut..]).unwrap();
        let got = poll_until(&stage, &mut peer, |_, ended| ended)?;
        drop(peer);
        stage.finish();
        let answer = if server { got.windows(4).position(|w| w == b"\r\n\r\n").map_or(got.len(), |n| n + 4) } else { 0 };
        let frames = unmasked(mode.side, &got[answer..])?;
        let (seen, events) = (notes.take(), ["open", "message", "message", "close"]);
        ensure(frames == want && seen == events, || format!("cut at {cut}: {seen:?}, {}", got.escape_ascii()))?;
    }
    Ok(())
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    all.push(Trial::test("handshake: requests", requests));
    all.push(Trial::test("handshake: protocols", protocols));
    all.push(Trial::test("handshake: responses", responses));
    for mode in Mode::ALL {
        all.push(Trial::test(format!("handshake with frames behind it: {}", mode.name()), move || together(mode)));
    }
}

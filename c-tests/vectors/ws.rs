//! WebSocket frames and handshakes over sockets.

// Every block calls a C function with what its prototype asks for, or looks at a connection of a manager that is alive.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::engine::{Seen, Step, quiesce, receive, shown};
use crate::lib::{bytes, cases, function, hex, of_kind, same, unhex, usize_of};
use crate::net::*;
use libtest_mimic::Trial;
use mongoose::abi::*;
use serde_json::Value;
use std::ffi::{CString, c_int};
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};

pub fn trials(trials: &mut Vec<Trial>) {
    let mut add = |file: &str, list: &str, kind: &str, check: fn(&Value) -> Result<(), String>| {
        let name = format!("{}::{list}, kind {kind}", file.trim_end_matches(".json"));
        cases(trials, name, of_kind(file, list, kind), check);
    };
    add("ws_frames.json", "vectors", "api", api);
    add("ws_frames.json", "vectors", "server_in", |c| server(c, &expected(c)));
    add("ws_frames.json", "vectors", "server_handshake", handshake);
    add("ws_frames.json", "quirks", "server_in", |c| server(c, &improved(c)));
    add("client_stream.json", "vectors", "ws_client", |c| client(c, &expected(c)));
    add("client_stream.json", "quirks", "ws_client", |c| client(c, &improved_client(c)));
}

fn events(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(shown).collect()
}

fn expected(c: &Value) -> Vec<Step> {
    let step = |s: &Value| Step {
        events: events(&s["events"]),
        recv: s.get("recv").map_or_else(|| frames_out(s), |r| bytes(r).unwrap()),
        closed: s["closed"].as_bool().unwrap(),
        ..Step::default()
    };
    c["steps"].as_array().unwrap().iter().map(step).collect()
}

/// What the client sent in a step, as it would be without masks.
fn frames_out(step: &Value) -> Vec<u8> {
    let frame = |f: &Value| {
        assert_eq!(f["masked"], true);
        let payload = bytes(&f["payload"]).unwrap();
        [&[usize_of(&f["b0"]) as u8, payload.len() as u8], &payload[..]].concat()
    };
    step["frames_out"].as_array().unwrap().iter().flat_map(frame).collect()
}

/// What the original accepts and RFC 6455 forbids: the connection is closed with code 1002.
fn improved(c: &Value) -> Vec<Step> {
    match c["note"].as_str().unwrap() {
        "quirk: RSV bits are not checked" | "quirk: over-long control frames are accepted" => {
            vec![Step { events: vec!["CLOSE ".into()], recv: unhex("880203ea"), closed: true, ..Step::default() }]
        }
        other => panic!("{other}"),
    }
}

/// An answer that names no Sec-WebSocket-Accept is not one to our request.
fn improved_client(c: &Value) -> Vec<Step> {
    assert_eq!(c["note"], "quirk: Sec-WebSocket-Accept is not checked");
    let events = vec!["ERROR msg=ws handshake error".into(), "CLOSE ".into()];
    vec![Step { events, closed: true, ..Step::default() }]
}

fn api(c: &Value) -> Result<(), String> {
    let m = Manager::new();
    let mut zero = blank();
    let allocated = Conn(unsafe { mg_alloc_conn(m.raw) });
    for mut conn in [Conn(&mut zero), allocated] {
        let is_client = c["is_client"] == 1;
        conn.set(|f| f.set_client(is_client));
        let (op, data) = (usize_of(&c["op"]) as c_int, bytes(&c["data"]).unwrap());
        let prefix: &[u8] = if c["call"] == "wrap" { b"pre" } else { b"" };
        let ret = match c["call"].as_str().unwrap() {
            "send" => conn.ws_send(op, &data),
            "printf" => conn.ws_print(op, &data),
            "wrap" => {
                assert!(conn.send(prefix) && conn.send(&data));
                unsafe { mg_ws_wrap(conn.0, data.len(), op) }
            }
            other => panic!("{other}"),
        };
        let got = bytes_at(conn.send.buf, conn.send.len);
        unsafe { mg_iobuf_free(&mut conn.send) };
        same("returned", ret, usize_of(&c["ret"]))?;
        if let Some(want) = c.get("send") {
            same("queued", hex(&got), hex(&bytes(want).unwrap()))?;
        }
        if let Some(want) = c.get("send_len") {
            same("length queued", got.len(), usize_of(want))?;
        }
        if let Some(header) = c.get("header_without_mask") {
            let header = [prefix, &bytes(header).unwrap()].concat();
            same("header", hex(&got[..header.len()]), hex(&header))?;
            let rest = &got[header.len()..];
            let (mask, payload) = rest.split_at(if is_client { 4 } else { 0 });
            let plain: Vec<u8> = payload.iter().enumerate().map(|(i, b)| b ^ mask.get(i % 4).unwrap_or(&0)).collect();
            if plain != data {
                return Err(format!("payload {}", hex(&plain)));
            }
        }
    }
    allocated.close_now();
    Ok(())
}

/// Sends the segments and compares the result of each.
fn run_script(
    c: &Value,
    want: &[Step],
    m: &Manager,
    seen: &Seen,
    peer: TcpStream,
    unframe: impl Fn(&[u8]) -> Vec<u8>,
) -> Result<(), String> {
    let segments = c["segments"].as_array().unwrap();
    assert_eq!(segments.len(), want.len());
    for (i, (segment, want)) in segments.iter().zip(want).enumerate() {
        seen.events.borrow_mut().clear();
        match segment {
            Value::Null => peer.shutdown(Shutdown::Write).unwrap(),
            data => (&peer).write_all(&bytes(data).unwrap()).unwrap(),
        }
        let (mut recv, mut closed) = (Vec::new(), false);
        quiesce(m, want, || {
            closed |= receive(&peer, &mut recv);
            Step { events: seen.events.borrow().clone(), recv: unframe(&recv), closed, ..Step::default() }
        })
        .map_err(|e| format!("segment {i}: {e}"))?;
    }
    Ok(())
}

fn server(c: &Value, want: &[Step]) -> Result<(), String> {
    const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let (seen, m) = (Seen::default(), Manager::new());
    // The vectors are those of the original, which takes text of any bytes.
    unsafe { function::<unsafe extern "C" fn(*mut mg_mgr, bool)>("mgx_mgr_ws_strict")(m.raw, false) };
    let listener = m.http_listen(|c, ev, data| match ev {
        _ if c.flags.is_listening() => {}
        MG_EV_READ => {}
        MG_EV_HTTP_MSG => c.upgrade(data, None),
        _ => seen.event(ev, data),
    });
    let mut peer = TcpStream::connect(("127.0.0.1", listener.port())).unwrap();
    peer.set_nonblocking(true).unwrap();
    peer.write_all(REQUEST).unwrap();
    let answer = std::cell::RefCell::new(Vec::new());
    m.until("the upgrade", || {
        receive(&peer, &mut answer.borrow_mut());
        answer.borrow().ends_with(b"\r\n\r\n")
    });
    run_script(c, want, &m, &seen, peer, <[u8]>::to_vec)
}

fn handshake(c: &Value) -> Result<(), String> {
    let headers = bytes(&c["extra_headers"]).map(|h| CString::new(h).unwrap());
    let (seen, m) = (Seen::default(), Manager::new());
    let listener = m.http_listen(|c, ev, data| {
        if !c.flags.is_listening() && ev != MG_EV_READ {
            seen.event(ev, data);
        }
        if ev == MG_EV_HTTP_MSG {
            c.upgrade(data, headers.as_ref());
        }
    });
    let mut peer = TcpStream::connect(("127.0.0.1", listener.port())).unwrap();
    peer.set_nonblocking(true).unwrap();
    peer.write_all(&bytes(&c["request"]).unwrap()).unwrap();
    let (mut recv, mut closed) = (Vec::new(), false);
    let want = Step {
        events: events(&c["events"]),
        recv: bytes(&c["recv"]).unwrap(),
        closed: c["closed"].as_bool().unwrap(),
        ..Step::default()
    };
    quiesce(&m, &want, || {
        closed |= receive(&peer, &mut recv);
        Step { events: seen.events.borrow().clone(), recv: recv.clone(), closed, ..Step::default() }
    })
}

/// Takes the masks off short frames.
fn unmasked(mut data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while data.len() >= 6 && data[1] & 128 != 0 && data.len() >= 6 + usize::from(data[1] & 127) {
        let len = usize::from(data[1] & 127);
        out.extend([data[0], data[1] & 127]);
        out.extend((0..len).map(|i| data[6 + i] ^ data[2 + i % 4]));
        data = &data[6 + len..];
    }
    [&out[..], data].concat()
}

fn client(c: &Value, want: &[Step]) -> Result<(), String> {
    let (seen, m) = (Seen::default(), Manager::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let headers = bytes(&c["extra_headers"]).map(|h| CString::new(h).unwrap());
    let url = format!("ws://127.0.0.1:{}/ws?a=b", listener.local_addr().unwrap().port());
    m.ws_connect(&url, headers.as_ref(), |_, ev, data| {
        if ev != MG_EV_READ {
            seen.event(ev, data);
        }
    });
    let (peer, _) = listener.accept().unwrap();
    peer.set_nonblocking(true).unwrap();
    let request = std::cell::RefCell::new(Vec::new());
    m.until("the request", || {
        receive(&peer, &mut request.borrow_mut());
        request.borrow().ends_with(b"\r\n\r\n")
    });
    let request = String::from_utf8(request.take()).unwrap();
    let key = request.split("Sec-WebSocket-Key: ").nth(1).and_then(|r| r.split("\r\n").next()).unwrap_or_default();
    same("length of the key", key.len(), 24)?;
    same("request", &request.replace(key, "<KEY>"), &c["handshake_out"].as_str().unwrap().to_string())?;
    let end = peer.try_clone().unwrap();
    run_script(c, want, &m, &seen, peer, unmasked)?;
    if !want.iter().any(|s| s.closed) {
        seen.events.borrow_mut().clear();
        end.shutdown(Shutdown::Both).unwrap();
        let want = Step { events: events(&c["after_server_close"]), ..Step::default() };
        quiesce(&m, &want, || Step { events: seen.events.borrow().clone(), ..Step::default() })?;
    }
    Ok(())
}

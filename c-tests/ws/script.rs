//! The peer of a case: sends frames and collects the responses.

// Every block calls a C function with what its prototype asks for.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::lib::function;
use crate::net::{Conn, Manager, text};
use mongoose::abi::*;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Side {
    Server,
    Client,
}

/// The side under test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) side: Side,
    pub(crate) strict: bool,
}

impl Mode {
    pub(crate) const ALL: [Mode; 4] = [
        Mode { side: Side::Server, strict: false },
        Mode { side: Side::Server, strict: true },
        Mode { side: Side::Client, strict: false },
        Mode { side: Side::Client, strict: true },
    ];

    pub(crate) fn name(self) -> String {
        format!("{}{}", if self.strict { "strict " } else { "" }, if self.side == Side::Server { "server" } else { "client" })
    }

    /// As it is, a server puts up with some things that RFC 6455 forbids clients.
    pub(crate) fn is_tolerant(self) -> bool {
        self.side == Side::Server && !self.strict
    }
}

/// How a frame is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Form {
    Proper,
    /// Masked by a server, or not by a client.
    WrongMask,
    /// In a longer form than needed.
    Length16,
    Length64,
    /// A header that announces this length, without a payload.
    Announces(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
    pub(crate) form: Form,
}

pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame { first, payload: payload.as_ref().to_vec(), form: Form::Proper }
}

impl Frame {
    pub(crate) fn form(self, form: Form) -> Frame {
        Frame { form, ..self }
    }

    /// The bytes of a proper frame without a mask.
    pub(crate) fn plain(&self) -> Vec<u8> {
        self.encode(false)
    }

    pub(crate) fn encode(&self, masked: bool) -> Vec<u8> {
        let masked = masked ^ (self.form == Form::WrongMask);
        let n = if let Form::Announces(n) = self.form { n } else { self.payload.len() as u64 };
        let bit = if masked { 128 } else { 0 };
        let mut out = vec![self.first];
        match (self.form, n) {
            (Form::Proper | Form::WrongMask | Form::Announces(_), 0..=125) => out.push(bit | n as u8),
            (Form::Length16, 0..=65535) | (Form::Proper | Form::WrongMask | Form::Announces(_), 126..=65535) => {
                out.push(bit | 126);
                out.extend((n as u16).to_be_bytes());
            }
            _ => {
                out.push(bit | 127);
                out.extend(n.to_be_bytes());
            }
        }
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        if masked {
            out.extend(mask);
        }
        out.extend(self.payload.iter().enumerate().map(|(i, b)| if masked { b ^ mask[i % 4] } else { *b }));
        out
    }
}

/// The test sends `frames`, cut into segments of `chop` bytes (0: one for each frame), and then nothing more.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) frames: Vec<Frame>,
    pub(crate) chop: usize,
    /// The frames expected before the end of the stream, without their masks.
    pub(crate) want: Vec<u8>,
}

/// The client's request, and the key in it.
pub(crate) fn read_request(m: &Manager, peer: &mut TcpStream) -> (String, String) {
    let mut request = Vec::new();
    let end = Instant::now() + Duration::from_secs(10);
    while !request.ends_with(b"\r\n\r\n") {
        assert!(Instant::now() < end, "no request: {}", request.escape_ascii());
        m.poll(1);
        collect(peer, &mut request);
    }
    let request = String::from_utf8(request).unwrap();
    let key = request.split("Sec-WebSocket-Key: ").nth(1).and_then(|r| r.split("\r\n").next()).unwrap().to_string();
    (request, key)
}

/// The response that the client waits for.
pub(crate) fn response(key: &str) -> String {
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    format!("{head}{}\r\n\r\n", accept(key))
}

/// Sec-WebSocket-Accept, computed with functions that have their own tests.
pub(crate) fn accept(key: &str) -> String {
    let sum = *function::<unsafe extern "C" fn(*mut mg_sha1_ctx)>("mg_sha1_init");
    let add = *function::<unsafe extern "C" fn(*mut mg_sha1_ctx, *const u8, usize)>("mg_sha1_update");
    let end = *function::<unsafe extern "C" fn(*mut u8, *mut mg_sha1_ctx)>("mg_sha1_final");
    let encode = *function::<unsafe extern "C" fn(*const u8, usize, *mut u8, usize) -> usize>("mg_base64_encode");
    let (mut context, mut digest, mut out) = (unsafe { std::mem::zeroed() }, [0; 20], [0; 30]);
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    unsafe {
        sum(&mut context);
        add(&mut context, text.as_ptr(), text.len());
        end(digest.as_mut_ptr(), &mut context);
        let n = encode(digest.as_ptr(), 20, out.as_mut_ptr(), 30);
        String::from_utf8(out[..n].to_vec()).unwrap()
    }
}

/// Appends what has arrived; true at the end of the stream.
pub(crate) fn collect(peer: &mut TcpStream, to: &mut Vec<u8>) -> bool {
    match peer.read_to_end(to) {
        Ok(_) => true,
        Err(e) => e.kind() != ErrorKind::WouldBlock,
    }
}

pub(crate) fn strict(m: &Manager, on: bool) {
    unsafe { function::<unsafe extern "C" fn(*mut mg_mgr, bool)>("mgx_mgr_ws_strict")(m.raw, on) };
}

/// Sends every message back.
pub(crate) fn echo(c: Conn, ev: c_int, data: *mut c_void) {
    match ev {
        MG_EV_HTTP_MSG => c.upgrade(data, None),
        MG_EV_WS_MSG => {
            let wm = unsafe { &*data.cast::<mg_ws_message>() };
            c.ws_send((wm.flags & 15).into(), &text(wm.data));
        }
        _ => {}
    }
}

pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A manager for many cases: a machine has only so many ports to listen on.
pub(crate) struct Stage {
    pub(crate) m: Manager<'static>,
    pub(crate) mode: Mode,
    /// The handler of this case.
    handler: Rc<dyn Fn(Conn, c_int, *mut c_void)>,
    /// Ours, or the one that our client connects to.
    port: u16,
    listener: Option<TcpListener>,
}

impl Stage {
    pub(crate) fn new(mode: Mode, handler: impl Fn(Conn, c_int, *mut c_void) + 'static) -> Stage {
        let m = Manager::new();
        strict(&m, mode.strict);
        let handler: Rc<dyn Fn(Conn, c_int, *mut c_void)> = Rc::new(handler);
        let (port, listener) = match mode.side {
            Side::Server => {
                let handler = handler.clone();
                let c = m.http_listen(move |c, ev, data| {
                    if !c.flags.is_listening() {
                        handler(c, ev, data)
                    }
                });
                assert!(!c.0.is_null(), "the machine has no port left to listen on");
                (c.port(), None)
            }
            Side::Client => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("the machine has no port left to listen on");
                (listener.local_addr().unwrap().port(), Some(listener))
            }
        };
        Stage { m, mode, handler, port, listener }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }

    /// The test's end of a new connection.
    pub(crate) fn connect(&self, path: &str) -> TcpStream {
        let peer = match &self.listener {
            None => TcpStream::connect(("127.0.0.1", self.port)).unwrap(),
            Some(listener) => {
                let handler = self.handler.clone();
                self.m.ws_connect(&self.url(path), None, move |c, ev, data| handler(c, ev, data));
                listener.accept().unwrap().0
            }
        };
        peer.set_nonblocking(true).unwrap();
        peer.set_nodelay(true).unwrap();
        peer
    }

    /// The same with the handshake done.
    pub(crate) fn connect_open(&self) -> TcpStream {
        let mut peer = self.connect("/");
        if self.mode.side == Side::Client {
            let (_, key) = read_request(&self.m, &mut peer);
            peer.write_all(response(&key).as_bytes()).unwrap();
            self.m.until("the client's handshake", || self.m.conns().iter().all(|c| c.flags.is_websocket()));
        } else {
            peer.write_all(REQUEST).unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                self.m.poll(1);
                assert!(!collect(&mut peer, &mut answer), "{}", answer.escape_ascii());
            }
        }
        peer
    }

    /// Waits until our side of the connection is closed.
    pub(crate) fn finish(&self) {
        self.m.until("the connection to close", || self.m.conns().iter().all(|c| c.flags.is_listening()));
    }
}

/// Takes the frames apart and their masks off; a client's must all have one.
pub(crate) fn unmasked(side: Side, mut data: &[u8]) -> Result<Vec<u8>, String> {
    if side == Side::Server {
        return Ok(data.to_vec());
    }
    let mut out = Vec::with_capacity(data.len());
    while !data.is_empty() {
        let extra = match data.get(1).ok_or("half a header")? & 127 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let head = data.get(..2 + extra).ok_or("half a header")?;
        let n = match extra {
            2 => u16::from_be_bytes(head[2..].try_into().unwrap()).into(),
            8 => u64::from_be_bytes(head[2..].try_into().unwrap()) as usize,
            _ => usize::from(head[1] & 127),
        };
        if head[1] & 128 == 0 {
            return Err("an unmasked client frame".into());
        }
        let mask = data.get(2 + extra..6 + extra).ok_or("a partial mask")?;
        let payload = data.get(6 + extra..6 + extra + n).ok_or("a partial payload")?;
        out.extend([head[0], head[1] & 127]);
        out.extend(&head[2..]);
        out.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]));
        data = &data[6 + extra + n..];
    }
    Ok(out)
}

fn shown(data: &[u8]) -> String {
    let short = |d: &[u8]| d.iter().map(|b| format!("{b:02x}")).collect::<String>();
    if data.len() > 80 { format!("{} bytes: {}..", data.len(), short(&data[..80])) } else { short(data) }
}

/// Runs a script to its end, which must be the end of the stream.
pub(crate) fn run_script(stage: &Stage, script: &Script) -> Result<(), String> {
    let (m, mode) = (&stage.m, stage.mode);
    let mut peer = stage.connect_open();
    let mut segments: VecDeque<Vec<u8>> = script.frames.iter().map(|f| f.encode(mode.side == Side::Server)).collect();
    if script.chop > 0 {
        let all = segments.into_iter().flatten().collect::<Vec<_>>();
        segments = all.chunks(script.chop).map(<[u8]>::to_vec).collect();
    }
    let (mut got, mut done) = (Vec::new(), false);
    let end = Instant::now() + Duration::from_secs(20);
    while !done {
        if Instant::now() > end {
            return Err(format!("no end\ngot  {}\nwant {}", shown(&got), shown(&script.want)));
        }
        if let Some(segment) = segments.front_mut() {
            match peer.write(segment) {
                Ok(n) if n == segment.len() => drop(segments.pop_front()),
                Ok(n) => drop(segment.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // Closed before it had everything.
                Err(_) => segments.clear(),
            }
        }
        m.poll(i32::from(segments.is_empty()));
        done = collect(&mut peer, &mut got);
    }
    drop(peer);
    stage.finish();
    match unmasked(mode.side, &got) {
        Ok(got) if got == script.want => Ok(()),
        Ok(got) => Err(format!("got  {}\nwant {}", shown(&got), shown(&script.want))),
        Err(e) => Err(format!("{e}: {}", shown(&got))),
    }
}

//! The dashboard over sockets: each step on its own connection, and a WebSocket client that watches.

// Every block calls a C function with what its prototype asks for, or looks at variables that only this thread uses.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::lib::{bytes, function, same, table};
use crate::net::*;
use libtest_mimic::Trial;
use mongoose::abi::*;
use serde_json::Value;
use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

pub fn trials(trials: &mut Vec<Trial>) {
    table(trials, "dash.json", "vectors", |c| run_script(c, |recv| recv));
    // No WebSocket frame behind the answer.
    table(trials, "dash.json", "quirks", |c| {
        assert_eq!(c["note"], "quirk: a WebSocket text frame is appended to the plain HTTP answer");
        run_script(c, |recv| recv[..recv.iter().position(|b| *b == 0x81).unwrap()].to_vec())
    });
}

/// The program's variables. Each case runs in one thread from start to end.
struct Vars {
    a: c_int,
    f: f64,
    s: [u8; 16],
    b: bool,
    u: u64,
    v: c_int,
    index: c_int,
}

thread_local! {
    static VARS: UnsafeCell<Vars> = const { UnsafeCell::new(Vars { a: 0, f: 0.0, s: [0; 16], b: false, u: 0, v: 0, index: 0 }) };
    static ARRAY: UnsafeCell<Vec<c_int>> = const { UnsafeCell::new(Vec::new()) };
}

fn vars() -> *mut Vars {
    VARS.with(UnsafeCell::get)
}

unsafe extern "C" fn cfg(op: mg_dash_op, user: *mut mg_dash_user) -> bool {
    unsafe { (*user).level >= if op == mg_dash_op::MG_DASH_READ { 3 } else { 7 } }
}

unsafe extern "C" fn array(op: mg_dash_op, user: *mut mg_dash_user) -> bool {
    unsafe {
        let (vars, list) = (&mut *vars(), &mut *ARRAY.with(UnsafeCell::get));
        let at = usize::try_from(vars.index).ok().filter(|i| *i < list.len());
        match (op, at) {
            (mg_dash_op::MG_DASH_READ, Some(i)) => vars.v = list[i],
            (mg_dash_op::MG_DASH_READ, None) => vars.index = if vars.index < 0 { list.len() as c_int } else { -1 },
            (mg_dash_op::MG_DASH_WRITE, Some(i)) => list[i] = vars.v,
            (mg_dash_op::MG_DASH_ADD, _) if list.len() < 5 => list.push(vars.v),
            (mg_dash_op::MG_DASH_DELETE, Some(_)) => return (*user).level >= 7,
            _ => return false,
        }
    }
    true
}

unsafe extern "C" fn authenticate(_user: *mut c_char, _size: usize, pass: *const c_char) -> c_int {
    match unsafe { CStr::from_ptr(pass) }.to_bytes() {
        b"apass" => 7,
        b"upass" => 3,
        _ => 0,
    }
}

fn field(name: &'static CStr, kind: mg_val_type, value: *mut c_void, value_size: usize) -> mg_field {
    mg_field { name: name.as_ptr(), r#type: kind as c_int, value, value_size }
}

const END: mg_field = mg_field { name: std::ptr::null(), r#type: 0, value: null_mut(), value_size: 0 };

fn set(name: &'static CStr, fields: &mut [mg_field], next: *mut mg_field_set) -> mg_field_set {
    mg_field_set { name: name.as_ptr(), fields: fields.as_mut_ptr(), r#fn: None, index: null_mut(), get_dir: None, next }
}

/// What has arrived, with the random token masked.
fn masked(data: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(data);
    let token = text.split_once("access_token=").and_then(|t| t.1.split_once(';')).map_or("", |t| t.0);
    if token.is_empty() { data.to_vec() } else { text.replace(token, "<TOKEN>").into_bytes() }
}

fn receive(m: &Manager, peer: &mut TcpStream, got: &mut Vec<u8>, want: usize) {
    let (start, mut quiet) = (Instant::now(), 0);
    while quiet < 4 && start.elapsed() < Duration::from_secs(3) {
        m.poll(1);
        match peer.read_to_end(got) {
            Ok(_) => return,
            Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
        }
        quiet = if masked(got).len() >= want { quiet + 1 } else { 0 };
    }
}

fn connect(port: u16, request: &[u8]) -> TcpStream {
    let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    peer.set_nonblocking(true).unwrap();
    peer.write_all(request).unwrap();
    peer
}

/// The bytes of short and middle-sized unmasked frames.
fn frames(list: &Value) -> Vec<u8> {
    let frame = |f: &Value| {
        let text = f["text"].as_str().unwrap().as_bytes();
        let head = match text.len() {
            n @ ..126 => vec![f["b0"].as_u64().unwrap() as u8, n as u8],
            n => vec![f["b0"].as_u64().unwrap() as u8, 126, (n >> 8) as u8, n as u8],
        };
        [&head[..], text].concat()
    };
    list.as_array().map_or(Vec::new(), |l| l.iter().flat_map(frame).collect())
}

fn run_script(c: &Value, expected: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<(), String> {
    use mg_val_type::*;
    let vars = vars();
    let mut text = [0; 16];
    text[..3].copy_from_slice(b"abc");
    unsafe {
        *vars = Vars { a: 5, f: 1.5, s: text, b: true, u: 7, v: 0, index: 0 };
        *ARRAY.with(UnsafeCell::get) = vec![10, 20, 30];
    }
    let mut cfg_fields = unsafe {
        [
            field(c"a", MG_VAL_INT, (&raw mut (*vars).a).cast(), 4),
            field(c"f", MG_VAL_DBL, (&raw mut (*vars).f).cast(), 8),
            field(c"s", MG_VAL_STR, (&raw mut (*vars).s).cast(), 16),
            field(c"b", MG_VAL_BOOL, (&raw mut (*vars).b).cast(), 1),
            field(c"u", MG_VAL_UINT64, (&raw mut (*vars).u).cast(), 8),
            field(c"ro", MG_VAL_INT, (&raw mut (*vars).a).cast(), 0),
            END,
        ]
    };
    let mut info_fields = [field(c"raw", MG_VAL_RAW, c"{\"k\":[1,2]}".as_ptr() as *mut c_void, 0), END];
    let mut arr_fields = [field(c"v", MG_VAL_INT, unsafe { &raw mut (*vars).v }.cast(), 4), END];
    let mut cfg_set = mg_field_set { r#fn: Some(cfg), ..set(c"cfg", &mut cfg_fields, null_mut()) };
    let mut info_set = set(c"info", &mut info_fields, &mut cfg_set);
    let index = unsafe { &raw mut (*vars).index };
    let mut arr_set = mg_field_set { r#fn: Some(array), index, ..set(c"arr", &mut arr_fields, &mut info_set) };
    let mut dash: mg_dash = unsafe { std::mem::zeroed() };
    dash.sets = &mut arr_set;
    dash.authenticate = if c["auth"] == true { Some(authenticate) } else { None };

    let m = Manager::new();
    let handler = *function::<unsafe extern "C" fn(*mut mg_connection, c_int, *mut c_void)>("mg_dash_ev_handler");
    let listener = Conn(unsafe { mg_http_listen(m.raw, c"http://127.0.0.1:0".as_ptr(), Some(handler), (&raw mut dash).cast()) });
    let mut watcher = c["websocket_headers"].as_str().map(|headers| {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        connect(listener.port(), format!("GET /api/websocket HTTP/1.1\r\n{key}{headers}\r\n").as_bytes())
    });
    if let Some(watcher) = &mut watcher {
        let mut got = Vec::new();
        receive(&m, watcher, &mut got, 129);
        let line = String::from_utf8_lossy(&got).lines().next().unwrap_or_default().to_string();
        same("websocket_status", line.as_str(), c["websocket_status"].as_str().unwrap())?;
    }
    for step in c["steps"].as_array().unwrap() {
        let want = expected(bytes(&step["recv"]).unwrap());
        let mut peer = connect(listener.port(), &bytes(&step["request"]).unwrap());
        let mut got = Vec::new();
        receive(&m, &mut peer, &mut got, want.len());
        let shown = |s: &[u8]| s.escape_ascii().to_string();
        same(step["request"].as_str().unwrap(), shown(&masked(&got)), shown(&want))?;
        if let Some(watcher) = &mut watcher {
            let (want, mut got) = (frames(&step["websocket_recv"]), Vec::new());
            receive(&m, watcher, &mut got, want.len());
            same("websocket_recv", shown(&got), shown(&want))?;
        }
    }
    Ok(())
}

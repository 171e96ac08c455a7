//! A WebSocket client: the handshake response is validated, and the data after it gives the same messages however it is split.

use crate::peer::{Peer, bytes};
use crate::proto::ws;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use mongoose::abi::*;
use std::cell::RefCell;

#[allow(improper_ctypes)]
unsafe extern "C" {
    fn mg_ws_connect(
        mgr: *mut mg_mgr,
        url: *const c_char,
        f: mg_event_handler_t,
        data: *mut c_void,
        fmt: *const c_char,
        ...
    ) -> *mut mg_connection;
    fn mgx_mgr_ws_strict(mgr: *mut mg_mgr, on: bool);
}

type Message = (c_int, Vec<u8>);

thread_local! {
    static PEER: Peer = Peer::new();
    static SEEN: RefCell<Vec<Message>> = RefCell::default();
}

unsafe extern "C" fn handler(_: *mut mg_connection, ev: c_int, data: *mut c_void) {
    let data = match ev {
        MG_EV_WS_OPEN => Vec::new(),
        // SAFETY: what these events carry.
        MG_EV_WS_MSG | MG_EV_WS_CTL => bytes(unsafe { (*data.cast::<mg_ws_message>()).data }),
        _ => return,
    };
    SEEN.with_borrow_mut(|seen| seen.push((ev, data)));
}

/// The answer that the request asks for, and whether it is sent.
fn hello(request: &[u8]) -> Option<Vec<u8>> {
    let text = core::str::from_utf8(request).ok().filter(|t| t.ends_with("\r\n\r\n"))?;
    let key = text.lines().find_map(|l| l.strip_prefix("Sec-WebSocket-Key: "))?;
    let accept = ws::accept(key.as_bytes());
    Some(
        [b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ", &accept[..], b"\r\n\r\n"]
            .concat(),
    )
}

fn run_one(open: bool, strict: bool, pieces: &[&[u8]]) -> Vec<Message> {
    PEER.with(|peer| {
        // SAFETY: the manager and a URL.
        unsafe {
            mgx_mgr_ws_strict(peer.mgr, strict);
            assert!(!mg_ws_connect(peer.mgr, peer.url(), Some(handler), ptr::null_mut(), ptr::null()).is_null());
        }
        peer.serve(|request| {
            let mut all: Vec<Vec<u8>> = pieces.iter().map(|p| p.to_vec()).collect();
            let answer = hello(request)?;
            if open {
                all[0] = [&answer, pieces[0]].concat();
            }
            Some(all)
        });
    });
    SEEN.take()
}

fuzz_target!(|input: (bool, bool, u16, &[u8])| {
    let (open, strict, cut, data) = input;
    let (first, second) = data.split_at(usize::from(cut) % (data.len() + 1));
    let whole = run_one(open, strict, &[data]);
    // Nobody knows the key but we. Without strict rules a 101 may come without headers.
    assert!(open || !strict || whole.is_empty());
    assert_eq!(whole, run_one(open, strict, &[first, second]));
});

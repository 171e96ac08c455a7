//! Responses as parsed by a client: the application sees the same ones however the input is split, and the connection closes.

use crate::peer::{Peer, bytes};
use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use mongoose::abi::*;
use std::cell::RefCell;

#[allow(improper_ctypes)]
unsafe extern "C" {
    fn mg_http_connect(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    fn mg_send(c: *mut mg_connection, buf: *const c_void, len: usize) -> bool;
}

type Response = (Vec<u8>, Vec<u8>);

thread_local! {
    static PEER: Peer = Peer::new();
    static SEEN: RefCell<Vec<Response>> = RefCell::default();
}

unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    // SAFETY: the library's events.
    unsafe {
        if ev == MG_EV_CONNECT {
            let request: &[u8] =
                if (*c).fn_data.is_null() { b"GET / HTTP/1.1\r\n\r\n" } else { b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n" };
            mg_send(c, request.as_ptr().cast(), request.len());
        } else if ev == MG_EV_HTTP_MSG {
            let hm = data.cast::<mg_http_message>();
            SEEN.with_borrow_mut(|seen| seen.push((bytes((*hm).uri), bytes((*hm).body))));
        }
    }
}

fn run_one(head: bool, pieces: &[&[u8]]) -> Vec<Response> {
    PEER.with(|peer| {
        let data = if head { ptr::dangling_mut() } else { ptr::null_mut() };
        // SAFETY: the manager and a URL.
        assert!(!unsafe { mg_http_connect(peer.mgr, peer.url(), Some(handler), data) }.is_null());
        peer.serve(|request| request.ends_with(b"\r\n\r\n").then(|| pieces.iter().map(|p| p.to_vec()).collect()));
    });
    SEEN.take()
}

fuzz_target!(|input: (bool, u16, &[u8])| {
    let (head, data) = (input.0, input.2);
    let (first, second) = data.split_at(usize::from(input.1) % (data.len() + 1));
    let whole = run_one(head, &[data]);
    assert!(whole.iter().map(|r| r.1.len()).sum::<usize>() <= data.len());
    // A body that such a response must not have is taken for one if it came in the same segment.
    if !whole.iter().any(|r| r.0 == b"204" || r.0 == b"304") {
        assert_eq!(whole, run_one(head, &[first, second]));
    }
});

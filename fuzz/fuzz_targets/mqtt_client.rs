//! An MQTT client: a broker's data gives the same events however it is split, and the connection closes at its end.

use crate::peer::{Peer, bytes};
use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use mongoose::abi::*;
use std::cell::RefCell;

#[allow(improper_ctypes)]
unsafe extern "C" {
    fn mg_mqtt_connect(
        mgr: *mut mg_mgr,
        url: *const c_char,
        opts: *const mg_mqtt_opts,
        f: mg_event_handler_t,
        data: *mut c_void,
    ) -> *mut mg_connection;
}

/// Event, command, code of a CONNACK, topic, data.
type Event = (c_int, u8, u8, Vec<u8>, Vec<u8>);

thread_local! {
    static PEER: Peer = Peer::new();
    static SEEN: RefCell<Vec<Event>> = RefCell::default();
}

unsafe extern "C" fn handler(_: *mut mg_connection, ev: c_int, data: *mut c_void) {
    if ev == MG_EV_MQTT_CMD || ev == MG_EV_MQTT_MSG {
        // SAFETY: what these events carry.
        let m = unsafe { &*data.cast::<mg_mqtt_message>() };
        SEEN.with_borrow_mut(|seen| seen.push((ev, m.cmd, m.ack, bytes(m.topic), bytes(m.data))));
    }
}

fn run_one(five: bool, pieces: &[&[u8]]) -> Vec<Event> {
    PEER.with(|peer| {
        // SAFETY: all zero is valid; the manager and a URL.
        unsafe {
            let mut opts: mg_mqtt_opts = core::mem::zeroed();
            opts.version = if five { 5 } else { 4 };
            assert!(!mg_mqtt_connect(peer.mgr, peer.url(), &opts, Some(handler), ptr::null_mut()).is_null());
        }
        peer.serve(|request| (!request.is_empty()).then(|| pieces.iter().map(|p| p.to_vec()).collect()));
    });
    SEEN.take()
}

fuzz_target!(|input: (bool, u16, &[u8])| {
    let (five, data) = (input.0, input.2);
    let (first, second) = data.split_at(usize::from(input.1) % (data.len() + 1));
    let (whole, cut) = (run_one(five, &[data]), run_one(five, &[first, second]));
    // What came behind a refusal is handled only if it came with it.
    let refused = whole.iter().any(|e| e.1 == 2 && e.2 != 0);
    assert!(cut == whole || refused && whole.starts_with(&cut), "{whole:?} {cut:?}");
});

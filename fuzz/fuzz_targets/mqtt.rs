//! MQTT: every string of a parsed packet lies inside it, iteration over properties ends, and a stream gives the same packets
//! and replies however it is split. Handlers that edit the buffer, drain or close in any event do no harm.

use core::ffi::{c_char, c_int, c_long, c_void};
use core::mem::MaybeUninit;
use mongoose::abi::*;
use std::cell::LazyCell;

unsafe extern "C" {
    fn mg_mgr_init(mgr: *mut mg_mgr);
    fn mg_mqtt_listen(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    fn mg_alloc_conn(mgr: *mut mg_mgr) -> *mut mg_connection;
    fn mg_close_conn(c: *mut mg_connection);
    fn mg_call(c: *mut mg_connection, ev: c_int, data: *mut c_void);
    fn mg_iobuf_add(io: *mut mg_iobuf, ofs: usize, buf: *const c_void, len: usize) -> usize;
    fn mg_iobuf_free(io: *mut mg_iobuf);
    fn mg_mqtt_parse(buf: *const u8, len: usize, version: u8, m: *mut mg_mqtt_message) -> c_int;
    fn mg_mqtt_next_prop(m: *mut mg_mqtt_message, prop: *mut mg_mqtt_prop, ofs: usize) -> usize;
}

thread_local! {
    /// A manager for all runs, and the protocol handler.
    static MGR: LazyCell<(*mut mg_mgr, mg_event_handler_t)> = LazyCell::new(|| {
        let mgr = Box::into_raw(Box::new(MaybeUninit::<mg_mgr>::uninit())).cast();
        // SAFETY: room for a manager; a listener that is open until the end.
        unsafe {
            mg_mgr_init(mgr);
            let listener = mg_mqtt_listen(mgr, c"mqtt://127.0.0.1:0".as_ptr(), None, core::ptr::null_mut());
            (mgr, (*listener).pfn)
        }
    });
}

fn check(m: &mut mg_mqtt_message, input: &[u8]) {
    let packet = &input[..m.dgram.len];
    let inside = |s: mg_str| {
        let at = (s.buf as usize).wrapping_sub(packet.as_ptr() as usize);
        assert!(s.buf.is_null() && s.len == 0 || at <= packet.len() && s.len <= packet.len() - at);
    };
    inside(m.topic);
    inside(m.data);
    assert_eq!(m.dgram.buf.cast_const().cast(), packet.as_ptr());
    let (mut ofs, mut p) = (0, MaybeUninit::<mg_mqtt_prop>::uninit());
    loop {
        // SAFETY: a parsed message and room for a property, which is filled unless the result is 0.
        let next = unsafe { mg_mqtt_next_prop(m, p.as_mut_ptr(), ofs) };
        if next == 0 {
            break;
        }
        assert!(next > ofs && next <= m.props_size);
        ofs = next;
        // SAFETY: as above.
        let p = unsafe { p.assume_init() };
        inside(p.key);
        inside(p.val);
    }
}

/// What the handler does, and what it has seen.
#[derive(Default)]
struct Seen {
    packets: Vec<(c_int, Vec<u8>)>,
    edits: Vec<u8>,
    closed: bool,
}

unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    // SAFETY: fn_data is a Seen that outlives the connection; nobody else looks at it meanwhile. The connection is alive.
    unsafe {
        let seen = &mut *(*c).fn_data.cast::<Seen>();
        seen.closed |= ev == MG_EV_CLOSE;
        if ev == MG_EV_MQTT_CMD || ev == MG_EV_MQTT_MSG {
            let m = &mut *data.cast::<mg_mqtt_message>();
            let packet = core::slice::from_raw_parts(m.dgram.buf.cast::<u8>(), m.dgram.len);
            check(m, packet);
            seen.packets.push((ev, packet.to_vec()));
        }
        match seen.edits.pop() {
            Some(1) => (*c).recv.len = 0,
            Some(2) => mg_iobuf_free(&mut (*c).recv),
            Some(3) => _ = mg_iobuf_add(&mut (*c).recv, (*c).recv.len, [0u8; 20000].as_ptr().cast(), 20000),
            Some(4) => (*c).flags.set_draining(true),
            Some(5) => (*c).flags.set_closing(true),
            Some(6) => (*c).pfn = None,
            Some(7) => mg_call(c, MG_EV_READ, (&raw mut (*c).send.len).cast()),
            Some(8) if !seen.closed => mg_close_conn(c),
            Some(9) => (*c).recv.len /= 2,
            _ => {}
        }
    }
}

/// Packets seen and bytes queued when the stream comes in these pieces.
fn play(v5: bool, edits: &[u8], pieces: &[&[u8]]) -> (Vec<(c_int, Vec<u8>)>, Vec<u8>) {
    let (mgr, pfn) = MGR.with(|m| **m);
    let mut seen = Seen { edits: edits.to_vec(), ..Seen::default() };
    let mut sent = Vec::new();
    // SAFETY: a connection of the manager, closed at the end.
    unsafe {
        let c = mg_alloc_conn(mgr);
        (*c).pfn = pfn;
        (*c).r#fn = Some(handler);
        (*c).fn_data = (&raw mut seen).cast();
        (*c).flags.set_mqtt5(v5);
        for piece in pieces {
            if seen.closed {
                break;
            }
            mg_iobuf_add(&mut (*c).recv, (*c).recv.len, piece.as_ptr().cast(), piece.len());
            let mut n = piece.len() as c_long;
            mg_call(c, MG_EV_READ, (&raw mut n).cast());
        }
        if !seen.closed {
            if (*c).send.len > 0 {
                sent = core::slice::from_raw_parts((*c).send.buf, (*c).send.len).to_vec();
            }
            seen.edits.clear();
            mg_close_conn(c);
        }
    }
    (seen.packets, sent)
}

fuzz_target!(|input: (bool, u16, u16, &[u8], &[u8])| {
    let (v5, one, two, edits, data) = input;
    let data: Box<[u8]> = data.into();
    let mut m = MaybeUninit::<mg_mqtt_message>::uninit();
    for version in [4, 5] {
        // SAFETY: data is a block of exactly its length; parsing initialises the message before all else.
        unsafe {
            if mg_mqtt_parse(data.as_ptr(), data.len(), version, m.as_mut_ptr()) == 0 {
                check(m.assume_init_mut(), &data);
            }
        }
    }
    // The same packets many times over go the way of large buffers.
    let data = if one % 128 == 7 { data.repeat(20_000 / (data.len() + 1)) } else { data.into_vec() };
    let a = usize::from(one) % (data.len() + 1);
    let b = a + usize::from(two).min(data.len() - a);
    let pieces = [&data[..a], &data[a..b], &data[b..]];
    let whole = play(v5, &[], &[&data]);
    // What came behind a refusal is handled only if it came with it.
    if !whole.0.iter().any(|(_, p)| p[0] >> 4 == 2) {
        assert!(play(v5, &[], &pieces) == whole);
    }
    if edits.iter().any(|e| *e != 0) {
        play(v5, edits, &pieces);
    }
});

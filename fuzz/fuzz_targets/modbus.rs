//! Modbus frames, whole and split, with a handler that changes the request: the responses are frames that match the requests in
//! order, and splitting makes no difference.

use core::cell::Cell;
use core::ffi::{c_char, c_int, c_void};
use mongoose::abi::*;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;

unsafe extern "C" {
    fn mg_mgr_init(mgr: *mut mg_mgr);
    fn mg_modbus_listen(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    fn mg_wrapfd(mgr: *mut mg_mgr, fd: c_int, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    fn mg_iobuf_add(io: *mut mg_iobuf, ofs: usize, buf: *const c_void, len: usize) -> usize;
    static mut mg_log_level: c_int;
}

thread_local! {
    /// What the handler does to a request.
    static MODE: Cell<u8> = const { Cell::new(0) };
    /// A connection as the listener would have accepted it.
    static CONN: *mut mg_connection = connection();
}

fn connection() -> *mut mg_connection {
    let mgr: *mut mg_mgr = Box::into_raw(Box::new(unsafe { core::mem::zeroed() }));
    let (ours, theirs) = UnixStream::pair().unwrap();
    core::mem::forget(theirs);
    // SAFETY: a manager that is never freed.
    unsafe {
        mg_log_level = 0;
        mg_mgr_init(mgr);
        let listener = mg_modbus_listen(mgr, c"tcp://127.0.0.1:0".as_ptr(), Some(handler), core::ptr::null_mut());
        let c = mg_wrapfd(mgr, ours.into_raw_fd(), Some(handler), core::ptr::null_mut());
        (*c).pfn = (*listener).pfn;
        (*c).flags.set_accepted(true);
        c
    }
}

unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    if ev != MG_EV_MODBUS_REQ {
        return;
    }
    // SAFETY: MG_EV_MODBUS_REQ carries a request with len values.
    unsafe {
        let req = &mut *data.cast::<mg_modbus_req>();
        for i in 0..usize::from(req.len) {
            if matches!(req.func, 1 | 2 | 5 | 15) {
                *req.u.bits.cast::<u8>().add(i) ^= 255;
            } else {
                *req.u.regs.add(i) ^= 0x55aa;
            }
        }
        match MODE.get() {
            1 => req.len = u16::MAX,
            2 => req.len /= 2,
            3 => req.u.regs = core::ptr::null_mut(),
            4 => req.error = 1,
            5 => (*c).recv.len = 0,
            6 => req.func = 0,
            _ => {}
        }
    }
}

/// What comes back when the bytes arrive in pieces of these lengths, the last of which is repeated, and whether that was the end.
fn talk(bytes: &[u8], pieces: &[u8]) -> (Vec<u8>, bool) {
    let c = CONN.with(|c| *c);
    let (mut rest, mut i) = (bytes, 0);
    // SAFETY: the connection stays; its buffers are emptied and its end is taken back each time.
    unsafe {
        let mut count: core::ffi::c_long = 1;
        while !rest.is_empty() {
            let n = pieces.get(i).or(pieces.last()).map_or(rest.len(), |n| usize::from(*n).clamp(1, rest.len()));
            let (now, later) = rest.split_at(n);
            (rest, i) = (later, i + 1);
            mg_iobuf_add(&mut (*c).recv, (*c).recv.len, now.as_ptr().cast(), n);
            if let Some(pfn) = (*c).pfn {
                pfn(c, MG_EV_READ, (&raw mut count).cast());
            }
        }
        let sent =
            if (*c).send.len == 0 { Vec::new() } else { core::slice::from_raw_parts((*c).send.buf, (*c).send.len).to_vec() };
        let over = (*c).flags.is_closing();
        ((*c).recv.len, (*c).send.len) = (0, 0);
        (*c).flags.set_closing(false);
        (sent, over)
    }
}

fuzz_target!(|input: (u8, Vec<u8>, Vec<(u8, u16, u16, Vec<u8>)>)| {
    let (mode, pieces, requests) = input;
    MODE.set(mode % 8);
    let (mut bytes, mut heads, mut plain) = (Vec::new(), Vec::new(), true);
    for (i, (kind, addr, count, mut data)) in requests.into_iter().enumerate() {
        let func = kind % 20;
        if kind >= 240 {
            // Brings its own head.
            bytes.extend(data);
            plain = false;
            continue;
        }
        let mut pdu = [&[func][..], &addr.to_be_bytes(), &count.to_be_bytes()].concat();
        if kind < 160 {
            // As a client would write it.
            let size = if func == 15 { usize::from(count).div_ceil(8) } else { 2 * usize::from(count) };
            data.resize(if matches!(func, 15 | 16) { size % 256 } else { 0 }, kind);
            pdu.extend(matches!(func, 15 | 16).then_some(data.len() as u8));
        }
        pdu.extend(data);
        pdu.truncate(1000);
        let [hi, lo] = (pdu.len() as u16 + 1).to_be_bytes();
        bytes.extend([(i >> 8) as u8, i as u8, 0, 0, hi, lo, kind]);
        bytes.extend(pdu);
        heads.push(([(i >> 8) as u8, i as u8, 0, 0], kind, func));
    }
    let (whole, over) = talk(&bytes, &[]);
    let (mut sent, mut heads) = (&whole[..], heads.into_iter());
    while !sent.is_empty() {
        let [t0, t1, 0, 0, hi, lo, unit, func, ..] = *sent else { panic!("no frame") };
        let len = usize::from(u16::from_be_bytes([hi, lo]));
        assert!((3..=254).contains(&len));
        if plain {
            assert_eq!(heads.next().unwrap(), ([t0, t1, 0, 0], unit, func & 0x7f));
        }
        sent = &sent[len + 6..];
    }
    // A handler that empties the buffer takes more of it when there is more in it.
    if plain && mode % 8 != 5 {
        assert!(!over && heads.next().is_none());
        assert_eq!(talk(&bytes, &pieces), (whole, false));
    }
});

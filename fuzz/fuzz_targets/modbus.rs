//! Modbus frames, as they come and in pieces, with a handler that changes the request: every answer is a frame.

#![no_main]

use core::cell::Cell;
use core::ffi::{c_char, c_int, c_void};
use libfuzzer_sys::fuzz_target;
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

fuzz_target!(|input: (u8, Vec<(u8, Vec<u8>)>)| {
    MODE.set(input.0 % 8);
    let c = CONN.with(|c| *c);
    // SAFETY: the connection stays; its buffers are emptied and its end is taken back each time.
    unsafe {
        let mut count: core::ffi::c_long = 1;
        for (func, data) in input.1 {
            // A head for the data, unless it brings its own.
            let mut bytes = vec![0, 1, 0, 0, 0, data.len() as u8 + 2, 1, func % 20];
            if func >= 200 {
                bytes.clear();
            }
            bytes.extend(data);
            mg_iobuf_add(&mut (*c).recv, (*c).recv.len, bytes.as_ptr().cast(), bytes.len());
            if let Some(pfn) = (*c).pfn {
                pfn(c, MG_EV_READ, (&raw mut count).cast());
            }
        }
        let mut sent = if (*c).send.len == 0 { &[][..] } else { core::slice::from_raw_parts((*c).send.buf, (*c).send.len) };
        while !sent.is_empty() {
            let [_, _, 0, 0, hi, lo, _, _, ..] = *sent else { panic!("no frame") };
            let len = usize::from(u16::from_be_bytes([hi, lo]));
            assert!((3..=254).contains(&len));
            sent = &sent[len + 6..];
        }
        ((*c).recv.len, (*c).send.len) = (0, 0);
        (*c).flags.set_closing(false);
    }
});

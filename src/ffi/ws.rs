//! WebSocket.

use crate::abi::*;
use crate::ffi_util::bytes;
use crate::fmt;
use crate::handler::ws;
use crate::net::conn::Client;
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// Formatted header lines. `fmt` NULL means none.
///
/// # Safety
/// `fmt` is NULL, or fits `ap`.
unsafe fn formatted(c: ConnRef, fmt: *const c_char, ap: *mut va_list) -> bool {
    // SAFETY: the connection's own buffer; the rest is guaranteed by the caller.
    fmt.is_null() || unsafe { fmt::to_iobuf(c.send(), fmt, ap) }.is_some()
}

/// Implementation of mg_ws_connect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgc_ws_connect(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
    fmt: *const c_char,
    ap: *mut va_list,
) -> *mut mg_connection {
    let client = Client { url, handler: r#fn, handler_data: fn_data, pfn: None, pfn_data: ptr::null_mut() };
    // SAFETY: a manager, a C string or NULL, and arguments that fit the format, as the caller promises.
    unsafe {
        Engine::enter_mgr(mgr)
            .and_then(|e| ws::connect(&e, client, |c| formatted(c, fmt, ap)))
            .map_or(ptr::null_mut(), ConnRef::as_ptr)
    }
}

/// Implementation of mg_ws_upgrade.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgc_ws_upgrade(c: *mut mg_connection, hm: *mut mg_http_message, fmt: *const c_char, ap: *mut va_list) {
    enter!(@raw c);
    require!(hm);
    // SAFETY: a connection, a message and arguments that fit the format, as the caller promises.
    unsafe { ws::upgrade(ConnRef::new(c), hm, |c| formatted(c, fmt, ap)) }
}

/// Queues `len` bytes as one WebSocket message or control frame, masked on client connections. `op` is a WEBSOCKET_OP_* value. To
/// send a message in fragments, clear the highest bit of the frame's first byte in `c->send`. Returns the number of bytes queued,
/// 0 if out of memory. To close, send WEBSOCKET_OP_CLOSE with a two-byte status code or no payload, and wait for the peer's
/// response, which drains the connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_ws_send(c: *mut mg_connection, buf: *const c_void, len: usize, op: c_int) -> usize {
    enter!(@raw c, 0);
    // SAFETY: a connection and len bytes, as the caller promises.
    unsafe { ws::send(ConnRef::new(c), op as u8, bytes::slice(buf.cast(), len)) }
}

/// Turns the last `len` bytes of `c->send` into a WebSocket frame, so that the output of other functions can be sent over a
/// WebSocket. See mg_ws_send for `op`. Returns the new length of `c->send`; the length is unchanged if out of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_ws_wrap(c: *mut mg_connection, len: usize, op: c_int) -> usize {
    enter!(@raw c, 0);
    // SAFETY: a connection, as the caller promises.
    unsafe { ws::wrap(ConnRef::new(c), len, op as u8) }
}

/// Like mg_ws_printf, with the arguments in `*ap`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_ws_vprintf(c: *mut mg_connection, op: c_int, fmt: *const c_char, ap: *mut va_list) -> usize {
    enter!(@raw c, 0);
    // SAFETY: a connection, a format and its arguments, as the caller promises.
    unsafe { ws::vprintf(ConnRef::new(c), op as u8, fmt, ap) }
}

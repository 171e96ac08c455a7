//! The extension API: what a handler and other threads do, without variable arguments.

use crate::abi::*;
use crate::ffi_util::bytes;
use crate::fmt::engine::Out;
use crate::handler::{drain, reply, rpc, ws};
use crate::net::conn::Client;
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use crate::net::{guest, on_signal, output, timer};
use crate::proto::ws as frames;
use crate::sys::log;
use core::ffi::{c_char, c_int, c_ulong, c_void};
use core::ptr;

/// Queues `len` bytes for sending, like mg_send. Returns false if out of memory. `buf` may be NULL if `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_send(c: *mut mg_connection, buf: *const c_void, len: usize) -> bool {
    enter!(@maybe c, false);
    if c.is_null() || (buf.is_null() && len > 0) {
        return false;
    }
    // SAFETY: a connection and len bytes, as the caller promises.
    unsafe { output::send(ConnRef::new(c), buf.cast(), len) }
}

/// Starts an HTTP response of unknown length: queues the status line, `headers` (each terminated by CR LF; NULL for none) and
/// `Transfer-Encoding: chunked`. Continue with mgx_http_chunk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_begin(c: *mut mg_connection, status: c_int, headers: *const c_char) {
    enter!(@maybe c);
    if !c.is_null() {
        // SAFETY: a connection and a C string or NULL, as the caller promises.
        unsafe { reply::begin_chunked(ConnRef::new(c), status, bytes::cstr(headers)) }
    }
}

/// Queues `len` bytes as a chunk of a response started by mgx_http_begin. `len` 0 ends the response.
#[cfg(feature = "http")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_chunk(c: *mut mg_connection, buf: *const c_void, len: usize) {
    enter!(@maybe c);
    if c.is_null() || (buf.is_null() && len > 0) {
        return;
    }
    // SAFETY: a connection and len bytes, as the caller promises.
    unsafe { reply::write_chunk(ConnRef::new(c), bytes::slice(buf.cast(), len)) }
}

/// Like mg_ws_upgrade, with plain header lines instead of a format. `headers` NULL: none.
#[cfg(feature = "ws")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_ws_upgrade(c: *mut mg_connection, hm: *mut mg_http_message, headers: *const c_char) {
    enter!(@maybe c);
    if !c.is_null() && !hm.is_null() {
        // SAFETY: a connection, a message and a C string or NULL, as the caller promises.
        unsafe { ws::upgrade(ConnRef::new(c), hm, |c| output::append_bytes(c, bytes::cstr(headers))) }
    }
}

/// Like mg_ws_connect, with plain header lines instead of a format. `headers` NULL: none.
#[cfg(feature = "ws")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_ws_connect(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
    headers: *const c_char,
) -> *mut mg_connection {
    let client = Client { url, handler: r#fn, handler_data: fn_data, pfn: None, pfn_data: ptr::null_mut() };
    // SAFETY: a manager and C strings or NULL, as the caller promises.
    unsafe {
        let add = |c| output::append_bytes(c, bytes::cstr(headers));
        Engine::enter_mgr(mgr).and_then(|e| ws::connect(&e, client, add)).map_or(ptr::null_mut(), ConnRef::as_ptr)
    }
}

/// True if a frame may have this opcode and length.
fn is_frame(op: c_int, len: usize) -> bool {
    matches!(op, WEBSOCKET_OP_CONTINUE..=WEBSOCKET_OP_BINARY)
        || matches!(op, WEBSOCKET_OP_CLOSE..=WEBSOCKET_OP_PONG) && len <= 125
}

/// Like mg_ws_send, but accepts NULL: queues one message or control frame. Returns the number of bytes queued, 0 if `op` is not a
/// WEBSOCKET_OP_* value or a control frame exceeds 125 bytes.
#[cfg(feature = "ws")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_ws_send(c: *mut mg_connection, op: c_int, buf: *const c_void, len: usize) -> usize {
    enter!(@maybe c, 0);
    if c.is_null() || (buf.is_null() && len > 0) || !is_frame(op, len) {
        return 0;
    }
    // SAFETY: a connection and len bytes, as the caller promises.
    unsafe { ws::send(ConnRef::new(c), op as u8, bytes::slice(buf.cast(), len)) }
}

/// Like mgx_send_to, for one WebSocket message or control frame. Also returns false for invalid frames, see mgx_ws_send. Dropped if
/// the connection is not a WebSocket.
#[cfg(feature = "ws")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_send_ws_to(mgr: *mut mg_mgr, conn_id: c_ulong, op: c_int, buf: *const c_void, len: usize) -> bool {
    if mgr.is_null() || (buf.is_null() && len > 0) || len > crate::net::mailbox::LIMIT || !is_frame(op, len) {
        return false;
    }
    #[allow(clippy::useless_conversion)] // c_ulong is 32 bits wide on some targets
    // SAFETY: a manager and len bytes, as the caller promises.
    unsafe {
        drain::send_to(mgr, conn_id.into(), frames::FIN | op as u8, bytes::slice(buf.cast(), len))
    }
}

/// Cancels and frees a timer created by mg_timer_add. No effect if the timer has already finished. May be called from its
/// callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_timer_cancel(mgr: *mut mg_mgr, timer: *mut mg_timer) {
    if !mgr.is_null() && !timer.is_null() {
        // SAFETY: a manager, as the caller promises; the timer is its own when it is on its list.
        unsafe { timer::cancel(&raw mut (*mgr).timers, timer) }
    }
}

/// Logs plain text with the usual prefix if `level` (MG_LL_*) does not exceed the log level.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_log(level: c_int, text: *const c_char) {
    if !text.is_null() && level > MG_LL_NONE && log::enabled(level) {
        // SAFETY: a C string, as the caller promises.
        log::whole(level, unsafe { bytes::cstr(text) });
    }
}

/// JSON text of a result. NULL means `null`.
///
/// # Safety
/// A C string or NULL.
unsafe fn json<'a>(text: *const c_char) -> &'a [u8] {
    // SAFETY: guaranteed by the caller.
    if text.is_null() { b"null" } else { unsafe { bytes::cstr(text) } }
}

/// Like mg_rpc_ok, with JSON text instead of a format; NULL means `null`.
#[cfg(feature = "rpc")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_rpc_ok(r: *mut mg_rpc_req, result: *const c_char) {
    if !r.is_null() {
        // SAFETY: a request and a C string or NULL, as the caller promises.
        unsafe { rpc::ok(r, |out| out.bytes(json(result))) }
    }
}

/// In a JSON-RPC handler: prints the response `{"id":..,"error":..}`. `error` is an error object, `{"code":..,"message":..}`; any
/// other JSON becomes the message of an error with code -32603, internal error. NULL means `null`.
#[cfg(feature = "rpc")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_rpc_err(r: *mut mg_rpc_req, error: *const c_char) {
    if r.is_null() {
        return;
    }
    // SAFETY: a request and a C string or NULL, as the caller promises.
    unsafe {
        let text = json(error);
        if text.trim_ascii_start().starts_with(b"{") {
            rpc::error_object(r, |out| out.bytes(text))
        } else {
            rpc::error(r, -32603, |out| out.bytes(text))
        }
    }
}

/// Returns a descriptor for use in another event loop. It is readable, level-triggered, when mg_mgr_poll(mgr, 0) has work to do.
/// The loop waits for it at most mgx_mgr_timeout_ms milliseconds, then calls mg_mgr_poll(mgr, 0). MG_EV_POLL is sent only by
/// those calls. The library owns the descriptor: do not read from it or close it. Returns -1 if the manager is not initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_fd(mgr: *const mg_mgr) -> c_int {
    // SAFETY: a manager or NULL, as the caller promises.
    unsafe { Engine::of(mgr.cast_mut()) }.map_or(-1, guest::fd)
}

/// Returns how long another event loop may wait for mgx_mgr_fd before it calls mg_mgr_poll(mgr, 0), in milliseconds: the time to
/// the next timer or deadline, 0 if there is work to do, -1 if there is no limit. Call it right before each wait, and again after
/// queuing output, opening a connection, setting its flags or adding a timer outside mg_mgr_poll. Functions that are safe in
/// other threads and signal handlers make the descriptor readable instead.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_timeout_ms(mgr: *mut mg_mgr) -> c_int {
    // SAFETY: a manager or NULL, as the caller promises.
    let limit = unsafe { Engine::enter_mgr(mgr) }.and_then(|e| guest::timeout(&e));
    limit.map_or(-1, |ms| ms.try_into().unwrap_or(c_int::MAX))
}

/// Makes signal `signo` start the drain of a manager, as mgx_mgr_drain with `opts` does; NULL means all defaults. The options are
/// copied. Managers may share a signal, and a manager may use several. Freeing the last manager of a signal restores the
/// application's previous signal handler. Returns false if the signal cannot be caught or 64 registrations exist.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_drain_on_signal(mgr: *mut mg_mgr, signo: c_int, opts: *const mgx_mgr_drain_opts) -> bool {
    // SAFETY: a manager and options or NULL, as the caller promises.
    unsafe { Engine::enter_mgr(mgr).is_some_and(|e| on_signal::add(&e, signo, opts.as_ref())) }
}

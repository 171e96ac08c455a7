//! HTTP connections and replies.

use crate::abi::*;
use crate::ffi_util::bytes;
use crate::handler::{http, reply};
use crate::net::conn::{self, Client};
use crate::net::connect;
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use crate::net::output;
use crate::proto::creds;
use crate::sys::log::log_error;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// Opens a listener as mg_listen does, for HTTP: connections it accepts get MG_EV_HTTP_HDRS when the head of a request has
/// arrived and MG_EV_HTTP_MSG when the request is complete, both with a `struct mg_http_message *`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_listen(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    // SAFETY: a manager and a C string, as the caller promises.
    unsafe {
        let Some(e) = Engine::enter_mgr(mgr) else { return ptr::null_mut() };
        conn::listen(&e, url, r#fn, fn_data).inspect(|c| http::install(*c)).map_or(ptr::null_mut(), ConnRef::as_ptr)
    }
}

/// Opens a client connection as mg_connect does, for HTTP: responses arrive as MG_EV_HTTP_MSG. Nothing is sent by itself; write
/// the request on MG_EV_CONNECT or right after this call. When the URL has a user (`http://user:pass@host/`), requests whose
/// whole head is queued when it leaves, and that have no Authorization header, get one with these credentials.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_connect(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    let client = Client { url, handler: r#fn, handler_data: fn_data, pfn: Some(http::handler), pfn_data: ptr::null_mut() };
    // SAFETY: a manager and a C string or NULL, as the caller promises.
    unsafe {
        let Some(e) = Engine::enter_mgr(mgr) else { return ptr::null_mut() };
        http::introduce(Some(&e));
        let credentials = creds::authorization(bytes::cstr(url)).map(Vec::into_boxed_slice);
        let c = connect::connect(&e, client);
        if let Some(rec) = c.and_then(ConnRef::rec) {
            rec.http.authorization.set(credentials);
        }
        c.map_or(ptr::null_mut(), ConnRef::as_ptr)
    }
}

/// The body of mg_http_reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgc_http_reply(
    c: *mut mg_connection,
    code: c_int,
    headers: *const c_char,
    fmt: *const c_char,
    ap: *mut va_list,
) {
    // SAFETY: a connection, C strings and arguments that fit the format, as the caller promises.
    unsafe {
        let c = ConnRef::new(c);
        // Out of memory, a handler of MG_EV_ERROR may close the connection while the reply is being written.
        enter!(c);
        reply::reply(c, code, bytes::cstr(headers), fmt, ap);
    }
}

/// The body of mg_http_printf_chunk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgc_http_printf_chunk(c: *mut mg_connection, fmt: *const c_char, ap: *mut va_list) {
    enter!(@raw c);
    // SAFETY: as above.
    unsafe { reply::printf_chunk(ConnRef::new(c), fmt, ap) }
}

/// Queues one chunk of a message whose head, with `Transfer-Encoding: chunked`, the caller has sent. `len` 0 sends the last
/// chunk, which completes the answer. To a HEAD request nothing is queued. Raises MG_EV_ERROR `OOM` when out of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_write_chunk(c: *mut mg_connection, buf: *const c_char, len: usize) {
    enter!(@raw c);
    // SAFETY: a connection and len bytes, as the caller promises.
    unsafe { reply::write_chunk(ConnRef::new(c), bytes::slice(buf.cast(), len)) }
}

/// Queues the line `Authorization: Basic ...` for these credentials, while a request head is being composed. `user` NULL is
/// empty; with `pass` NULL or empty the colon is left out. When out of memory nothing is queued and the failure is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_bauth(c: *mut mg_connection, user: *const c_char, pass: *const c_char) {
    enter!(@raw c);
    // SAFETY: a connection and C strings or NULL, as the caller promises.
    let (c, user, pass) = unsafe { (ConnRef::new(c), bytes::cstr(user), bytes::cstr(pass)) };
    let plain = if pass.is_empty() { user.to_vec() } else { [user, b":", pass].concat() };
    let mut code = vec![0; plain.len().div_ceil(3) * 4];
    // The buffer has exactly the size that padded base64 takes.
    let _ = STANDARD.encode_slice(plain, &mut code);
    if !output::append_parts(c, &[b"Authorization: Basic ", &code, b"\r\n"]) {
        log_error!("{} OOM", c.id());
    }
}

//! HTTP connections and replies.

use crate::abi::*;
use crate::ffi_util::bytes;
use crate::handler::{http, reply};
use crate::memory::prelude::*;
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

/// Opens an HTTP listener; see mg_listen for URLs. Its connections get MG_EV_HTTP_HDRS when the head of a request has arrived and
/// MG_EV_HTTP_MSG when the request is complete, both with a `struct mg_http_message *`. Returns NULL on failure.
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

/// Opens an HTTP client connection; see mg_connect. Responses arrive as MG_EV_HTTP_MSG. The application sends the request, in
/// MG_EV_CONNECT or right after this call. Credentials in the URL (`http://user:pass@host/`) are added as an Authorization header
/// to requests that have none, provided that their whole head is queued when they are sent. Returns NULL on failure.
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

/// Implementation of mg_http_reply.
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

/// Implementation of mg_http_printf_chunk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgc_http_printf_chunk(c: *mut mg_connection, fmt: *const c_char, ap: *mut va_list) {
    enter!(@raw c);
    // SAFETY: as above.
    unsafe { reply::printf_chunk(ConnRef::new(c), fmt, ap) }
}

/// Queues `len` bytes as a chunk of a message. The caller has already sent the head, with `Transfer-Encoding: chunked`. `len` 0
/// sends the last chunk, which completes the response. Queues nothing in response to a HEAD request. Raises MG_EV_ERROR `OOM` if
/// out of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_write_chunk(c: *mut mg_connection, buf: *const c_char, len: usize) {
    enter!(@raw c);
    // SAFETY: a connection and len bytes, as the caller promises.
    unsafe { reply::write_chunk(ConnRef::new(c), bytes::slice(buf.cast(), len)) }
}

/// Queues an `Authorization: Basic ...` header line. Call it while composing the head of a request. `user` NULL means empty; the
/// colon is omitted if `pass` is NULL or empty. If out of memory, logs an error and queues nothing.
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

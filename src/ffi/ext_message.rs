//! Extension API: accessors for `ev_data` and connections, for languages without structs, bit fields or macros.

use crate::abi::*;
use crate::ffi_util::bytes;
#[cfg(feature = "http")]
use crate::ffi_util::http_message;
use crate::net::handle::ConnRef;
use crate::proto::http;
use core::ffi::{c_char, c_int};
use core::ptr;

/// Stores the length of a view in `*len`, unless that is NULL, and returns its start.
///
/// # Safety
/// `len` is NULL or the caller's.
unsafe fn view(s: Option<mg_str>, len: *mut usize) -> *const c_char {
    let s = s.filter(|s| !s.buf.is_null()).unwrap_or(mg_str::NULL);
    if !len.is_null() {
        // SAFETY: guaranteed by the caller.
        unsafe { *len = s.len };
    }
    s.buf
}

/// Request: the method. Not NUL-terminated: its length is stored in `*len`, which may be NULL. Valid during the handler's call,
/// like the results of the functions below. NULL and 0 for NULL.
#[cfg(feature = "http")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_method(hm: *const mg_http_message, len: *mut usize) -> *const c_char {
    // SAFETY: a message or NULL, and room for a length or NULL, as the caller promises.
    unsafe { view(hm.as_ref().map(|hm| hm.method), len) }
}

/// Request: the path, still percent-encoded, without the query. Response: the status code; see mgx_http_status.
#[cfg(feature = "http")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_uri(hm: *const mg_http_message, len: *mut usize) -> *const c_char {
    // SAFETY: as in mgx_http_method.
    unsafe { view(hm.as_ref().map(|hm| hm.uri), len) }
}

/// The part of the URI after the first `?`; NULL if there is none.
#[cfg(feature = "http")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_query(hm: *const mg_http_message, len: *mut usize) -> *const c_char {
    // SAFETY: as in mgx_http_method.
    unsafe { view(hm.as_ref().map(|hm| hm.query), len) }
}

/// Request: the protocol version. Response: the reason phrase.
#[cfg(feature = "http")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_proto(hm: *const mg_http_message, len: *mut usize) -> *const c_char {
    // SAFETY: as in mgx_http_method.
    unsafe { view(hm.as_ref().map(|hm| hm.proto), len) }
}

/// The body. In MG_EV_HTTP_HDRS `*len` is the announced length, of which the part in mgx_conn_recv has arrived.
#[cfg(feature = "http")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_body(hm: *const mg_http_message, len: *mut usize) -> *const c_char {
    // SAFETY: as in mgx_http_method.
    unsafe { view(hm.as_ref().map(|hm| hm.body), len) }
}

/// The value of the first header called `name`, ignoring case; NULL if there is none, not NULL if it is empty.
#[cfg(feature = "http")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_header(hm: *const mg_http_message, name: *const c_char, len: *mut usize) -> *const c_char {
    // SAFETY: as in mgx_http_method; name is a C string or NULL.
    unsafe { view(hm.as_ref().and_then(|hm| hm.header_index(bytes::cstr(name)).map(|i| hm.headers()[i].value)), len) }
}

/// Stores the name and the value of header number `index`, counted from 0, in `*name` and `*value`, each of which may be NULL.
/// False if there are fewer headers.
#[cfg(feature = "http")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_header_at(
    hm: *const mg_http_message,
    index: usize,
    name: *mut *const c_char,
    name_len: *mut usize,
    value: *mut *const c_char,
    value_len: *mut usize,
) -> bool {
    // SAFETY: a message and room for pointers and lengths, or NULL, as the caller promises.
    unsafe {
        let header = hm.as_ref().and_then(|hm| hm.headers().get(index)).filter(|h| h.name.len > 0);
        for (to, len, part) in [(name, name_len, header.map(|h| h.name)), (value, value_len, header.map(|h| h.value))] {
            let text = view(part, len);
            if !to.is_null() {
                *to = text;
            }
        }
        header.is_some()
    }
}

/// mg_http_parse calls it in applications that define MG_MAX_HTTP_HEADERS: `max_headers` is its value. May be called from any thread.
#[cfg(feature = "http")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_parse(s: *const c_char, len: usize, hm: *mut mg_http_message, max_headers: usize) -> c_int {
    // SAFETY: s covers len bytes, hm is the caller's struct, with room for so many headers.
    unsafe { http_message::parse(s.cast(), len, max_headers, hm) }
}

/// Response: the status code; 0 if there is none.
#[cfg(feature = "http")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_status(hm: *const mg_http_message) -> c_int {
    // SAFETY: a message or NULL, as the caller promises.
    unsafe { hm.as_ref().map_or(0, |hm| http::status(hm.uri.bytes())) }
}

/// The payload of a WebSocket message or control frame.
#[cfg(feature = "ws")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_ws_data(wm: *const mg_ws_message, len: *mut usize) -> *const c_char {
    // SAFETY: a message or NULL, and room for a length or NULL, as the caller promises.
    unsafe { view(wm.as_ref().map(|wm| wm.data), len) }
}

/// The first byte of the frame; its low four bits are a WEBSOCKET_OP_* value.
#[cfg(feature = "ws")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_ws_flags(wm: *const mg_ws_message) -> c_int {
    // SAFETY: a message or NULL, as the caller promises.
    unsafe { wm.as_ref() }.map_or(0, |wm| wm.flags.into())
}

/// The topic of a published message.
#[cfg(feature = "mqtt")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mqtt_topic(mm: *const mg_mqtt_message, len: *mut usize) -> *const c_char {
    // SAFETY: a message or NULL, and room for a length or NULL, as the caller promises.
    unsafe { view(mm.as_ref().map(|mm| mm.topic), len) }
}

/// The payload of a published message.
#[cfg(feature = "mqtt")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mqtt_payload(mm: *const mg_mqtt_message, len: *mut usize) -> *const c_char {
    // SAFETY: as in mgx_mqtt_topic.
    unsafe { view(mm.as_ref().map(|mm| mm.data), len) }
}

/// The quality of service of a published message.
#[cfg(feature = "mqtt")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mqtt_qos(mm: *const mg_mqtt_message) -> c_int {
    // SAFETY: a message or NULL, as the caller promises.
    unsafe { mm.as_ref() }.map_or(0, |mm| mm.qos.into())
}

/// Packet id; 0 if the packet has none.
#[cfg(feature = "mqtt")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mqtt_id(mm: *const mg_mqtt_message) -> c_int {
    // SAFETY: as in mgx_mqtt_qos.
    unsafe { mm.as_ref() }.map_or(0, |mm| mm.id.into())
}

/// MQTT_CMD_* value, for MG_EV_MQTT_CMD.
#[cfg(feature = "mqtt")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mqtt_cmd(mm: *const mg_mqtt_message) -> c_int {
    // SAFETY: as in mgx_mqtt_qos.
    unsafe { mm.as_ref() }.map_or(0, |mm| mm.cmd.into())
}

/// Returns the data of a `struct mg_str`, for example the `ev_data` of MG_EV_WAKEUP. Not NUL-terminated: its length is stored in
/// `*len`, which may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_str_data(s: *const mg_str, len: *mut usize) -> *const c_char {
    // SAFETY: a string or NULL, and room for a length or NULL, as the caller promises.
    unsafe { view(s.as_ref().copied(), len) }
}

/// Returns the received data that has not been consumed. Not NUL-terminated: its length is stored in `*len`, which may be NULL.
/// Valid until the next call into the library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_recv(c: *const mg_connection, len: *mut usize) -> *const c_char {
    // SAFETY: a connection or NULL, and room for a length or NULL, as the caller promises.
    unsafe { view(c.as_ref().map(|c| mg_str { buf: c.recv.buf.cast(), len: c.recv.len }), len) }
}

/// Removes up to `n` bytes from the start of the received data. Returns the number removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_consume(c: *mut mg_connection, n: usize) -> usize {
    if c.is_null() {
        return 0;
    }
    // SAFETY: a connection, as the caller promises.
    unsafe { crate::ffi_util::iobuf::del(&raw mut (*c).recv, 0, n) }
}

/// Returns `c->data`: MG_DATA_SIZE bytes for the application, initially zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_data(c: *mut mg_connection) -> *mut core::ffi::c_void {
    // SAFETY: a connection or NULL, as the caller promises.
    if c.is_null() { ptr::null_mut() } else { unsafe { ConnRef::new(c) }.data().cast() }
}

/// Returns the manager of a connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_mgr(c: *const mg_connection) -> *mut mg_mgr {
    // SAFETY: a connection or NULL, as the caller promises.
    unsafe { c.as_ref() }.map_or(ptr::null_mut(), |c| c.mgr)
}

/// Returns the next older connection in the list that starts with mgx_mgr_first; NULL at the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_next(c: *const mg_connection) -> *mut mg_connection {
    // SAFETY: a connection or NULL, as the caller promises.
    unsafe { c.as_ref() }.map_or(ptr::null_mut(), |c| c.next)
}

/// Returns the newest connection of a manager; NULL if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_first(mgr: *const mg_mgr) -> *mut mg_connection {
    // SAFETY: a manager or NULL, as the caller promises.
    unsafe { mgr.as_ref() }.map_or(ptr::null_mut(), |mgr| mgr.conns)
}

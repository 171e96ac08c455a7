//! The library as a C program sees it.

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
pub(crate) use mongoose::abi::*;

unsafe extern "C" {
    pub(crate) fn mg_mgr_init(mgr: *mut mg_mgr);
    pub(crate) fn mg_mgr_poll(mgr: *mut mg_mgr, ms: c_int);
    pub(crate) fn mg_mgr_free(mgr: *mut mg_mgr);
    pub(crate) fn mg_http_listen(
        mgr: *mut mg_mgr,
        url: *const c_char,
        f: mg_event_handler_t,
        data: *mut c_void,
    ) -> *mut mg_connection;
    pub(crate) fn mg_timer_add(
        mgr: *mut mg_mgr,
        ms: u64,
        flags: c_uint,
        f: Option<unsafe extern "C" fn(*mut c_void)>,
        arg: *mut c_void,
    ) -> *mut mg_timer;
    pub(crate) fn mg_mqtt_listen(
        mgr: *mut mg_mgr,
        url: *const c_char,
        f: mg_event_handler_t,
        data: *mut c_void,
    ) -> *mut mg_connection;
    pub(crate) fn mg_http_connect(
        mgr: *mut mg_mgr,
        url: *const c_char,
        f: mg_event_handler_t,
        data: *mut c_void,
    ) -> *mut mg_connection;
    pub(crate) fn mgx_ws_connect(
        mgr: *mut mg_mgr,
        url: *const c_char,
        f: mg_event_handler_t,
        data: *mut c_void,
        headers: *const c_char,
    ) -> *mut mg_connection;
    pub(crate) fn mg_mqtt_connect(
        mgr: *mut mg_mgr,
        url: *const c_char,
        opts: *const mg_mqtt_opts,
        f: mg_event_handler_t,
        data: *mut c_void,
    ) -> *mut mg_connection;
    pub(crate) fn mgx_ws_upgrade(c: *mut mg_connection, hm: *mut mg_http_message, headers: *const c_char);
    pub(crate) fn mg_ws_send(c: *mut mg_connection, buf: *const c_void, len: usize, op: c_int) -> usize;
    pub(crate) fn mgx_ws_close(c: *mut mg_connection, code: c_int, reason: *const c_char);
    pub(crate) fn mg_mqtt_pub(c: *mut mg_connection, opts: *const mg_mqtt_opts) -> u16;
    pub(crate) fn mg_mqtt_sub(c: *mut mg_connection, opts: *const mg_mqtt_opts);
    pub(crate) fn mg_mqtt_pong(c: *mut mg_connection);
    pub(crate) fn mg_mqtt_disconnect(c: *mut mg_connection, opts: *const mg_mqtt_opts);
    pub(crate) fn mg_mqtt_send_header(c: *mut mg_connection, cmd: u8, flags: u8, len: u32);
    pub(crate) fn mg_tls_init(c: *mut mg_connection, opts: *const mg_tls_opts);
    pub(crate) fn mg_wakeup_init(mgr: *mut mg_mgr) -> bool;
    pub(crate) fn mg_wakeup(mgr: *mut mg_mgr, id: c_ulong, buf: *const c_void, len: usize) -> bool;
    pub(crate) fn mg_call(c: *mut mg_connection, ev: c_int, data: *mut c_void);
    pub(crate) fn mg_http_serve_file(
        c: *mut mg_connection,
        hm: *mut mg_http_message,
        path: *const c_char,
        opts: *const mg_http_serve_opts,
    );
    pub(crate) fn mg_http_start_upload(
        c: *mut mg_connection,
        hm: *mut mg_http_message,
        name: mg_str,
        dir: mg_str,
        fs: *mut mg_fs,
        f: Option<unsafe extern "C" fn(*mut mg_connection, *const c_char)>,
    );
    pub(crate) fn mg_send(c: *mut mg_connection, buf: *const c_void, len: usize) -> bool;
    pub(crate) fn mgx_http_reply(c: *mut mg_connection, status: c_int, headers: *const c_char, body: *const c_void, len: usize);
    pub(crate) fn mgx_http_begin(c: *mut mg_connection, status: c_int, headers: *const c_char);
    pub(crate) fn mgx_http_chunk(c: *mut mg_connection, buf: *const c_void, len: usize);
    pub(crate) fn mgx_conn_drain(c: *mut mg_connection, opts: *const mgx_drain_opts) -> bool;
    pub(crate) fn mgx_conn_abort(c: *mut mg_connection);
    pub(crate) fn mgx_conn_poll_events(c: *mut mg_connection, on: bool);
    pub(crate) fn mgx_close_reason(c: *const mg_connection) -> mgx_reason;
    pub(crate) fn mgx_mgr_drain(mgr: *mut mg_mgr, opts: *const mgx_mgr_drain_opts) -> bool;
    pub(crate) fn mgx_mgr_drain_cancel(mgr: *mut mg_mgr) -> bool;
    pub(crate) fn mgx_mgr_drain_status(mgr: *const mg_mgr, status: *mut mgx_drain_status);
    pub(crate) fn mgx_mgr_phase(mgr: *const mg_mgr) -> mgx_mgr_phase;
    pub(crate) fn mgx_mgr_limits(mgr: *mut mg_mgr, limits: *const mgx_limits);
    pub(crate) fn mgx_mgr_stats(mgr: *const mg_mgr, stats: *mut mgx_stats);
    #[cfg_attr(feature = "sim", allow(dead_code))]
    pub(crate) fn mgx_mgr_timeout_ms(mgr: *mut mg_mgr) -> c_int;
    pub(crate) fn mgx_log_set(level: c_int);
    pub(crate) fn mg_millis() -> u64;
}

pub(crate) type Id = c_ulong;

/// What `s` points at.
pub(crate) unsafe fn bytes(s: &mg_str) -> &[u8] {
    if s.len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(s.buf.cast(), s.len) } }
}

pub(crate) fn text(s: &[u8]) -> mg_str {
    mg_str { buf: s.as_ptr().cast_mut().cast(), len: s.len() }
}

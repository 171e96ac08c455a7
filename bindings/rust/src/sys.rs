//! The functions of the C API that this crate calls. The types are the engine's, so that layouts cannot disagree.

use engine::abi::*;
use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

pub(crate) use engine::abi::{mg_connection, mg_http_message, mg_mgr, mg_mqtt_message, mg_timer, mg_ws_message};

// The engine is a dependency, so these are linked; a symbol that it lacks is an error of the linker.
unsafe extern "C" {
    pub(crate) fn mgx_mgr_new() -> *mut mg_mgr;
    pub(crate) fn mgx_mgr_delete(mgr: *mut mg_mgr);
    pub(crate) fn mgx_mgr_ok(mgr: *const mg_mgr) -> bool;
    pub(crate) fn mg_mgr_poll(mgr: *mut mg_mgr, ms: c_int);
    pub(crate) fn mgx_mgr_phase(mgr: *const mg_mgr) -> mgx_mgr_phase;
    pub(crate) fn mgx_mgr_drain_init(mgr: *mut mg_mgr) -> bool;
    pub(crate) fn mgx_mgr_drain(mgr: *mut mg_mgr, opts: *const mgx_mgr_drain_opts) -> bool;
    pub(crate) fn mgx_mgr_drain_on_signal(mgr: *mut mg_mgr, signo: c_int, opts: *const mgx_mgr_drain_opts) -> bool;
    pub(crate) fn mgx_mgr_drain_status(mgr: *const mg_mgr, status: *mut mgx_drain_status);
    pub(crate) fn mgx_mgr_limits(mgr: *mut mg_mgr, limits: *const mgx_limits);
    pub(crate) fn mgx_mgr_stats(mgr: *const mg_mgr, stats: *mut mgx_stats);
    pub(crate) fn mgx_mgr_fd(mgr: *const mg_mgr) -> c_int;
    pub(crate) fn mgx_mgr_timeout_ms(mgr: *mut mg_mgr) -> c_int;
    pub(crate) fn mgx_limits_public() -> *const mgx_limits;
    pub(crate) fn mgx_wakeup_mgr(mgr: *mut mg_mgr) -> bool;
    pub(crate) fn mgx_send_to(mgr: *mut mg_mgr, id: c_ulong, buf: *const c_void, len: usize) -> bool;
    pub(crate) fn mgx_send_ws_to(mgr: *mut mg_mgr, id: c_ulong, op: c_int, buf: *const c_void, len: usize) -> bool;
    pub(crate) fn mgx_log_set(level: c_int);

    pub(crate) fn mg_listen(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void)
    -> *mut mg_connection;
    pub(crate) fn mg_connect(
        mgr: *mut mg_mgr,
        url: *const c_char,
        f: mg_event_handler_t,
        data: *mut c_void,
    ) -> *mut mg_connection;
    pub(crate) fn mg_http_listen(
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
    pub(crate) fn mg_timer_add(
        mgr: *mut mg_mgr,
        ms: u64,
        flags: c_uint,
        f: Option<unsafe extern "C" fn(*mut c_void)>,
        arg: *mut c_void,
    ) -> *mut mg_timer;
    pub(crate) fn mgx_timer_cancel(mgr: *mut mg_mgr, timer: *mut mg_timer);

    pub(crate) fn mgx_conn_id(c: *const mg_connection) -> c_ulong;
    pub(crate) fn mgx_conn_user_data(c: *const mg_connection) -> *mut c_void;
    pub(crate) fn mgx_conn_flag(c: *const mg_connection, flag: mgx_flag) -> bool;
    pub(crate) fn mgx_conn_set_flag(c: *mut mg_connection, flag: mgx_flag, on: bool) -> bool;
    pub(crate) fn mgx_conn_recv(c: *const mg_connection, len: *mut usize) -> *const c_char;
    pub(crate) fn mgx_conn_consume(c: *mut mg_connection, n: usize) -> usize;
    pub(crate) fn mgx_conn_send_queue(c: *const mg_connection) -> usize;
    pub(crate) fn mgx_conn_local(c: *const mg_connection, buf: *mut c_char, len: usize) -> usize;
    pub(crate) fn mgx_conn_remote(c: *const mg_connection, buf: *mut c_char, len: usize) -> usize;
    pub(crate) fn mgx_conn_drain(c: *mut mg_connection, opts: *const mgx_drain_opts) -> bool;
    pub(crate) fn mgx_conn_close(c: *mut mg_connection);
    pub(crate) fn mgx_conn_abort(c: *mut mg_connection);
    pub(crate) fn mgx_close_reason(c: *const mg_connection) -> mgx_reason;
    pub(crate) fn mgx_close_unsent(c: *const mg_connection) -> usize;
    pub(crate) fn mgx_send(c: *mut mg_connection, buf: *const c_void, len: usize) -> bool;
    pub(crate) fn mg_tls_init(c: *mut mg_connection, opts: *const mg_tls_opts);

    pub(crate) fn mgx_http_reply(c: *mut mg_connection, status: c_int, headers: *const c_char, body: *const c_void, len: usize);
    pub(crate) fn mgx_http_begin(c: *mut mg_connection, status: c_int, headers: *const c_char);
    pub(crate) fn mgx_http_chunk(c: *mut mg_connection, buf: *const c_void, len: usize);
    pub(crate) fn mg_http_serve_dir(c: *mut mg_connection, hm: *mut mg_http_message, opts: *const mg_http_serve_opts);
    pub(crate) fn mgx_http_method(hm: *const mg_http_message, len: *mut usize) -> *const c_char;
    pub(crate) fn mgx_http_uri(hm: *const mg_http_message, len: *mut usize) -> *const c_char;
    pub(crate) fn mgx_http_query(hm: *const mg_http_message, len: *mut usize) -> *const c_char;
    pub(crate) fn mgx_http_proto(hm: *const mg_http_message, len: *mut usize) -> *const c_char;
    pub(crate) fn mgx_http_body(hm: *const mg_http_message, len: *mut usize) -> *const c_char;
    pub(crate) fn mgx_http_status(hm: *const mg_http_message) -> c_int;
    pub(crate) fn mgx_http_header_at(
        hm: *const mg_http_message,
        index: usize,
        name: *mut *const c_char,
        name_len: *mut usize,
        value: *mut *const c_char,
        value_len: *mut usize,
    ) -> bool;

    pub(crate) fn mgx_ws_upgrade(c: *mut mg_connection, hm: *mut mg_http_message, headers: *const c_char);
    pub(crate) fn mgx_ws_send(c: *mut mg_connection, op: c_int, buf: *const c_void, len: usize) -> usize;
    pub(crate) fn mgx_ws_close(c: *mut mg_connection, code: c_int, reason: *const c_char);
    pub(crate) fn mgx_ws_data(wm: *const mg_ws_message, len: *mut usize) -> *const c_char;
    pub(crate) fn mgx_ws_flags(wm: *const mg_ws_message) -> c_int;

    pub(crate) fn mg_mqtt_sub(c: *mut mg_connection, opts: *const mg_mqtt_opts);
    pub(crate) fn mg_mqtt_pub(c: *mut mg_connection, opts: *const mg_mqtt_opts) -> u16;
    pub(crate) fn mg_mqtt_disconnect(c: *mut mg_connection, opts: *const mg_mqtt_opts);
    pub(crate) fn mgx_mqtt_topic(mm: *const mg_mqtt_message, len: *mut usize) -> *const c_char;
    pub(crate) fn mgx_mqtt_payload(mm: *const mg_mqtt_message, len: *mut usize) -> *const c_char;
    pub(crate) fn mgx_mqtt_qos(mm: *const mg_mqtt_message) -> c_int;
}

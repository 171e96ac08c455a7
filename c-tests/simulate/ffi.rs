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
    pub(crate) fn mgx_mgr_timeout_ms(mgr: *mut mg_mgr) -> c_int;
    pub(crate) fn mgx_log_set(level: c_int);
    pub(crate) fn mg_millis() -> u64;
}

pub(crate) type Id = c_ulong;

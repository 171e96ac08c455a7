//! Graceful draining: of one connection, and of a whole manager in phases.

use crate::abi::*;
use crate::handler::drain;
use crate::net::engine::{Engine, Reason};
use crate::net::handle::ConnRef;
use crate::net::shutdown::DrainConfig;
use crate::net::tls::table as tls;
use crate::net::{mgr, stream};
use crate::platform::sock;
use crate::sys::log::log_error;
use core::ffi::c_int;

/// All-zero options: every default.
fn defaults() -> mgx_drain_opts {
    // SAFETY: numbers and a pointer, for which zero is NULL.
    unsafe { core::mem::zeroed() }
}

/// Closes a connection gracefully: completes the request in progress with a `Connection: close` response, gives an idle
/// keep-alive connection `idle_grace_ms` to send one last request, or sends a WebSocket Close frame after the queued frames. Sets
/// `is_draining` when done. `opts` NULL means all defaults; the options are copied. Returns false for listeners and UDP sockets,
/// which it closes, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_drain(c: *mut mg_connection, opts: *const mgx_drain_opts) -> bool {
    if c.is_null() {
        return false;
    }
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe {
        let c = ConnRef::new(c);
        enter!(c, false);
        let opts = opts.as_ref().copied().unwrap_or_else(defaults);
        c.engine().is_some_and(|e| drain::drain_conn(e, c, &DrainConfig::new(&opts)))
    }
}

/// Closes a connection in the next poll, discarding queued output. Equivalent to `c->is_closing = 1`. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_close(c: *mut mg_connection) {
    if !c.is_null() {
        // SAFETY: a connection, as the caller promises.
        close_soon(unsafe { ConnRef::new(c) });
    }
}

/// Resets a connection in the next poll (TCP RST), so that the kernel keeps no state of it. For abusive peers. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_abort(c: *mut mg_connection) {
    if !c.is_null() {
        // SAFETY: a connection, as the caller promises.
        let c = unsafe { ConnRef::new(c) };
        enter!(c);
        if let Some(rec) = c.rec().filter(|rec| rec.own.get() && rec.fd.get() >= 0) {
            sock::set_abort(rec.fd.get());
            tls::suppress_close_notify(rec);
        }
        close_soon(c);
    }
}

fn close_soon(c: ConnRef) {
    enter!(c);
    c.update(|f| f.set_closing(true));
    if let (Some(e), Some(rec)) = (c.engine(), c.rec()) {
        e.wake(c, rec);
    }
}

/// Returns the shutdown phase of a connection. MGX_CLOSED for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_conn_phase(c: *const mg_connection) -> mgx_phase {
    if c.is_null() {
        return mgx_phase::MGX_CLOSED;
    }
    // SAFETY: a connection, as the caller promises.
    drain::phase(unsafe { ConnRef::new(c.cast_mut()) })
}

/// Returns the errno of the system call that failed, such as ECONNREFUSED. 0 if no system call failed, and for NULL. Valid in
/// MG_EV_ERROR and MG_EV_CLOSE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_close_errno(c: *const mg_connection) -> c_int {
    if c.is_null() {
        return 0;
    }
    // SAFETY: a connection, as the caller promises.
    unsafe { ConnRef::new(c.cast_mut()) }.rec().map_or(0, |rec| rec.errno.get())
}

/// Returns why the connection closed. Valid in MG_EV_CLOSE. MGX_REASON_NONE for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_close_reason(c: *const mg_connection) -> mgx_reason {
    use mgx_reason::*;
    if c.is_null() {
        return MGX_REASON_NONE;
    }
    // SAFETY: a connection, as the caller promises.
    let rec = unsafe { ConnRef::new(c.cast_mut()) }.rec();
    match rec.map_or(Reason::None, |rec| rec.reason.get()) {
        Reason::None => MGX_REASON_NONE,
        Reason::Drained => MGX_REASON_DRAINED,
        Reason::PeerClosed => MGX_REASON_PEER_CLOSED,
        Reason::Reset => MGX_REASON_RESET,
        Reason::ClosedByUser => MGX_REASON_CLOSED_BY_USER,
        Reason::FlushTimeout => MGX_REASON_FLUSH_TIMEOUT,
        Reason::ResponseTimeout => MGX_REASON_RESPONSE_TIMEOUT,
        Reason::Forced => MGX_REASON_FORCED,
        Reason::IdleTimeout => MGX_REASON_IDLE_TIMEOUT,
        Reason::HeaderTimeout => MGX_REASON_HEADER_TIMEOUT,
        Reason::BodyTimeout => MGX_REASON_BODY_TIMEOUT,
        Reason::Limit => MGX_REASON_LIMIT,
        Reason::Error => MGX_REASON_ERROR,
    }
}

/// Returns the number of bytes that were never passed to the kernel, including the rest of a file being served. Valid in
/// MG_EV_CLOSE. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_close_unsent(c: *const mg_connection) -> usize {
    // SAFETY: a connection or NULL, as the caller promises.
    if c.is_null() { 0 } else { stream::unsent(unsafe { ConnRef::new(c.cast_mut()) }) }
}

/// Prepares a manager for mgx_mgr_drain calls from other threads and signal handlers. Call it once before the first of them.
/// Returns false if the manager is not initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_drain_init(mgr: *mut mg_mgr) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    unsafe { Engine::of(mgr) }.is_some()
}

/// Starts the graceful shutdown of a manager. mg_mgr_poll carries it out in phases: lame duck, idle grace, finishing, and forced
/// close at the deadline. `opts` NULL means all defaults; the options are copied. A second call can only shorten the deadline.
/// After mgx_mgr_drain_init it may be called from any thread and from a signal handler. Returns false if the manager is not
/// initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_drain(mgr: *mut mg_mgr, opts: *const mgx_mgr_drain_opts) -> bool {
    if mgr.is_null() {
        return false;
    }
    // SAFETY: a manager and options or NULL, as the caller promises; other threads touch nothing but the request and the waker.
    unsafe {
        let engine: *mut Engine = (*mgr).tls_ctx.cast();
        if engine.is_null() {
            return false;
        }
        let opts = opts.as_ref().copied().unwrap_or_else(|| core::mem::zeroed());
        (*engine).shutdown.request.post(&opts);
        (*engine).waker.wake()
    }
}

/// Cancels the drain of a manager while its listeners are still open, that is in the lame duck phase. Returns false if no drain
/// has begun or the listeners are closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_drain_cancel(mgr: *mut mg_mgr) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    unsafe { Engine::enter_mgr(mgr) }.is_some_and(|e| drain::cancel(&e))
}

/// Returns the shutdown phase of a manager. MGX_MGR_DONE if the manager is not initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_phase(mgr: *const mg_mgr) -> mgx_mgr_phase {
    // SAFETY: a manager or NULL, as the caller promises.
    unsafe { Engine::of(mgr.cast_mut()) }.map_or(mgx_mgr_phase::MGX_MGR_DONE, |e| e.shutdown.phase.get())
}

/// Returns true until a drain of the manager begins. For the health check of a load balancer. False if the manager is not
/// initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_is_ready(mgr: *const mg_mgr) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    unsafe { Engine::of(mgr.cast_mut()) }.is_some_and(|e| !e.shutdown.is_asked())
}

/// Polls the manager until the drain is done or its deadline passes. Starts a drain with default options if none has begun.
/// Returns true if no connection had to be closed by force.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_drain_wait(mgr: *mut mg_mgr) -> bool {
    // SAFETY: a manager or NULL, as the caller promises.
    let Some(e) = (unsafe { Engine::enter_mgr(mgr) }) else { return false };
    if !e.shutdown.is_asked() {
        // SAFETY: as above.
        unsafe { mgx_mgr_drain(mgr, core::ptr::null()) };
    }
    // SAFETY: the manager is alive as long as its engine is not dead.
    let is_done = || unsafe { mgx_mgr_phase(mgr) } == mgx_mgr_phase::MGX_MGR_DONE;
    while !e.is_dead() && !is_done() {
        // SAFETY: as above.
        unsafe { mgr::poll(mgr, 1000) };
        if e.callback_depth() == 1 {
            // The wait may be long: free the connections that close in the meantime.
            e.reap();
        }
    }
    !e.is_dead() && e.stats.forced.get() == e.shutdown.forced_before.get()
}

/// Stores the progress of the drain in `*status`. May be called before a drain begins.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_drain_status(mgr: *const mg_mgr, status: *mut mgx_drain_status) {
    // SAFETY: a manager and a status or NULL, as the caller promises.
    unsafe {
        if let Some(status) = status.as_mut() {
            *status = match Engine::enter_mgr(mgr.cast_mut()) {
                Some(e) => drain::status(&e),
                None => mgx_drain_status { phase: mgx_mgr_phase(mgr), ..core::mem::zeroed() },
            };
        }
    }
}

/// Tells the library what the application was compiled with: `sizeof(struct mg_connection)`, `offsetof(struct mg_connection, data)` and
/// MG_MAX_HTTP_HEADERS. mg_mgr_init calls it in applications that define MG_DATA_SIZE or MG_MAX_HTTP_HEADERS. Call it before anything
/// is opened. Ignored, with a log line, if the sizes are not those of this header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_sizes(mgr: *mut mg_mgr, conn_size: usize, data_offset: usize, max_http_headers: usize) {
    // SAFETY: a manager or NULL, as the caller promises.
    let Some(e) = (unsafe { Engine::of(mgr) }) else { return };
    match Sizes::new(conn_size, data_offset, max_http_headers) {
        // SAFETY: as above.
        Some(sizes) if unsafe { (*mgr).conns.is_null() } => e.sizes.set(sizes),
        _ => log_error!("mgx_mgr_sizes: not the sizes of an application, or too late"),
    }
}

/// Sets the 7.x version of the mg_* API that the application was written for, such as 713 for 7.13. mg_mgr_init calls it in
/// applications that define MGX_COMPAT_7. Below 714, handlers receive `c->fn_data` (protocol handlers: `c->pfn_data`) as a fourth
/// argument, and the MG_EV_HTTP_CHUNK of those versions precedes MG_EV_HTTP_MSG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_written_for(mgr: *mut mg_mgr, version: c_int) {
    // SAFETY: a manager or NULL, as the caller promises.
    if let Some(e) = unsafe { Engine::of(mgr) } {
        e.written_for.set(version);
    }
}

/// Marks the chunk as consumed. Call it in MG_EV_HTTP_CHUNK of versions before 7.14. The message then ends with an empty chunk
/// instead of MG_EV_HTTP_MSG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_http_delete_chunk(c: *mut mg_connection) {
    if c.is_null() {
        return;
    }
    // SAFETY: a connection, as the caller promises.
    let c = unsafe { ConnRef::new(c) };
    enter!(c);
    if let Some(rec) = c.rec() {
        rec.http.chunk_deleted.set(rec.dispatching.get());
    }
}

/// Restores the behaviour of the original library for applications that depend on it: a draining connection keeps reading, the
/// last reply carries no `Connection: close`, HTTP/1.0 connections stay open, and a poll walks the list of timers however long it
/// is. Half-close handling and lingering do not change.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_compat(mgr: *mut mg_mgr, on: bool) {
    // SAFETY: a manager or NULL, as the caller promises.
    if let Some(e) = unsafe { Engine::of(mgr) } {
        e.compat.set(on);
    }
}

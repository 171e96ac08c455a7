//! Graceful ends through the extension API: of one connection, and of a manager in phases. What `is_draining` itself means is
//! in `net::drain`; here is what comes before that bit is set.

use super::{http, ws};
use crate::abi::mgx_mgr_phase::*;
use crate::abi::*;
use crate::net::conn;
use crate::net::engine::{CloseAfter, Engine, Leave, Phase, Reason, Rec};
use crate::net::event::call;
use crate::net::handle::Conn;
use crate::net::mgr::list;
use crate::net::shutdown::{ConnTerms, ms};
use crate::net::sock;
use crate::sys::{random, time};
use core::ffi::c_int;

/// Gives the extension its part in polls, when it has something to do.
pub(crate) fn install(e: &Engine) {
    e.hook.set(Some(step));
}

/// Has the next poll do the extension's part.
fn wake(e: &Engine) {
    e.hook_at.set(0);
}

/// How long the answer to a Close frame is waited for, unless the program says.
const WS_CLOSE_MS: u64 = 2000;

/// Whether nothing is in progress on an accepted connection.
pub(crate) fn is_idle(c: Conn, rec: &Rec) -> bool {
    !c.flags().is_resp() && c.recv_len() == 0 && c.send_len() == 0 && rec.http.phase.get() == Phase::Head
}

fn is_http(c: Conn) -> bool {
    c.pfn().is_some_and(|f| core::ptr::fn_addr_eq(f, http::handler as unsafe extern "C" fn(_, _, _)))
}

fn start_draining(e: &Engine, c: Conn, rec: &Rec) {
    rec.leave.set(Leave::No);
    c.update(|f| f.set_draining(true));
    e.touch(rec);
}

/// Sends a Close frame after what is queued. The peer's answer starts the drain, or its absence does.
fn close_websocket(e: &Engine, c: Conn, rec: &Rec, code: u16, reason: &[u8], until: u64) {
    ws::send_close(c, code, reason);
    rec.leave.set(Leave::WebSocket(until));
    e.touch(rec);
}

/// See `mgx_conn_drain`.
pub(crate) fn drain_conn(e: &Engine, c: Conn, terms: &ConnTerms) -> bool {
    let flags = c.flags();
    if flags.is_listening() || flags.is_udp() {
        c.update(|f| f.set_draining(true));
        return false;
    }
    let Some(rec) = c.rec() else {
        c.update(|f| f.set_draining(true));
        return true;
    };
    rec.set_terms(Some(terms.terms));
    if flags.is_draining() || rec.leave.get() != Leave::No {
        return true;
    }
    wake(e);
    let now = time::millis();
    if flags.is_websocket() {
        close_websocket(e, c, rec, terms.ws_code, &terms.ws_reason, now.saturating_add(terms.ws_timeout_ms));
    } else if !flags.is_accepted() || !is_http(c) {
        start_draining(e, c, rec);
    } else if is_idle(c, rec) {
        rec.leave.set(Leave::Grace(now.saturating_add(terms.idle_grace_ms)));
    } else if flags.is_resp() || rec.http.phase.get() == Phase::Body || c.recv_len() > 0 {
        // The reply that is due says that it is the last.
        rec.http.close.set(CloseAfter::Asked);
        rec.leave.set(Leave::Finish(now));
    } else {
        start_draining(e, c, rec);
    }
    true
}

/// The extension's part of a poll.
fn step(e: &Engine) {
    let s = &e.shutdown;
    if s.request.is_waiting() {
        begin(e);
    }
    super::limits::step(e);
    let now = e.now.get();
    if s.phase.get() == MGX_MGR_LAME_DUCK && now >= s.phase_ends.get().min(s.deadline.get()) {
        close_listeners(e);
    }
    if e.is_dead() {
        return;
    }
    let mut next = u64::MAX;
    for c in list(e) {
        if let Some(rec) = c.rec().filter(|rec| rec.leave.get() != Leave::No && !c.flags().is_draining()) {
            next = next.min(leave(e, c, rec, now));
        }
    }
    if !s.is_running() {
        next = next.min(advance(e, now));
    }
    e.hook_at.set(next);
}

/// Looks at one connection that is to leave. Returns when to look again.
fn leave(e: &Engine, c: Conn, rec: &Rec, now: u64) -> u64 {
    match rec.leave.get() {
        Leave::No => u64::MAX,
        Leave::Grace(_) if !is_idle(c, rec) => {
            rec.http.close.set(CloseAfter::Asked);
            rec.leave.set(Leave::Finish(now));
            now.saturating_add(rec.terms().response_ms)
        }
        Leave::Grace(until) if now < until => until,
        Leave::Grace(_) => {
            // The last look: what arrived meanwhile is served.
            if rec.readable.get() || sock::has_input(rec.fd.get()) {
                rec.readable.set(true);
                e.hold(rec);
                rec.leave.set(Leave::Finish(now));
                return now;
            }
            start_draining(e, c, rec);
            u64::MAX
        }
        Leave::Finish(since) => {
            let last_move = since.max(rec.progress_at.get()).max(rec.read_at.get());
            let until = last_move.saturating_add(rec.terms().response_ms);
            if c.flags().is_websocket() {
                // The last request was an upgrade.
                close_websocket(e, c, rec, 1001, b"", now.saturating_add(WS_CLOSE_MS));
            } else if is_idle(c, rec) && !rec.readable.get() {
                start_draining(e, c, rec);
            } else if now >= until {
                rec.drain_since.set(Some(since));
                start_draining(e, c, rec);
            }
            until
        }
        Leave::WebSocket(until) => {
            if now >= until {
                start_draining(e, c, rec);
            }
            until
        }
    }
}

/// Takes in what mgx_mgr_drain asked for.
fn begin(e: &Engine) {
    let s = &e.shutdown;
    let now = e.now.get();
    if s.is_running() {
        s.request.take(|o| {
            s.began.set(now);
            s.deadline.set(now.saturating_add(ms(o.deadline_ms, 30_000)));
            s.idle_grace_ms.set(ms(o.idle_grace_ms, 1000));
            s.spread_ms.set(ms(o.spread_ms, 0));
            s.served_before.set(e.stats.requests.get());
            s.drained_before.set(e.stats.drained.get());
            s.forced_before.set(e.stats.forced.get());
            // SAFETY: the reason is alive during this call.
            *s.conn.borrow_mut() = Some(unsafe { ConnTerms::new(&o.conn) });
            e.lame.set(true);
            let lame_duck = ms(o.lame_duck_ms, 0);
            s.phase_ends.set(now.saturating_add(lame_duck));
            s.phase.set(MGX_MGR_LAME_DUCK);
        });
    }
    if let Some(ms) = s.request.take_nearer() {
        s.deadline.set(s.deadline.get().min(now.saturating_add(ms)));
    }
}

/// The end of the lame duck: connections that the kernel has already queued are taken, then no more.
fn close_listeners(e: &Engine) {
    let s = &e.shutdown;
    s.phase.set(MGX_MGR_IDLE_GRACE);
    for c in list(e).filter(|c| c.flags().is_listening()) {
        if !c.flags().is_udp() {
            conn::accept_all(e, c);
        }
        if e.is_dead() {
            return;
        }
        if !c.is_closed() {
            if let Some(rec) = c.rec() {
                rec.reason.set(Reason::Drained);
            }
            conn::close(c);
        }
    }
    let spread = s.spread_ms.get();
    let grace = s.idle_grace_ms.get();
    s.phase_ends.set(e.now.get().saturating_add(grace).saturating_add(spread));
    for c in list(e).filter(|c| c.flags().is_accepted()) {
        if e.is_dead() {
            return;
        }
        if !c.is_closed() {
            reach(e, c, grace, spread);
        }
    }
}

/// The drain of the manager reaches a connection.
fn reach(e: &Engine, c: Conn, grace: u64, spread: u64) {
    let Some(mut terms) = e.shutdown.conn.borrow().clone() else { return };
    let int = |n: u64| c_int::try_from(n).unwrap_or(-1);
    let mut reason = [0u8; 124];
    reason[..terms.ws_reason.len()].copy_from_slice(&terms.ws_reason);
    let mut o = mgx_drain_opts {
        idle_grace_ms: int(grace),
        response_timeout_ms: int(terms.terms.response_ms),
        flush_timeout_ms: int(terms.terms.flush_ms),
        linger_total_ms: int(terms.terms.linger_total_ms),
        linger_idle_ms: int(terms.terms.linger_idle_ms),
        linger_bytes: usize::try_from(terms.terms.linger_bytes).unwrap_or(0),
        ws_close_code: terms.ws_code.into(),
        ws_close_reason: if terms.ws_reason.is_empty() { core::ptr::null() } else { reason.as_ptr().cast() },
        ws_close_timeout_ms: int(terms.ws_timeout_ms),
    };
    call(c, mgx_event::MGX_EV_DRAIN as c_int, (&raw mut o).cast());
    if e.is_dead() || c.is_closed() {
        return;
    }
    // SAFETY: the reason is still the one above or the program's own.
    terms = unsafe { ConnTerms::new(&o) };
    if spread > 0 {
        terms.idle_grace_ms = terms.idle_grace_ms.saturating_add(random::below(spread));
    }
    drain_conn(e, c, &terms);
}

/// Moves the manager's drain on. Returns when to look again.
fn advance(e: &Engine, now: u64) -> u64 {
    let s = &e.shutdown;
    match s.phase.get() {
        MGX_MGR_RUNNING | MGX_MGR_DONE => return u64::MAX,
        MGX_MGR_LAME_DUCK => return s.phase_ends.get().min(s.deadline.get()).max(now),
        MGX_MGR_IDLE_GRACE => {
            let waiting = |c: Conn| c.rec().is_some_and(|rec| matches!(rec.leave.get(), Leave::Grace(_)));
            if now >= s.phase_ends.get() || !list(e).any(waiting) {
                s.phase.set(MGX_MGR_FINISHING);
            }
        }
        MGX_MGR_FINISHING => {}
    }
    let served = |c: &Conn| c.flags().is_accepted() || c.flags().is_listening();
    if !list(e).any(|c| served(&c)) {
        s.phase.set(MGX_MGR_DONE);
        return u64::MAX;
    }
    if now < s.deadline.get() {
        return s.deadline.get();
    }
    for c in list(e).filter(served) {
        c.update(|f| f.set_closing(true));
        if let Some(rec) = c.rec() {
            rec.reason.set(Reason::Forced);
            e.quiet.visit(c, rec);
        }
    }
    now
}

/// See `mgx_mgr_drain_cancel`.
pub(crate) fn cancel(e: &Engine) -> bool {
    let s = &e.shutdown;
    if s.request.is_waiting() && s.is_running() {
        s.request.take(|_| {});
    } else if s.phase.get() != MGX_MGR_LAME_DUCK {
        return false;
    }
    s.phase.set(MGX_MGR_RUNNING);
    s.request.reset();
    e.lame.set(false);
    true
}

/// See `mgx_mgr_drain_status`.
pub(crate) fn status(e: &Engine) -> mgx_drain_status {
    let s = &e.shutdown;
    let now = time::millis();
    let since = |counter: u64, before: u64| if s.is_running() { 0 } else { usize::try_from(counter - before).unwrap_or(usize::MAX) };
    let mut st = mgx_drain_status {
        phase: s.phase.get(),
        listeners: 0,
        idle: 0,
        active: 0,
        pending: 0,
        flushing: 0,
        websockets: 0,
        lingering: e.lingering.borrow().len(),
        served: since(e.stats.requests.get(), s.served_before.get()),
        drained: since(e.stats.drained.get(), s.drained_before.get()),
        forced: since(e.stats.forced.get(), s.forced_before.get()),
        unsent_bytes: 0,
        elapsed_ms: if s.is_running() { 0 } else { now.saturating_sub(s.began.get()) },
        remaining_ms: if s.is_running() { 0 } else { s.deadline.get().saturating_sub(now) },
    };
    for c in list(e) {
        let flags = c.flags();
        st.unsent_bytes += c.send_len();
        let (true, Some(rec)) = (flags.is_accepted(), c.rec()) else {
            st.listeners += usize::from(flags.is_listening());
            continue;
        };
        let counter = if flags.is_websocket() {
            &mut st.websockets
        } else if flags.is_resp() && c.queued(rec) <= rec.http.mark.get() {
            &mut st.pending
        } else if c.send_len() > 0 && (flags.is_draining() || !flags.is_resp()) {
            &mut st.flushing
        } else if is_idle(c, rec) {
            &mut st.idle
        } else {
            &mut st.active
        };
        *counter += 1;
    }
    st
}

/// See `mgx_conn_phase`.
pub(crate) fn phase(c: Conn) -> mgx_phase {
    let flags = c.flags();
    let leaving = c.rec().is_some_and(|rec| rec.leave.get() != Leave::No || rec.eof.get());
    if c.is_closed() {
        mgx_phase::MGX_CLOSED
    } else if !flags.is_draining() && !leaving {
        mgx_phase::MGX_ACTIVE
    } else if c.send_len() > 0 && !flags.is_resp() {
        mgx_phase::MGX_FLUSHING
    } else {
        mgx_phase::MGX_DRAINING
    }
}

/// See `mgx_send_to`.
///
/// # Safety
/// As [`ring`].
pub(crate) unsafe fn send_to(mgr: *mut mg_mgr, id: u64, bytes: &[u8]) -> bool {
    // SAFETY: as in ring.
    unsafe {
        let engine: *mut Engine = (*mgr).tls_ctx.cast();
        !engine.is_null() && (*engine).door.send(id, bytes)
    }
}

/// Tells the poll loop of another thread, or below a signal handler, that something waits.
///
/// # Safety
/// `mgr` is a live manager.
pub(crate) unsafe fn ring(mgr: *mut mg_mgr) -> bool {
    // SAFETY: tls_ctx does not change between mg_mgr_init and mg_mgr_free; the door is only read.
    unsafe {
        let engine: *mut Engine = (*mgr).tls_ctx.cast();
        !engine.is_null() && (*engine).door.ring()
    }
}


//! Graceful shutdown through the extension API: of a connection, and of a manager in phases. `net::drain` defines what
//! `is_draining` means; this file handles what happens before that flag is set.

use super::connection_close::add_connection_close;
use super::{http, limits, mqtt, reply, ws};
use crate::abi::mgx_mgr_phase::*;
use crate::abi::*;
use crate::net::engine::{CloseAfter, ConnState, DrainState, Engine, Phase, Reason};
use crate::net::event::call;
use crate::net::handle::ConnRef;
use crate::net::list::list;
use crate::net::shutdown::{DrainConfig, DrainTimeouts, IDLE_GRACE_MS, ms};
use crate::net::tls::table as tls;
use crate::net::{close, conn, ending, linger, progress, stream};
use crate::platform::clock as time;
use crate::sys::random;
use core::ffi::c_int;

/// Hooks the extension into polls, which run it when it has work to do.
pub(crate) fn install(e: &Engine) {
    e.extension_step.set(Some(step));
    #[cfg(feature = "ws")]
    e.frame.set(Some(super::ws::send_from_outside));
}

/// In place of a number of requests: MGX_EV_DRAIN was delivered twice.
const TOLD: u32 = u32::MAX;

/// Never due, but still checked in every poll.
const NO_LIMIT: u64 = u64::MAX - 1;

/// Makes the next poll run the extension's part.
fn wake(e: &Engine) {
    e.extension_at.set(0);
}

/// True if a request is arriving or waits for its response.
fn is_busy(c: ConnRef, rec: &ConnState) -> bool {
    c.flags().is_resp() || c.recv_len() > 0 || is_body_coming(rec) || tls::has_part(c)
}

/// True if the body of a request is being received, by the HTTP handler or as an upload.
fn is_body_coming(rec: &ConnState) -> bool {
    rec.http.phase.get() == Phase::Body || rec.has_task()
}

/// True if nothing is in progress on an accepted connection.
fn is_idle(c: ConnRef, rec: &ConnState) -> bool {
    !is_busy(c, rec) && !tls::has_output(c, rec)
}

/// Closes an idle connection, unless something arrives before it is closed.
fn end_idle(e: &Engine, c: ConnRef, rec: &ConnState) {
    rec.last_look.set(true);
    start_draining(e, c, rec);
}

fn start_draining(e: &Engine, c: ConnRef, rec: &ConnState) {
    rec.drain_state.set(DrainState::No);
    c.update(|f| f.set_draining(true));
    e.touch(rec);
}

/// Sends a Close frame after the queued data. The drain starts when the peer responds, or fails to.
fn close_websocket(e: &Engine, c: ConnRef, rec: &ConnState, terms: &DrainConfig, now: u64) {
    if cfg!(feature = "ws") {
        ws::send_close(c, terms.ws_code, &terms.ws_reason);
    }
    rec.drain_state.set(DrainState::WebSocket(now.saturating_add(terms.ws_timeout_ms)));
    e.touch(rec);
}

/// True if the last response is complete and its head contains `Connection: close`, added now if necessary.
fn answer_says_close(e: &Engine, c: ConnRef, rec: &ConnState) -> bool {
    // A later request that was dispatched since then has its own response.
    if !e.compat.get() && (c.flags().is_resp() || rec.http.answered.get()) {
        add_connection_close(c, rec);
    }
    !c.flags().is_resp() && rec.http.answered.get() && rec.close_announced.get()
}

/// See `mgx_conn_drain`.
pub(crate) fn drain_conn(e: &Engine, c: ConnRef, terms: &DrainConfig) -> bool {
    let flags = c.flags();
    if flags.is_listening() || flags.is_udp() {
        c.update(|f| f.set_draining(true));
        return false;
    }
    let Some(rec) = c.rec() else {
        c.update(|f| f.set_draining(true));
        return true;
    };
    rec.set_drain_config(Some(terms.clone()));
    if flags.is_draining() {
        return true;
    }
    wake(e);
    let now = time::millis();
    let grace_ends = now.saturating_add(terms.terms.idle_grace_ms);
    rec.told_of_drain.set(rec.http.requests.get());
    match rec.drain_state.get() {
        DrainState::No | DrainState::Spread(_) => {}
        DrainState::Grace(until, requests) => {
            rec.drain_state.set(DrainState::Grace(until.min(grace_ends), requests));
            return true;
        }
        DrainState::WebSocket(until) => {
            rec.drain_state.set(DrainState::WebSocket(until.min(now.saturating_add(terms.ws_timeout_ms))));
            return true;
        }
        _ => return true,
    }
    if flags.is_websocket() {
        close_websocket(e, c, rec, terms, now);
        return true;
    }
    // While a file is being sent, `c->pfn` is another handler; it is NULL while one is received.
    let no_http = !http::is_http(c) && !flags.is_streaming() && !rec.has_task();
    if !flags.is_accepted() || rec.http.phase.get() == Phase::Refused {
        start_draining(e, c, rec);
    } else if no_http {
        rec.drain_state.set(DrainState::Quiet(now));
    } else if answer_says_close(e, c, rec) {
        start_draining(e, c, rec);
    } else if is_busy(c, rec) {
        rec.drain_state.set(DrainState::Finish(now));
    } else {
        rec.drain_state.set(DrainState::Grace(grace_ends, rec.http.requests.get()));
    }
    true
}

/// The extension's part of a poll.
fn step(e: &Engine) {
    let s = &e.shutdown;
    if s.request.is_waiting() {
        begin(e);
    }
    limits::step(e);
    let now = e.now.get();
    if s.phase.get() == MGX_MGR_LAME_DUCK && now >= s.phase_ends.get().min(s.deadline.get()) {
        close_listeners(e);
    }
    if e.is_dead() {
        return;
    }
    let mut next = u64::MAX;
    for c in list(e) {
        if let Some(rec) = c.rec().filter(|rec| rec.drain_state.get() != DrainState::No && !c.flags().is_draining()) {
            next = next.min(step_conn(e, c, rec, now)).min(NO_LIMIT);
        }
    }
    if !s.is_running() {
        next = next.min(advance(e, now));
    }
    let over = matches!(s.phase.get(), MGX_MGR_RUNNING | MGX_MGR_DONE);
    e.extension_at.set(if over { next } else { next.min(NO_LIMIT) });
}

/// Checks a draining connection. Returns when to check again.
fn step_conn(e: &Engine, c: ConnRef, rec: &ConnState, now: u64) -> u64 {
    if let DrainState::Spread(at) = rec.drain_state.get() {
        if now >= at {
            reach(e, c);
        }
        return if now >= at { now } else { at };
    }
    let upgraded = c.flags().is_websocket() && !matches!(rec.drain_state.get(), DrainState::WebSocket(_));
    let begun = c.flags().is_resp() && rec.http.requests.get() != rec.told_of_drain.get();
    let spoke =
        matches!(rec.drain_state.get(), DrainState::Quiet(since) if rec.read_at.get() > since) && rec.told_of_drain.get() != TOLD;
    if upgraded || begun || spoke {
        rec.told_of_drain.set(if spoke { TOLD } else { rec.http.requests.get() });
        let Some(terms) = rec.drain_config().and_then(|terms| tell(e, c, &terms)) else { return u64::MAX };
        rec.set_drain_config(Some(terms.clone()));
        if upgraded && c.flags().is_websocket() && !c.flags().is_draining() {
            close_websocket(e, c, rec, &terms, now);
        }
        if c.flags().is_draining() {
            return u64::MAX;
        }
    }
    let terms = rec.drain_timeouts();
    let stuck = progress::last_at(e, rec).saturating_add(terms.flush_ms);
    let is_stuck = rec.blocked.get() && (tls::has_output(c, rec) || c.flags().is_streaming());
    if is_stuck && now >= stuck {
        rec.drain_since.set(Some(rec.progress_at.get()));
        start_draining(e, c, rec);
        return u64::MAX;
    }
    let next = step_in_state(e, c, rec, now, terms);
    if is_stuck { next.min(progress::look_at(e, rec, stuck, terms.flush_ms)) } else { next }
}

fn step_in_state(e: &Engine, c: ConnRef, rec: &ConnState, now: u64, terms: DrainTimeouts) -> u64 {
    match rec.drain_state.get() {
        DrainState::No | DrainState::Spread(_) => u64::MAX,
        DrainState::Grace(until, requests) => {
            if is_busy(c, rec) || rec.http.requests.get() != requests {
                rec.drain_state.set(DrainState::Last(now));
                return finish(e, c, rec, now, now, true);
            }
            // While an earlier response is being sent the client has no reason to send another request.
            let answer = if tls::has_output(c, rec) { rec.progress_at.get().saturating_add(terms.idle_grace_ms) } else { 0 };
            if now < until.max(answer) {
                return until.max(answer);
            }
            end_idle(e, c, rec);
            u64::MAX
        }
        DrainState::Finish(since) => finish(e, c, rec, now, since, false),
        DrainState::Last(since) => finish(e, c, rec, now, since, true),
        DrainState::Quiet(since) => {
            let quiet = rec.read_at.get().max(since).saturating_add(terms.idle_grace_ms);
            // MQTT peers resend unacknowledged messages elsewhere: a busy connection may close between two packets.
            let most =
                if cfg!(feature = "mqtt") && mqtt::is_between_packets(c) { terms.idle_grace_ms } else { terms.response_ms };
            let until = quiet.min(since.saturating_add(most));
            if now < until {
                return until;
            }
            if until == quiet && ending::found_input(e, rec) {
                return now;
            }
            start_draining(e, c, rec);
            u64::MAX
        }
        DrainState::WebSocket(until) => {
            if now >= until {
                start_draining(e, c, rec);
            }
            until
        }
    }
}

/// Checks a connection whose request must complete first. Returns when to check again.
fn finish(e: &Engine, c: ConnRef, rec: &ConnState, now: u64, since: u64, last: bool) -> u64 {
    let terms = rec.drain_timeouts();
    if !is_busy(c, rec) && (rec.close_announced.get() || !rec.readable.get()) {
        // A client that does not know of the close may already have sent its next request.
        let told = last || rec.close_announced.get();
        if told {
            if !rec.close_announced.get() {
                rec.last_look.set(true);
            }
            start_draining(e, c, rec);
        } else {
            rec.drain_state.set(DrainState::Grace(now.saturating_add(terms.idle_grace_ms), rec.http.requests.get()));
        }
        return now;
    }
    if c.flags().is_streaming() {
        // Either the file ends or flush_timeout_ms expires.
        return NO_LIMIT;
    }
    // Slow input extends the time limit only for a body.
    let last_move = if c.flags().is_resp() {
        rec.http.asked_at.get()
    } else if is_body_coming(rec) {
        rec.read_at.get()
    } else if rec.dispatching.get() {
        // The handler of an answered request polls: the buffer holds that request, not the head of another.
        return NO_LIMIT;
    } else {
        rec.head_began.get()
    };
    let until = last_move.max(since).saturating_add(terms.response_ms);
    if now < until {
        return until;
    }
    if c.flags().is_resp() {
        rec.drain_since.set(Some(since));
        rec.reason.set(Reason::ResponseTimeout);
        start_draining(e, c, rec);
    } else {
        reply::over_limit(c, rec, 408, if is_body_coming(rec) { Reason::BodyTimeout } else { Reason::HeaderTimeout });
    }
    u64::MAX
}

/// Applies a request of mgx_mgr_drain.
fn begin(e: &Engine) {
    let s = &e.shutdown;
    let now = e.now.get();
    if s.is_running() {
        s.request.take(|o| {
            s.began.set(now);
            s.deadline.set(now.saturating_add(ms(o.deadline_ms, 30_000)));
            s.idle_grace_ms.set(ms(o.idle_grace_ms, IDLE_GRACE_MS));
            s.spread_ms.set(ms(o.spread_ms, 0));
            s.served_before.set(e.stats.requests.get());
            s.drained_before.set(e.stats.drained.get());
            s.forced_before.set(e.stats.forced.get());
            // SAFETY: the reason is alive during this call.
            *s.conn.borrow_mut() = Some(unsafe { DrainConfig::new(&o.conn) });
            e.lame.set(true);
            let lame_duck = ms(o.lame_duck_ms, 0);
            s.phase_ends.set(now.saturating_add(lame_duck));
            s.phase.set(MGX_MGR_LAME_DUCK);
        });
    }
    // A second call may interrupt the first; the next poll handles that case.
    if s.is_running() {
        return;
    }
    if let Some(ms) = s.request.take_nearer() {
        s.deadline.set(s.deadline.get().min(now.saturating_add(ms)));
    }
}

/// Ends the lame duck phase: accepts the connections already queued by the kernel, then closes the listeners.
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
            close::close(c);
        }
    }
    let spread = s.spread_ms.get();
    s.phase_ends.set(e.now.get().saturating_add(s.idle_grace_ms.get()).saturating_add(spread));
    for c in list(e).filter(|c| c.flags().is_accepted()) {
        if e.is_dead() {
            return;
        }
        let Some(rec) = c.rec().filter(|_| !c.is_closed()) else { continue };
        if spread > 0 && rec.drain_state.get() == DrainState::No {
            rec.drain_state.set(DrainState::Spread(e.now.get().saturating_add(random::below(spread))));
        } else {
            reach(e, c);
        }
    }
}

/// Starts the drain of one connection of a draining manager.
fn reach(e: &Engine, c: ConnRef) {
    let Some(mut terms) = e.shutdown.conn.borrow().clone() else { return };
    terms.terms.idle_grace_ms = e.shutdown.idle_grace_ms.get();
    if let Some(terms) = tell(e, c, &terms) {
        drain_conn(e, c, &terms);
    }
}

/// Delivers MGX_EV_DRAIN. Returns the options as modified by the handler; None if the connection is gone.
fn tell(e: &Engine, c: ConnRef, terms: &DrainConfig) -> Option<DrainConfig> {
    let int = |n: u64| c_int::try_from(n).unwrap_or(-1);
    let mut reason = [0u8; 124];
    reason[..terms.ws_reason.len()].copy_from_slice(&terms.ws_reason);
    let mut o = mgx_drain_opts {
        idle_grace_ms: int(terms.terms.idle_grace_ms),
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
        return None;
    }
    // SAFETY: the reason is still the one above or the application's own.
    Some(unsafe { DrainConfig::new(&o) })
}

/// Advances the manager's drain. Returns when to check again.
fn advance(e: &Engine, now: u64) -> u64 {
    let s = &e.shutdown;
    match s.phase.get() {
        MGX_MGR_RUNNING | MGX_MGR_DONE => return u64::MAX,
        MGX_MGR_LAME_DUCK => return s.phase_ends.get().min(s.deadline.get()),
        MGX_MGR_IDLE_GRACE => {
            let in_grace = |state| matches!(state, DrainState::Spread(_) | DrainState::Grace(..) | DrainState::Quiet(_));
            let waiting = |c: ConnRef| c.rec().is_some_and(|rec| in_grace(rec.drain_state.get()));
            if now >= s.phase_ends.get() || !list(e).any(waiting) {
                s.phase.set(MGX_MGR_FINISHING);
            }
        }
        MGX_MGR_FINISHING => {}
    }
    let served = |c: &ConnRef| c.flags().is_accepted() || c.flags().is_listening();
    let forced = now >= s.deadline.get();
    if !list(e).any(|c| served(&c)) {
        if forced {
            linger::stop_lingering(e, 0);
        }
        if !e.lingering.borrow().is_empty() {
            return s.deadline.get();
        }
        s.phase.set(MGX_MGR_DONE);
        return u64::MAX;
    }
    // Also close listeners that handlers have opened since.
    for c in list(e).filter(|c| c.flags().is_listening() || forced && c.flags().is_accepted()) {
        if let Some(rec) = c.rec() {
            rec.reason.set(match c.flags().is_listening() {
                true => Reason::Drained,
                // The peer has closed and nothing is unsent: not a forced close.
                false if rec.eof.get() && !tls::has_output(c, rec) && !c.flags().is_streaming() => Reason::PeerClosed,
                false => Reason::Forced,
            });
        }
        c.update(|f| f.set_closing(true));
        // Immediately, because handlers may clear the flag.
        close::close(c);
        if e.is_dead() {
            return u64::MAX;
        }
    }
    if forced { now } else { s.deadline.get() }
}

/// See `mgx_mgr_drain_cancel`.
pub(crate) fn cancel(e: &Engine) -> bool {
    let s = &e.shutdown;
    let begun = s.phase.get() == MGX_MGR_LAME_DUCK;
    let asked = || s.is_running() && s.request.take(|_| {});
    if !begun && !asked() {
        return false;
    }
    s.phase.set(MGX_MGR_RUNNING);
    s.request.reset();
    e.lame.set(false);
    // Clients that were told of the close must still see it.
    for rec in list(e).filter_map(ConnRef::rec).filter(|rec| rec.close_announced.get() && rec.http.close.get() == CloseAfter::No)
    {
        rec.http.close.set(CloseAfter::Asked);
    }
    true
}

/// See `mgx_mgr_drain_status`.
pub(crate) fn status(e: &Engine) -> mgx_drain_status {
    let s = &e.shutdown;
    let now = time::millis();
    let since =
        |counter: u64, before: u64| if s.is_running() { 0 } else { usize::try_from(counter - before).unwrap_or(usize::MAX) };
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
        st.unsent_bytes = st.unsent_bytes.saturating_add(stream::unsent(c));
        let (true, Some(rec)) = (flags.is_accepted(), c.rec()) else {
            st.listeners += usize::from(flags.is_listening());
            continue;
        };
        let counter = if flags.is_websocket() {
            &mut st.websockets
        } else if flags.is_resp() && c.queued(rec) <= rec.http.mark.get() {
            &mut st.pending
        } else if tls::has_output(c, rec) && (flags.is_draining() || !flags.is_resp()) {
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
pub(crate) fn phase(c: ConnRef) -> mgx_phase {
    let flags = c.flags();
    let leaving = c.rec().is_some_and(|rec| rec.drain_state.get() != DrainState::No || rec.eof.get());
    if c.is_closed() {
        mgx_phase::MGX_CLOSED
    } else if !flags.is_draining() && !leaving {
        mgx_phase::MGX_ACTIVE
    } else if c.rec().map_or(c.send_len() > 0, |rec| tls::has_output(c, rec)) && (!flags.is_resp() || flags.is_draining()) {
        mgx_phase::MGX_FLUSHING
    } else {
        mgx_phase::MGX_DRAINING
    }
}

/// See `mgx_send_to` and, with the first byte of a frame, `mgx_send_ws_to`.
///
/// # Safety
/// As [`wake_mgr`].
pub(crate) unsafe fn send_to(mgr: *mut mg_mgr, id: u64, frame: u8, bytes: &[u8]) -> bool {
    // SAFETY: as in wake_mgr.
    unsafe {
        let engine: *mut Engine = (*mgr).tls_ctx.cast();
        !engine.is_null() && (*engine).waker.send(id, frame, bytes)
    }
}

/// Wakes the poll loop, from another thread or a signal handler.
///
/// # Safety
/// `mgr` is a live manager.
pub(crate) unsafe fn wake_mgr(mgr: *mut mg_mgr) -> bool {
    // SAFETY: tls_ctx does not change between mg_mgr_init and mg_mgr_free; the waker is only read.
    unsafe {
        let engine: *mut Engine = (*mgr).tls_ctx.cast();
        !engine.is_null() && (*engine).waker.wake()
    }
}

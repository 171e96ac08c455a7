//! Limits and timeouts of `mgx_limits`. Each connection has one deadline. When it expires, the connection is checked: it has
//! either exceeded a limit, or the deadline is extended. So a request costs nothing.

use super::{http, reply, ws};
use crate::abi::mgx_limits;
use crate::memory;
use crate::net::engine::{ConnState, DrainState, Engine, Phase, Reason};
use crate::net::handle::ConnRef;
use crate::net::list::list;
use crate::net::tls::table as tls;
use crate::net::{progress, usage};
use core::ffi::c_int;

/// See `mgx_limits_public`.
pub(crate) static PUBLIC: mgx_limits = mgx_limits {
    max_conns: 10_000,
    max_conns_per_ip: 1000,
    header_timeout_ms: 10_000,
    body_timeout_ms: 30_000,
    idle_timeout_ms: 60_000,
    write_timeout_ms: 60_000,
    max_header_bytes: 16 << 10,
    max_body_bytes: 0,
    max_ws_message: 3 << 20,
    max_send_queue: 0,
    max_requests: 0,
    half_close_ms: 0,
    connect_timeout_ms: 0,
    max_memory: 0,
};

/// See `mgx_mgr_limits`.
pub(crate) fn set(e: &Engine, l: mgx_limits) {
    e.limits.set(l);
    e.limited.set(true);
    usage::limit(e, l.max_memory);
    let mut per_ip = e.per_ip.borrow_mut();
    per_ip.clear();
    for c in list(e).filter(|c| c.flags().is_accepted()) {
        if let Some(rec) = c.rec() {
            // Without memory to count it, the connection is not counted.
            if memory::grow_map(&mut per_ip, 1) {
                *memory::number_of(&mut per_ip, rec.from.get()) += 1;
            }
            e.set_deadline(rec, Some(e.now.get()));
        }
    }
}

/// Checks the connections whose deadline has expired, as part of a poll.
pub(crate) fn step(e: &Engine) {
    let expired = e.take_slots(&e.expired);
    for slot in &expired {
        let Some(rec) = e.rec(*slot as usize).filter(|rec| !rec.conn.get().is_null()) else { continue };
        // SAFETY: the connection of a record in use.
        let c = unsafe { ConnRef::new(rec.conn.get()) };
        let flags = c.flags();
        let closing = matches!(rec.drain_state.get(), DrainState::WebSocket(_));
        if flags.is_accepted() && !flags.is_draining() && !flags.is_closing() && !closing && !rec.eof.get() {
            check(e, c, rec);
        }
    }
    e.give_slots(expired);
}

/// The timeout that applies to the connection: its reason, its start and its length.
fn waits_for(e: &Engine, c: ConnRef, rec: &ConnState) -> Option<(Reason, u64, c_int)> {
    let l = e.limits.get();
    let http = http::is_http(c);
    if tls::has_output(c, rec) || c.flags().is_streaming() {
        // If the kernel accepts it, it is sent in this poll.
        return rec.blocked.get().then(|| (Reason::FlushTimeout, progress::last_at(e, rec), l.write_timeout_ms));
    }
    // While a handler polls, the buffer holds the message that it is handling.
    if c.flags().is_resp() || rec.dispatching.get() {
        return None;
    }
    match rec.http.phase.get() {
        Phase::Body if http => Some((Reason::BodyTimeout, rec.read_at.get(), l.body_timeout_ms)),
        Phase::Head | Phase::Malformed if http && c.recv_len() > 0 => {
            Some((Reason::HeaderTimeout, rec.head_began.get(), l.header_timeout_ms))
        }
        Phase::Head if http && rec.http.requests.get() == 0 && l.header_timeout_ms > 0 => {
            Some((Reason::HeaderTimeout, rec.read_at.get(), l.header_timeout_ms))
        }
        _ => Some((Reason::IdleTimeout, rec.read_at.get().max(rec.progress_at.get()), l.idle_timeout_ms)),
    }
}

fn check(e: &Engine, c: ConnRef, rec: &ConnState) {
    if let Some(at) = tls::handshake_ends(e, rec) {
        // Its service call handles the timeout.
        return e.set_deadline(rec, Some(at));
    }
    let now = e.now.get();
    let l = e.limits.get();
    // No limit can expire before the shortest one from now.
    let all = [l.header_timeout_ms, l.body_timeout_ms, l.idle_timeout_ms, l.write_timeout_ms];
    let Some(shortest) = all.into_iter().filter(|ms| *ms > 0).min() else { return };
    let look_again = now.saturating_add(shortest as u64);
    let Some((reason, since, ms)) = waits_for(e, c, rec).filter(|(_, _, ms)| *ms > 0) else {
        return e.set_deadline(rec, Some(look_again));
    };
    let at = since.saturating_add(ms as u64);
    if now < at {
        return e.set_deadline(rec, Some(progress::look_at(e, rec, at.min(look_again), ms as u64)));
    }
    rec.reason.set(reason);
    match reason {
        Reason::FlushTimeout => c.update(|f| f.set_closing(true)),
        Reason::HeaderTimeout | Reason::BodyTimeout => return reply::over_limit(c, rec, 408, reason),
        _ => {
            if cfg!(feature = "ws") && c.flags().is_websocket() {
                ws::send_close(c, 1001, b"");
            }
            rec.last_look.set(http::is_http(c));
            c.update(|f| f.set_draining(true));
        }
    }
    e.touch(rec);
}

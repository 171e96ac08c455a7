//! Collects what the rules in `drain.rs` need to know about a connection.

use super::drain::DrainInputs;
use super::engine::{ConnState, DrainState, Engine, Reason};
use super::handle::ConnRef;
use super::progress;
use super::shutdown::HALF_CLOSE_MS;
use super::tls::table as tls;
use crate::ffi_util::iobuf;
use crate::platform::sock;

/// Runs when the outermost handler returns: applies a drain that the handler requested.
#[inline]
pub(crate) fn settle(e: &Engine, c: ConnRef, rec: &ConnState) {
    if c.flags().is_draining() && !c.is_closed() {
        settle_drain(e, c, rec);
    }
}

fn settle_drain(e: &Engine, c: ConnRef, rec: &ConnState) {
    rec.drain_since.set(rec.drain_since.get().or(Some(e.now.get())));
    if e.compat.get() {
        return;
    }
    if let Some(begin) = rec.drain_begins.take() {
        begin(c, rec);
    }
    if c.recv_len() > 0 && !c.flags().is_udp() && !rec.dispatching.get() {
        // SAFETY: the connection's own buffer; unhandled input is dropped.
        unsafe { iobuf::del(c.recv(), 0, usize::MAX) };
    }
}

/// The inputs of the closing rules for this connection.
pub(crate) fn drain_inputs(e: &Engine, c: ConnRef, rec: &ConnState) -> DrainInputs {
    let flags = c.flags();
    let queued = c.queued(rec);
    if queued != rec.queued_seen.get() {
        rec.queued_seen.set(queued);
        rec.queued_at.set(e.now.get());
    }
    DrainInputs {
        draining: flags.is_draining(),
        eof: rec.eof.get(),
        unhandled: rec.dispatching.get() && rec.arrived.get().wrapping_sub(rec.done_end.get()) as i64 > 0,
        pending: tls::has_output(c, rec) || flags.is_streaming() && rec.blocked.get(),
        responding: flags.is_resp() && flags.is_accepted(),
        streaming: flags.is_streaming(),
        since: rec.drain_since.get().unwrap_or(e.now.get()),
        progress_at: progress::last_at(e, rec),
        queued_at: rec.queued_at.get(),
        now: e.now.get(),
        half_close_ms: half_close_ms(e),
        terms: rec.drain_timeouts(),
    }
}

/// How long to wait for a response after the peer's end of stream.
pub(crate) fn half_close_ms(e: &Engine) -> u64 {
    match e.limits.get().half_close_ms {
        0 => HALF_CLOSE_MS,
        ms => u64::try_from(ms).unwrap_or(0),
    }
}

/// Final check for input. If there is any, the next poll reads it.
pub(crate) fn found_input(e: &Engine, rec: &ConnState) -> bool {
    // The end of the stream is read only once.
    let found = !rec.eof.get() && (rec.readable.get() || sock::has_input(rec.fd.get()));
    if found {
        rec.readable.set(true);
        e.requeue(rec);
    }
    found
}

/// Runs right before an idle connection is closed: cancels the drain if a request has arrived by then; its reply is the last.
/// Not when the previous reply, still queued, already announces the close.
pub(crate) fn take_back(e: &Engine, c: ConnRef, rec: &ConnState) -> bool {
    if rec.close_announced.get() || !found_input(e, rec) {
        return false;
    }
    c.update(|f| f.set_draining(false));
    rec.drain_since.set(None);
    rec.reason.set(Reason::None);
    rec.drain_state.set(DrainState::Last(e.now.get()));
    e.extension_at.set(0);
    true
}

//! What the engine knows about the end of a connection, for the rules in `drain.rs`.

use super::drain::View;
use super::engine::{Engine, Rec};
use super::handle::Conn;
use super::tls;
use crate::guard::iobuf;

/// What the engine does right after the outermost handler has returned: a drain that it sets takes effect.
pub(crate) fn settle(e: &Engine, c: Conn, rec: &Rec) {
    let flags = c.flags();
    if !flags.is_draining() || c.is_closed() {
        return;
    }
    rec.drain_since.set(rec.drain_since.get().or(Some(e.now.get())));
    if e.compat.get() {
        return;
    }
    super::announce::announce(c, rec);
    if c.recv_len() > 0 && !flags.is_udp() && !rec.is_dispatching() {
        // SAFETY: the connection's own buffer; what was not handled yet is dropped.
        unsafe { iobuf::del(c.recv(), 0, usize::MAX) };
    }
}

/// What is known about the end of this connection.
pub(crate) fn view(e: &Engine, c: Conn, rec: &Rec) -> View {
    let flags = c.flags();
    let queued = c.queued(rec);
    if queued != rec.queued_seen.get() {
        rec.queued_seen.set(queued);
        rec.queued_at.set(e.now.get());
    }
    View {
        draining: flags.is_draining(),
        eof: rec.eof.get(),
        pending: tls::has_output(c, rec) || flags.is_streaming() && rec.blocked.get(),
        responding: flags.is_resp() && flags.is_accepted(),
        begun: queued > rec.http.mark.get(),
        streaming: flags.is_streaming(),
        since: rec.drain_since.get().unwrap_or(e.now.get()),
        progress_at: rec.progress_at.get(),
        queued_at: rec.queued_at.get(),
        now: e.now.get(),
        terms: rec.terms(),
    }
}

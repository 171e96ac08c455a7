//! Counts the memory of a manager's connections for `max_memory` of mgx_limits. Active only while that is set: after each service
//! call, and when a receive buffer grows.

use super::engine::{ConnState, Engine};
use super::handle::ConnRef;
use super::list::list;

/// Memory of a TLS session besides its buffers: measured with both versions, rounded up.
const SESSION: usize = 16 * 1024;

/// Sets the limit; 0 for none.
pub(crate) fn limit(e: &Engine, most: usize) {
    e.most_bytes.set(most);
    for (c, rec) in list(e).filter_map(|c| Some((c, c.rec()?))) {
        count(e, c, rec);
    }
}

/// Updates the count for a connection.
#[inline]
pub(crate) fn count(e: &Engine, c: ConnRef, rec: &ConnState) {
    if e.most_bytes.get() > 0 {
        set(e, rec, of(e, c, rec));
    }
}

/// Removes a closed connection from the count.
pub(crate) fn forget(e: &Engine, rec: &ConnState) {
    set(e, rec, 0);
}

fn set(e: &Engine, rec: &ConnState, now: usize) {
    let before = rec.bytes.replace(now);
    e.bytes.set(e.bytes.get().saturating_sub(before).saturating_add(now));
}

fn of(e: &Engine, c: ConnRef, rec: &ConnState) -> usize {
    // SAFETY: the manager is alive, and the buffer is the connection's own.
    let (extra, rtls) = unsafe { ((*e.mgr).extraconnsize, (*c.rtls()).size) };
    let session = if c.flags().is_secure() { SESSION } else { 0 };
    // A new connection will need a buffer soon: without this, too many would be accepted.
    let expected = match rec.arrived.get() {
        0 if c.flags().is_accepted() && c.flags().is_tls() => 3 * e.io_size(),
        0 if c.flags().is_accepted() => e.io_size(),
        _ => 0,
    };
    let buffers = c.recv_info().size.saturating_add(rtls).max(expected);
    let fixed = e.sizes.get().conn + size_of::<ConnState>() + session;
    let parts = [fixed, extra, buffers, c.send_info().size, rec.aside_len()];
    parts.into_iter().fold(0, usize::saturating_add)
}

/// True if the connections exceed the limit: no further ones are accepted. Frees spare blocks first.
#[inline]
pub(crate) fn is_over(e: &Engine) -> bool {
    e.most_bytes.get() > 0 && look(e, e.most_bytes.get())
}

/// True if the connections besides this one exceed the limit. It counts with what a TLS session needs since it was accepted.
#[cfg(feature = "tls")]
pub(crate) fn is_over_without(e: &Engine, rec: &ConnState) -> bool {
    e.most_bytes.get() > 0 && look(e, e.most_bytes.get().saturating_add(rec.bytes.get()))
}

/// True if the connections exceed the limit by so much that open ones get no memory either. They have an eighth more, because a
/// connection is accepted before it needs a buffer.
#[inline]
pub(crate) fn is_full(e: &Engine) -> bool {
    e.most_bytes.get() > 0 && look(e, e.most_bytes.get().saturating_add(e.most_bytes.get() / 8))
}

#[cold]
fn look(e: &Engine, most: usize) -> bool {
    if e.bytes.get().saturating_add(e.buffers.bytes()) > most {
        e.buffers.give_up();
    }
    e.bytes.get() > most
}

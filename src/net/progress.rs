//! Whether the output of a blocked connection moves. The kernel asks for more only when the peer has taken much of what it holds, and a
//! slow peer may need longer for that than any timeout: what the peer takes counts.

use super::engine::{ConnState, Engine};
use crate::platform::sock;

/// Interval between checks of a socket: data in flight when it blocks arrives whether or not the peer reads.
const APART_MS: u64 = 200;

/// The socket takes no more from now on.
pub(crate) fn blocked(e: &Engine, rec: &ConnState) {
    rec.progress_at.set(e.now.get());
    rec.unacknowledged.set(None);
}

/// When output last made progress; for a blocked connection, the last check before it did.
pub(crate) fn last_at(e: &Engine, rec: &ConnState) -> u64 {
    let (now, looked) = (e.now.get(), rec.unacknowledged.get());
    let is_due = match looked {
        Some((at, _)) => now >= at.saturating_add(APART_MS),
        None => now > rec.progress_at.get(),
    };
    if rec.blocked.get() && is_due {
        if let Some(held) = sock::unacknowledged(rec.fd.get()) {
            if let Some((at, _)) = looked.filter(|(_, before)| held < *before) {
                rec.progress_at.set(at);
            }
            rec.unacknowledged.set(Some((now, held)));
        }
    }
    rec.progress_at.get()
}

/// When to check again a connection that closes at `at` after `ms` without progress.
pub(crate) fn look_at(e: &Engine, rec: &ConnState, at: u64, ms: u64) -> u64 {
    if rec.blocked.get() { at.min(e.now.get().saturating_add((ms / 16).max(1))) } else { at }
}

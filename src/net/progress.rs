//! Whether the output of a blocked connection moves. The kernel asks for more only when the peer has taken much of what it holds, and a
//! slow peer may need longer for that than any timeout: what the peer takes counts.

use super::engine::{ConnState, Engine};
use crate::platform::sock;

/// The socket takes no more from now on.
pub(crate) fn blocked(e: &Engine, rec: &ConnState) {
    rec.progress_at.set(e.now.get());
    rec.unacknowledged.set(None);
}

/// When output last made progress.
pub(crate) fn last_at(e: &Engine, rec: &ConnState) -> u64 {
    // What is on its way when the socket blocks still arrives, whether or not the peer reads: the first look is a later one.
    if rec.blocked.get() && e.now.get() > rec.progress_at.get() {
        let held = sock::unacknowledged(rec.fd.get());
        if held < rec.unacknowledged.replace(held) {
            rec.progress_at.set(e.now.get());
        }
    }
    rec.progress_at.get()
}

/// When to look again at a connection that closes at `at` after `ms` without progress. Between two looks nobody sees any.
pub(crate) fn look_at(e: &Engine, rec: &ConnState, at: u64, ms: u64) -> u64 {
    if rec.blocked.get() { at.min(e.now.get().saturating_add((ms / 4).max(1))) } else { at }
}

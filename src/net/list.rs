//! The list of a manager's connections, and iteration over it while handlers add and remove some.

use super::engine::Engine;
use super::handle::ConnRef;
use core::ptr;

/// Iterates over the connections, newest first. The next one is fetched before the body runs, and skipped if it is removed by
/// then.
pub(crate) fn list(e: &Engine) -> impl Iterator<Item = ConnRef> {
    // SAFETY: the manager lives as long as its engine is not dead; connections on its list are alive.
    let mut next = if e.is_dead() { ptr::null_mut() } else { unsafe { (*e.mgr).conns } };
    core::iter::from_fn(move || {
        if next.is_null() || e.is_dead() {
            return None;
        }
        // SAFETY: as above; a closed connection keeps its memory and its `next` while a call is in progress.
        let c = unsafe { ConnRef::new(next) };
        next = c.next();
        Some(c)
    })
}

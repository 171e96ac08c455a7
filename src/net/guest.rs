//! The manager as a guest in another library's event loop: what to wait for, and how long.

use super::engine::Engine;
use super::list::list;
use super::{mgr, no_poll, service};
use core::ffi::c_int;

/// The poller's descriptor is itself readable while a socket in it has something to tell.
pub(crate) fn fd(e: &Engine) -> c_int {
    e.poller.fd()
}

/// What the next poll would wait for, in milliseconds. None: without limit.
pub(crate) fn timeout(e: &Engine) -> Option<u64> {
    no_poll::scan(e);
    let due = e.shutdown.request.is_waiting()
        || !e.flush_pending.borrow().is_empty()
        || if e.no_poll.is_used() { no_poll::any_due(e) } else { list(e).any(|c| service::is_due(e, c)) };
    if due { Some(0) } else { mgr::limit(e, -1) }
}

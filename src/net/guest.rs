//! Integration into another library's event loop: the descriptor to wait for, and the timeout.

use super::engine::Engine;
use super::list::list;
use super::{mgr, no_poll, service};
use core::ffi::c_int;

/// The poller's descriptor, which is readable when one of its sockets is ready.
pub(crate) fn fd(e: &Engine) -> c_int {
    e.poller.fd()
}

/// How long the next poll would wait, in milliseconds. None: no limit.
pub(crate) fn timeout(e: &Engine) -> Option<u64> {
    no_poll::scan(e);
    let due = e.shutdown.request.is_waiting()
        || !e.flush_pending.borrow().is_empty()
        || if e.no_poll.is_used() { no_poll::any_due(e) } else { list(e).any(|c| service::is_due(e, c)) };
    if due { Some(0) } else { mgr::limit(e, -1) }
}

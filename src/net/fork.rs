//! Managers inherited by a child process. Parent and child share what is behind every descriptor, including the poller and the
//! wakeup descriptors, so the child creates its own in its first call.

use super::engine::Engine;
use crate::platform::poller;
use crate::platform::sock::Rest;
use crate::platform::thread;
use crate::sys::log::log_error;

/// True if the process has forked since the engine was last used.
#[inline]
pub(crate) fn is_inherited(e: &Engine) -> bool {
    e.process.get() != thread::current_generation()
}

/// Creates a poller and wakeup descriptors for a child process. The parent's are not affected.
#[cold]
pub(crate) fn renew(e: &Engine) {
    e.process.set(thread::current_generation());
    e.polled.set(false);
    if let Err(err) = e.poller.renew() {
        return log_error!("cannot create a poller in a child process: {err}");
    }
    // SAFETY: the manager is alive.
    unsafe { (*e.mgr).epoll_fd = e.poller.fd() };
    for wakeup in [Some(&e.waker), e.wakeup()].into_iter().flatten() {
        if !wakeup.renew() {
            log_error!("cannot create a wakeup descriptor in a child process");
        }
        // A message sent before this first call woke the parent.
        wakeup.wake();
    }
    if let Err(err) = e.poller.add(e.waker.fd(), poller::WAKER, false) {
        log_error!("cannot poll the wakeup descriptor: {err}");
    }
    for rec in e.recs().filter(|rec| rec.registered.get()) {
        let done = match rec.rest.get() {
            Rest::Polled => e.poller.add_stream(rec.fd.get(), rec.token()).map(|_| ()),
            _ => e.poller.add(rec.fd.get(), rec.token(), rec.armed.get()),
        };
        if let Err(err) = done {
            log_error!("cannot poll descriptor {}: {err}", rec.fd.get());
        }
    }
}

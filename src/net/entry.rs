//! The lock around a manager's engine. The polling thread holds it except while it sleeps in the kernel, so calls from other
//! threads always find the engine at rest. C applications make such calls, and the original library allows them.

use super::engine::Engine;
use super::fork;
use super::handle::ConnRef;
use crate::abi::{mg_connection, mg_mgr};
use crate::platform::thread;
use crate::sys::log::log_error;

/// How long a call from another thread waits for the engine. Without a limit, a handler that waits for that thread would
/// deadlock.
const PATIENCE_MS: u64 = 1000;

/// Another thread holds the engine.
#[derive(Debug)]
pub(crate) struct Busy;

/// An API call in progress: this thread owns the engine, and no closed connection is freed before the call ends.
pub(crate) struct Entry<'e> {
    e: &'e Engine,
    outermost: bool,
}

impl core::ops::Deref for Entry<'_> {
    type Target = Engine;
    fn deref(&self) -> &Engine {
        self.e
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let e = self.e;
        if !self.outermost {
            return e.exit();
        }
        if e.is_dead() && e.callback_depth() == 1 {
            // Nobody else can reach the engine any more.
            return e.exit();
        }
        e.exit();
        if e.poller.is_waiting() {
            // The sleeping thread is not aware of new timers, deadlines and output.
            e.waker.wake();
        }
        // The sleeping thread frees a dead engine as soon as it gets the lock.
        if e.is_dead() { e.lock.release_last() } else { e.lock.release() }
    }
}

impl Engine {
    /// Begins an API call on this engine.
    #[inline]
    pub(crate) fn entry(&self) -> Result<Entry<'_>, Busy> {
        let me = thread::id();
        if self.lock.is_mine(me) {
            self.enter();
            if fork::is_inherited(self) {
                // A handler has forked and continues in the child.
                fork::renew(self);
            }
            return Ok(Entry { e: self, outermost: false });
        }
        self.first_entry(me)
    }

    fn first_entry(&self, me: usize) -> Result<Entry<'_>, Busy> {
        let inherited = fork::is_inherited(self);
        if inherited {
            self.lock.forget();
        }
        if !self.lock.take(me, PATIENCE_MS) {
            log_error!("called from another thread while a handler is running: see mg_wakeup");
            return Err(Busy);
        }
        self.enter();
        if inherited {
            fork::renew(self);
        }
        Ok(Entry { e: self, outermost: true })
    }

    /// Begins an API call on a manager. None if it has no engine or if another thread holds it.
    ///
    /// # Safety
    /// As [`Engine::of`].
    pub(crate) unsafe fn enter_mgr<'e>(mgr: *mut mg_mgr) -> Option<Entry<'e>> {
        // SAFETY: guaranteed by the caller.
        unsafe { Engine::of(mgr) }.and_then(|e| e.entry().ok())
    }

    /// Releases the lock while `sleep` runs, which must not touch the engine.
    pub(crate) fn while_unlocked(&self, sleep: &mut dyn FnMut()) {
        self.lock.release();
        sleep();
        self.lock.take(thread::id(), u64::MAX);
    }
}

impl ConnRef {
    /// Begins a call of the API on a connection; Ok(None) for one that the application put together itself.
    #[inline]
    pub(crate) fn entry<'e>(self) -> Result<Option<Entry<'e>>, Busy> {
        self.engine().map(Engine::entry).transpose()
    }
}

/// Like [`ConnRef::entry`], with Ok(None) for NULL.
///
/// # Safety
/// `c` is NULL or a connection.
#[inline]
pub(crate) unsafe fn enter_conn<'e>(c: *mut mg_connection) -> Result<Option<Entry<'e>>, Busy> {
    // SAFETY: guaranteed by the caller.
    if c.is_null() { Ok(None) } else { unsafe { ConnRef::new(c) }.entry() }
}

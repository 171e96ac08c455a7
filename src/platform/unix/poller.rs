//! Readiness through mio, also on Windows. Every socket is registered once, edge-triggered; writability is added when a send is
//! partial for the first time.

use super::source;
pub(crate) use crate::platform::common::{Ready, WAKER, split_token, token};
use core::cell::{Cell, UnsafeCell};
use core::ffi::c_int;
use mio::{Events, Interest, Poll, Registry, Token};
use std::io;
use std::time::Duration;

/// Whether there is always a network, as far as this platform knows.
pub(crate) const ALWAYS_UP: bool = true;

/// What one wait reports at most.
pub(crate) const MOST: usize = 1024;

pub(crate) struct Poller {
    /// Sockets are registered while another thread sleeps in `sleep`.
    registry: UnsafeCell<Registry>,
    /// Only for the thread that has set `waiting`.
    poll: UnsafeCell<(Poll, Events)>,
    waiting: Cell<bool>,
}

fn open() -> io::Result<(Registry, (Poll, Events))> {
    let poll = Poll::new()?;
    Ok((poll.registry().try_clone()?, (poll, Events::with_capacity(MOST))))
}

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        let (registry, poll) = open()?;
        Ok(Poller { registry: registry.into(), poll: poll.into(), waiting: Cell::new(false) })
    }

    /// Starts again with nothing registered. Leaves the old poller alone: another process may use it.
    pub(crate) fn renew(&self) -> io::Result<()> {
        let (registry, poll) = open()?;
        // A thread that was waiting does not exist in this process.
        self.waiting.set(false);
        // SAFETY: nobody waits, and the registry is borrowed in single calls only.
        unsafe {
            *self.registry.get() = registry;
            *self.poll.get() = poll;
        }
        Ok(())
    }

    fn registry(&self) -> &Registry {
        // SAFETY: replaced by renew only, during which nobody has the reference.
        unsafe { &*self.registry.get() }
    }

    /// The system knows best.
    #[inline]
    pub(crate) fn is_up(&self) -> bool {
        true
    }

    /// There is no interface of the application's.
    #[inline]
    pub(crate) fn detach(&self, _ifp: *mut crate::abi::mg_tcpip_if) {}

    /// Everything has left already.
    #[inline]
    pub(crate) fn flush(&self) {}

    pub(crate) fn fd(&self) -> c_int {
        source::descriptor(self.registry())
    }

    pub(crate) fn add(&self, fd: c_int, token: usize, writable: bool) -> io::Result<()> {
        source::add(self.registry(), fd, Token(token), interest(writable))
    }

    pub(crate) fn arm_writable(&self, fd: c_int, token: usize) -> io::Result<()> {
        source::change(self.registry(), fd, Token(token), interest(true))
    }

    pub(crate) fn remove(&self, fd: c_int) {
        source::remove(self.registry(), fd);
    }

    /// True if a thread is in [`Poller::wait`].
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.get()
    }

    /// Waits at most `timeout` (None: no limit) and appends the ready sockets. A signal ends the wait with none. `sleep` runs the
    /// system call passed to it. Must not be called while [`Poller::is_waiting`].
    pub(crate) fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>, sleep: impl FnOnce(&mut dyn FnMut())) {
        if self.waiting.replace(true) {
            return;
        }
        // SAFETY: `waiting` is set by this call alone.
        let (poll, events) = unsafe { &mut *self.poll.get() };
        events.clear();
        let mut done = false;
        sleep(&mut || done = poll.poll(events, timeout).is_ok());
        self.waiting.set(false);
        if done {
            ready.extend(events.iter().map(|e| Ready {
                token: e.token().0,
                readable: e.is_readable() || e.is_read_closed() || e.is_write_closed(),
                writable: e.is_writable(),
                hup: e.is_read_closed(),
                error: source::is_error(e),
            }));
        }
    }
}

fn interest(writable: bool) -> Interest {
    if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

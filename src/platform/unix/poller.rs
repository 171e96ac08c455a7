//! Readiness through mio, also on Windows. Every socket is registered once; writability is added when a send is partial for the first
//! time. Edge-triggered but for accepted streams where the system can do better ([`Rest::Polled`]).

use super::source;
pub(crate) use crate::platform::common::{Ready, Rest, WAKER, split_token, token};
use core::cell::{Cell, UnsafeCell};
use core::ffi::c_int;
use mio::{Events, Interest, Poll, Registry, Token};
use std::io;
use std::time::Duration;

/// Whether this platform always has a network.
pub(crate) const ALWAYS_UP: bool = true;

/// Maximum number of events per wait.
pub(crate) const MOST: usize = 1024;

pub(crate) struct Poller {
    /// Sockets are registered while another thread sleeps in `sleep`.
    registry: UnsafeCell<Registry>,
    /// Accessed only by the thread that has set `waiting`.
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

    /// Starts over with nothing registered. Does not touch the old poller, which another process may use.
    pub(crate) fn renew(&self) -> io::Result<()> {
        let (registry, poll) = open()?;
        // A waiting thread does not exist in this process.
        self.waiting.set(false);
        // SAFETY: no thread waits, and the registry is only borrowed within single calls.
        unsafe {
            *self.registry.get() = registry;
            *self.poll.get() = poll;
        }
        Ok(())
    }

    fn registry(&self) -> &Registry {
        // SAFETY: only renew replaces it, while no such reference exists.
        unsafe { &*self.registry.get() }
    }

    /// Left to the system.
    #[inline]
    pub(crate) fn is_up(&self, _is_ip6: bool, _has_reached: bool) -> bool {
        true
    }

    /// The application has no interface of its own here.
    #[inline]
    pub(crate) fn detach(&self, _ifp: *mut crate::abi::mg_tcpip_if) {}

    /// Nothing to do: the system sends by itself.
    #[inline]
    pub(crate) fn flush(&self) {}

    pub(crate) fn fd(&self) -> c_int {
        source::descriptor(self.registry())
    }

    pub(crate) fn add(&self, fd: c_int, token: usize, writable: bool) -> io::Result<()> {
        source::add(self.registry(), fd, Token(token), interest(writable))
    }

    /// Adds an accepted stream, for input. Most never need more.
    pub(crate) fn add_stream(&self, fd: c_int, token: usize) -> io::Result<Rest> {
        source::add_stream(self.registry(), fd, Token(token))
    }

    /// Watches a socket for input and output, edge-triggered from now on.
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
        // SAFETY: only this call sets `waiting`.
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

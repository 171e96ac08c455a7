//! Readiness through mio: every socket is registered once, edge triggered; writability is asked for the first time a send
//! does not take everything.

use core::cell::{Cell, UnsafeCell};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

#[derive(Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) token: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more, or the connection is gone.
    pub(crate) hup: bool,
    pub(crate) error: bool,
}

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

    /// Starts anew with nothing registered. What the old poller watched is left as it is: another process may use it.
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

    pub(crate) fn fd(&self) -> RawFd {
        self.registry().as_raw_fd()
    }

    pub(crate) fn add(&self, fd: RawFd, token: usize, writable: bool) -> io::Result<()> {
        self.registry().register(&mut SourceFd(&fd), Token(token), interest(writable))
    }

    pub(crate) fn arm_writable(&self, fd: RawFd, token: usize) -> io::Result<()> {
        self.registry().reregister(&mut SourceFd(&fd), Token(token), interest(true))
    }

    pub(crate) fn remove(&self, fd: RawFd) {
        let _ = self.registry().deregister(&mut SourceFd(&fd));
    }

    /// Whether a thread is in [`Poller::wait`].
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.get()
    }

    /// Waits at most `timeout` (None: no limit) and appends what is ready. A signal ends the wait with nothing. `sleep` runs the
    /// system call that it is given. Not while [`Poller::is_waiting`].
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
                error: e.is_error(),
            }));
        }
    }
}

/// The token of the engine's own wakeup descriptor.
pub(crate) const WAKER: usize = usize::MAX;

/// Slots take the lower half of an event's token, their generation the upper.
const SLOT_BITS: u32 = usize::BITS / 2 + if usize::BITS == 32 { 4 } else { 0 };

/// Equal for two uses of a slot only after the generation has wrapped around.
pub(crate) fn token(slot: u32, generation: u32) -> usize {
    slot as usize | (generation as usize) << SLOT_BITS & (usize::MAX >> 1)
}

pub(crate) fn split_token(token: usize) -> (u32, u32) {
    ((token & ((1 << SLOT_BITS) - 1)) as u32, (token >> SLOT_BITS) as u32)
}

fn interest(writable: bool) -> Interest {
    if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

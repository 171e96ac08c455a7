//! Readiness through mio: every socket is registered once, edge triggered; writability is asked for the first time a send
//! does not take everything.

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
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

pub(crate) struct Poller {
    poll: Poll,
    events: Events,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        Ok(Poller { poll: Poll::new()?, events: Events::with_capacity(1024) })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    pub(crate) fn add(&self, fd: RawFd, token: usize, writable: bool) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&fd), Token(token), interest(writable))
    }

    pub(crate) fn arm_writable(&self, fd: RawFd, token: usize) -> io::Result<()> {
        self.poll.registry().reregister(&mut SourceFd(&fd), Token(token), interest(true))
    }

    pub(crate) fn remove(&self, fd: RawFd) {
        let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
    }

    /// Waits at most `timeout` (None: no limit) and appends what is ready. A signal ends the wait with nothing.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) {
        self.events.clear();
        if self.poll.poll(&mut self.events, timeout).is_err() {
            return;
        }
        ready.extend(self.events.iter().map(|e| Ready {
            token: e.token().0,
            readable: e.is_readable() || e.is_read_closed() || e.is_write_closed(),
            writable: e.is_writable(),
            hup: e.is_read_closed(),
            error: e.is_error(),
        }));
    }
}

/// The token of the engine's own wakeup descriptor.
pub(crate) const DOOR: usize = usize::MAX;

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

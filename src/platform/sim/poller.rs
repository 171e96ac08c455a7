//! Readiness like epoll's: recorded when something happens, reported once, with everything that is true at that moment. Level-triggered
//! sockets are reported until nothing is true any more.

use super::world;
pub(crate) use crate::platform::common::{Ready, Rest, WAKER, split_token, token};
use core::cell::Cell;
use core::ffi::c_int;
use std::io;
use std::time::Duration;

pub(crate) struct Poller {
    id: usize,
    waiting: Cell<bool>,
}

pub(crate) use crate::platform::unix::poller::{ALWAYS_UP, MOST};

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        Ok(Poller { id: world::with(|w| w.open_poller()), waiting: Cell::new(false) })
    }

    pub(crate) fn renew(&self) -> io::Result<()> {
        Ok(())
    }

    /// The poller has no descriptor.
    pub(crate) fn fd(&self) -> c_int {
        c_int::MAX - self.id as c_int
    }

    pub(crate) fn is_up(&self, _is_ip6: bool, _has_reached: bool) -> bool {
        true
    }

    pub(crate) fn detach(&self, _ifp: *mut crate::abi::mg_tcpip_if) {}

    pub(crate) fn flush(&self) {}

    pub(crate) fn add(&self, fd: c_int, token: usize, writable: bool) -> io::Result<()> {
        self.watch(fd, token, writable, false)
    }

    pub(crate) fn add_stream(&self, fd: c_int, token: usize) -> io::Result<Rest> {
        let again = world::with(|w| w.climate.reports_again);
        self.watch(fd, token, false, again)?;
        Ok(if again { Rest::Polled } else { Rest::Unknown })
    }

    pub(crate) fn arm_writable(&self, fd: c_int, token: usize) -> io::Result<()> {
        self.watch(fd, token, true, false)
    }

    fn watch(&self, fd: c_int, token: usize, writable: bool, again: bool) -> io::Result<()> {
        match world::with(|w| w.watch(self.id, fd, token, writable, again)) {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    pub(crate) fn remove(&self, fd: c_int) {
        world::with(|w| w.unwatch(fd));
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.get()
    }

    pub(crate) fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>, sleep: impl FnOnce(&mut dyn FnMut())) {
        if self.waiting.replace(true) {
            return;
        }
        let us = timeout.map(|t| u64::try_from(t.as_micros()).unwrap_or(u64::MAX));
        sleep(&mut || world::wait(self.id, us));
        self.waiting.set(false);
        world::with(|w| w.harvest(self.id, MOST, |r| ready.push(r)));
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        world::with(|w| w.close_poller(self.id));
    }
}

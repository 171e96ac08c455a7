//! Ends the wait of a poller. A world belongs to one thread, so only that thread's wakeups arrive.

use super::world;
pub(crate) use crate::platform::common::guarded::{Guarded, LIMIT};
pub(crate) use crate::platform::unix::waker::{Pages, pause, undisturbed};
use core::ffi::c_int;

pub(crate) struct Waker(c_int);

impl Waker {
    pub(crate) fn new() -> Option<Waker> {
        Some(Waker(world::with(|w| w.open_waker())))
    }

    pub(crate) fn fd(&self) -> c_int {
        self.0
    }

    /// A world is not shared with child processes.
    pub(crate) fn renew(&self) -> bool {
        true
    }

    pub(crate) fn wake(&self) -> bool {
        world::with(|w| w.wake(self.0, true))
    }

    pub(crate) fn reset(&self) {
        world::with(|w| w.wake(self.0, false));
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        world::with(|w| w.close(self.0));
    }
}

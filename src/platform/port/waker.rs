//! The doorbell of a manager, and what threads share.

use super::c;
use super::poller;
pub(crate) use super::shared::{Guarded, LIMIT, Pages};
use super::thread;
use core::ffi::c_int;

/// Handlers of signals and interrupts do not call the library.
pub(crate) fn undisturbed<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Lets the holder of a short lock go on, even one of lower priority.
pub(crate) fn pause() {
    thread::sleep_ms(1);
}

/// Ends the wait of a poller.
pub(crate) struct Waker(c_int);

impl Waker {
    pub(crate) fn new() -> Option<Waker> {
        let doorbell = c::mgx_port_doorbell();
        (doorbell >= 0).then_some(Waker(doorbell))
    }

    pub(crate) fn fd(&self) -> c_int {
        self.0
    }

    /// Where there are child processes, this platform is for tests, which have none.
    pub(crate) fn renew(&self) -> bool {
        true
    }

    /// Any thread may call it. False if the doorbell is broken.
    pub(crate) fn wake(&self) -> bool {
        c::mgx_port_ring(self.0) >= 0
    }

    /// Has been heard.
    pub(crate) fn reset(&self) {
        c::mgx_port_quiet(self.0);
        poller::rearm(self.0, c::MGX_PORT_READ);
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        super::sock::close(self.0);
    }
}

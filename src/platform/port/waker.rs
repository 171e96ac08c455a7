//! The doorbell of a manager, and what threads share.

use super::c;
use super::poller;
use super::thread;
pub(crate) use crate::platform::common::{Guarded, LIMIT, Pages};
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering};

/// Handlers of signals and interrupts do not call the library.
pub(crate) fn undisturbed<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Lets the holder of a short lock go on, even one of lower priority.
pub(crate) fn pause() {
    thread::sleep_ms(1);
}

/// Ends the wait of a poller.
pub(crate) struct Waker(AtomicI32);

fn open() -> Option<c_int> {
    // SAFETY: no conditions.
    let doorbell = unsafe { c::mgx_port_doorbell() };
    (doorbell >= 0).then_some(doorbell)
}

impl Waker {
    pub(crate) fn new() -> Option<Waker> {
        open().map(|doorbell| Waker(AtomicI32::new(doorbell)))
    }

    pub(crate) fn fd(&self) -> c_int {
        self.0.load(Ordering::Relaxed)
    }

    /// In a child process: another doorbell, for the parent has this one.
    pub(crate) fn renew(&self) -> bool {
        let Some(other) = open() else { return false };
        // SAFETY: no conditions.
        unsafe { c::mgx_port_close(self.fd()) };
        self.0.store(other, Ordering::Relaxed);
        true
    }

    /// Any thread may call it. False if the doorbell is broken.
    pub(crate) fn wake(&self) -> bool {
        // SAFETY: no conditions.
        unsafe { c::mgx_port_ring(self.fd()) >= 0 }
    }

    /// Has been heard.
    pub(crate) fn reset(&self) {
        // SAFETY: no conditions.
        unsafe { c::mgx_port_quiet(self.fd()) };
        poller::rearm(self.fd(), c::MGX_PORT_READ);
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        super::sock::close(self.fd());
    }
}

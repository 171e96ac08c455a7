//! For other threads: flags that the poller checks.

pub(crate) use super::shared::{Guarded, LIMIT, Pages};
use crate::memory::atomic::{AtomicU8, Ordering};
use core::ffi::c_int;

/// No signals to block.
#[cfg(feature = "std")]
pub(crate) fn undisturbed<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Yields to the holder of a spin lock.
#[cfg(feature = "std")]
pub(crate) fn pause() {
    core::hint::spin_loop();
}

const FREE: u8 = 0;
const QUIET: u8 = 1;
const RUNG: u8 = 2;

/// Wakers of all managers.
static FLAGS: [AtomicU8; 128] = [const { AtomicU8::new(FREE) }; 128];
/// Distinguishes the number of a waker from that of a socket.
const FIRST: c_int = 1 << 30;

fn flag(fd: c_int) -> Option<&'static AtomicU8> {
    FLAGS.get(usize::try_from(fd.checked_sub(FIRST)?).ok()?)
}

/// Whether this is the number of a waker.
pub(super) fn is_one(fd: c_int) -> bool {
    flag(fd).is_some()
}

/// Whether it has been woken since it was last cleared.
pub(super) fn is_rung(fd: c_int) -> bool {
    flag(fd).is_some_and(|flag| flag.load(Ordering::Acquire) == RUNG)
}

/// A flag that the poller checks.
pub(crate) struct Waker(c_int);

impl Waker {
    pub(crate) fn new() -> Option<Waker> {
        let free = |flag: &AtomicU8| flag.compare_exchange(FREE, QUIET, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        FLAGS.iter().position(free).map(|at| Waker(FIRST + at as c_int))
    }

    pub(crate) fn fd(&self) -> c_int {
        self.0
    }

    /// A child process has its own flags.
    pub(crate) fn renew(&self) -> bool {
        true
    }

    /// From any thread or interrupt handler.
    pub(crate) fn wake(&self) -> bool {
        flag(self.0).inspect(|flag| flag.store(RUNG, Ordering::Release)).is_some()
    }

    /// Clears the wakeup.
    pub(crate) fn reset(&self) {
        if let Some(flag) = flag(self.0) {
            flag.store(QUIET, Ordering::Release);
        }
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        if let Some(flag) = flag(self.0) {
            flag.store(FREE, Ordering::Release);
        }
    }
}

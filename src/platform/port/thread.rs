//! Threads, which an RTOS calls tasks.

use super::c;
#[cfg(not(feature = "std"))]
pub(crate) use crate::platform::bare::thread::*;
#[cfg(feature = "std")]
pub(crate) use crate::platform::unix::thread::*;

/// Identifies the calling thread among all live threads; never 0.
#[inline]
pub(crate) fn id() -> usize {
    c::mgx_port_thread()
}

pub(crate) fn sleep_ms(ms: u64) {
    let mut left = ms;
    while left > 0 {
        let part = u32::try_from(left).unwrap_or(u32::MAX);
        c::mgx_port_sleep(part);
        left -= u64::from(part);
    }
}

/// Calls `f` until it returns true or about `ms` milliseconds have passed. Returns its last result. Whoever it waits for may be a
/// thread of lower priority, so it sleeps, and counts by that: no clock but the application's is known here.
pub(crate) fn retry_for(ms: u64, mut f: impl FnMut() -> bool) -> bool {
    for slept in 0.. {
        if f() {
            return true;
        }
        if slept >= ms {
            break;
        }
        sleep_ms(1);
    }
    false
}

//! Thread and process identification, also on Windows.

pub(crate) use crate::platform::common::threads::*;
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::{self, Once, PoisonError};
use std::time::{Duration, Instant};

/// Identifies the calling thread among all live threads; never 0.
#[inline]
pub(crate) fn id() -> usize {
    // SAFETY: no conditions.
    #[cfg(unix)]
    return unsafe { libc::pthread_self() as usize };
    // SAFETY: no conditions.
    #[cfg(windows)]
    return unsafe { windows_sys::Win32::System::Threading::GetCurrentThreadId() as usize };
}

pub(crate) fn sleep_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Calls `f` until it returns true or `ms` milliseconds have passed. Returns its last result. Uses the system's clock, because the
/// application's may be stopped.
pub(crate) fn retry_for(ms: u64, mut f: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    for round in 0u32.. {
        if f() {
            return true;
        }
        if start.elapsed().as_millis() as u64 >= ms {
            break;
        }
        if round < 64 {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    false
}

static GENERATION: AtomicU32 = AtomicU32::new(0);

#[cfg(unix)]
extern "C" fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Identifies a process among its ancestors: the number of forks since the first call.
pub(crate) fn generation() -> u32 {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY: the handler only does what is safe after a fork.
        #[cfg(unix)]
        unsafe {
            libc::pthread_atfork(None, None, Some(forked));
        }
    });
    GENERATION.load(Ordering::Relaxed)
}

/// Like [`generation`], after the first call.
#[inline]
pub(crate) fn current_generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

pub(crate) fn process_id() -> u32 {
    std::process::id()
}

/// A mutex that stays usable after a panic.
pub(crate) struct Mutex<T>(sync::Mutex<T>);
pub(crate) use sync::MutexGuard;

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Clocks.

unsafe extern "C" {
    /// Milliseconds since the machine was started, by a clock that only moves forward. An application may define this function
    /// itself; the library then uses the application's. May be called from any thread.
    fn mg_millis() -> u64;
    /// Wall clock time, in milliseconds since 1970, at which `mg_millis` was 0; 0 as long as it is not known. Set by
    /// SNTP, or by the application.
    static mut mg_boot_timestamp_ms: u64;
}

/// Milliseconds of a monotonic clock.
pub(crate) fn millis() -> u64 {
    // SAFETY: no conditions.
    unsafe { mg_millis() }
}

/// Wall-clock time, as far as known.
pub(crate) fn now() -> u64 {
    // SAFETY: a plain number; read as one access, so that a write in another thread is seen as a whole or not at all.
    millis().wrapping_add(unsafe { (&raw const mg_boot_timestamp_ms).read_volatile() })
}

/// Sets the wall clock: `unix_ms` is the time at which `millis()` was `at`.
pub(crate) fn set(unix_ms: i64, at: u64) {
    // SAFETY: a plain number, written as one access.
    unsafe { (&raw mut mg_boot_timestamp_ms).write_volatile((unix_ms as u64).wrapping_sub(at)) };
}

/// The library's own `mg_millis`: milliseconds since the machine was started.
#[cfg(not(feature = "sim"))]
#[unsafe(no_mangle)]
extern "C" fn mgc_millis() -> u64 {
    // The raw clock does not follow corrections of its speed.
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_RAW;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: t is a timespec. The call cannot fail with a clock that exists.
    unsafe { libc::clock_gettime(CLOCK, &mut t) };
    (t.tv_sec as u64).wrapping_mul(1000).wrapping_add(t.tv_nsec as u64 / 1_000_000)
}

/// Measures time independently of the application's clock.
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(std::time::Instant::now())
    }

    pub(crate) fn ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

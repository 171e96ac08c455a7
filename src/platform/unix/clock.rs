//! Clocks.

pub(crate) use crate::platform::common::clock::*;

/// The library's own `mg_millis`: milliseconds since the machine was started.
#[cfg(not(feature = "sim"))]
#[unsafe(no_mangle)]
extern "C" fn mgc_millis() -> u64 {
    since_boot()
}

#[cfg(all(unix, not(feature = "sim")))]
fn since_boot() -> u64 {
    // The raw clock ignores adjustments of its rate.
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_RAW;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: t is a timespec. The call cannot fail with a clock that exists.
    unsafe { libc::clock_gettime(CLOCK, &mut t) };
    (t.tv_sec as u64).wrapping_mul(1000).wrapping_add(t.tv_nsec as u64 / 1_000_000)
}

/// Not GetTickCount64, whose resolution is 16 ms.
#[cfg(windows)]
fn since_boot() -> u64 {
    use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};
    let (mut ticks, mut per_second) = (0, 0);
    // SAFETY: both write one number. They cannot fail on any supported Windows.
    unsafe {
        QueryPerformanceCounter(&mut ticks);
        QueryPerformanceFrequency(&mut per_second);
    }
    (ticks.max(0) as u128 * 1000 / per_second.max(1) as u128) as u64
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

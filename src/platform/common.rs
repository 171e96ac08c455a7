//! Shared by the platforms: results of transfers, readiness, a lock, and sockets that are plain numbers.

use core::ffi::c_int;

/// The result of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Io {
    /// The number of bytes; 0 from a read is the end of the stream.
    Done(usize),
    Wait,
    Failed(c_int),
}

/// How the engine learns that a stream holds no more input after a read. That a read did not fill its buffer proves nothing: the kernel
/// stops at urgent data and between messages with descriptors, and other platforms may have their own reasons.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(dead_code, reason = "no platform has all three")]
pub(crate) enum Rest {
    /// Only from a read that finds nothing, which costs another call per request.
    #[default]
    Unknown,
    /// The kernel reports with each read how much is left.
    Told,
    /// From the poller, which reports the socket again as long as something is left.
    Polled,
}

#[derive(Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) token: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer has shut down its side, or the connection is gone.
    pub(crate) hup: bool,
    pub(crate) error: bool,
}

/// The token of the engine's own wakeup descriptor.
pub(crate) const WAKER: usize = usize::MAX;

/// Slots take the lower half of an event's token, their generation the upper.
const SLOT_BITS: u32 = usize::BITS / 2 + if usize::BITS == 32 { 4 } else { 0 };

/// Equal for two uses of a slot only after the generation has wrapped around.
pub(crate) fn token(slot: u32, generation: u32) -> usize {
    slot as usize | (generation as usize) << SLOT_BITS & (usize::MAX >> 1)
}

pub(crate) fn split_token(token: usize) -> (u32, u32) {
    ((token & ((1 << SLOT_BITS) - 1)) as u32, (token >> SLOT_BITS) as u32)
}

/// What threads share over an operating system. Without one, `bare` has its own.
#[cfg(any(feature = "std", feature = "port"))]
pub(crate) mod guarded {
    use super::super::thread;
    use super::super::waker::{pause, undisturbed};
    use crate::memory::atomic::{AtomicU32, Ordering};
    use core::cell::UnsafeCell;

    /// Maximum number of bytes that may wait for a manager; senders are refused beyond it.
    pub(crate) const LIMIT: usize = 64 << 20;

    /// Data shared between threads, and with signal handlers where there are any, behind a short spin lock.
    pub(crate) struct Guarded<T> {
        /// The process that holds it, by [`thread::current_generation`] plus one; 0 for none.
        lock: AtomicU32,
        value: UnsafeCell<T>,
    }

    // SAFETY: the value is only touched with the lock held.
    unsafe impl<T: Send> Sync for Guarded<T> {}

    impl<T> Guarded<T> {
        pub(crate) const fn new(value: T) -> Guarded<T> {
            Guarded { lock: AtomicU32::new(0), value: UnsafeCell::new(value) }
        }

        pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            undisturbed(|| {
                let process = thread::current_generation().wrapping_add(1);
                loop {
                    let held = self.lock.load(Ordering::Relaxed);
                    // A thread that held it during a fork does not exist in the child.
                    if held != process && self.lock.compare_exchange(held, process, Ordering::Acquire, Ordering::Relaxed).is_ok()
                    {
                        break;
                    }
                    pause();
                }
                // SAFETY: ours while the lock is held.
                let r = f(unsafe { &mut *self.value.get() });
                self.lock.store(0, Ordering::Release);
                r
            })
        }
    }
}

/// Threads that the library starts.
#[cfg(feature = "std")]
pub(crate) mod threads {
    use std::thread;
    use std::time::Duration;

    #[cfg(unix)]
    pub(crate) use super::pthreads::{Handle, spawn};

    /// A thread that can be joined.
    #[cfg(windows)]
    pub(crate) struct Handle(thread::JoinHandle<()>);

    #[cfg(windows)]
    impl Handle {
        pub(crate) fn join(self) {
            // A panic has already been reported.
            let _ = self.0.join();
        }
    }

    /// None if the system cannot start another thread.
    #[cfg(windows)]
    pub(crate) fn spawn(f: impl FnOnce() + Send + 'static) -> Option<Handle> {
        thread::Builder::new().spawn(f).ok().map(Handle)
    }

    /// The number of processors that the process may use.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn cpus() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// As above. std looks for a container's quota in many more places, with 15 KB of code.
    #[cfg(target_os = "linux")]
    pub(crate) fn cpus() -> usize {
        // SAFETY: all-zero is an empty set; the call fills it.
        let allowed = unsafe {
            let mut set: libc::cpu_set_t = core::mem::zeroed();
            let known = libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) == 0;
            if known { libc::CPU_COUNT(&set) } else { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) as core::ffi::c_int }
        };
        let quota = std::fs::read("/sys/fs/cgroup/cpu.max").ok().and_then(|text| cpu_quota(&text));
        usize::try_from(allowed).unwrap_or(1).min(quota.unwrap_or(usize::MAX)).max(1)
    }

    /// The processors that a line of cpu.max grants: `150000 100000`, or `max 100000` without a limit.
    #[cfg(any(target_os = "linux", test))]
    fn cpu_quota(text: &[u8]) -> Option<usize> {
        let mut numbers = core::str::from_utf8(text).ok()?.split_ascii_whitespace().map(|n| n.parse::<usize>().ok());
        let (quota, period) = (numbers.next()??, numbers.next()??);
        quota.checked_div(period)
    }

    #[test]
    fn quotas_of_processors() {
        for (text, want) in [
            ("max 100000\n", None),
            ("250000 100000\n", Some(2)),
            ("50000 100000\n", Some(0)),
            ("1 0\n", None),
            ("", None),
            ("300000", None),
        ] {
            assert_eq!(cpu_quota(text.as_bytes()), want, "{text:?}");
        }
        assert!(cpus() >= 1);
    }

    /// Yields to other threads.
    pub(crate) fn give_way() {
        thread::sleep(Duration::from_micros(100));
    }
}

/// std's threads, with their names, thread-locals and backtraces, would add a tenth to a small library.
#[cfg(all(unix, feature = "std"))]
mod pthreads {
    use crate::memory::prelude::*;
    use core::ffi::c_void;
    use core::mem::MaybeUninit;
    use core::ptr;

    /// A thread that can be joined.
    pub(crate) struct Handle(libc::pthread_t);

    impl Handle {
        pub(crate) fn join(self) {
            // SAFETY: the thread is not joined elsewhere.
            unsafe { libc::pthread_join(self.0, ptr::null_mut()) };
        }
    }

    extern "C" fn begin<F: FnOnce()>(f: *mut c_void) -> *mut c_void {
        // SAFETY: `spawn` created it for this thread.
        let f = unsafe { Box::from_raw(f.cast::<F>()) };
        f();
        ptr::null_mut()
    }

    /// None if the system cannot start another thread.
    pub(crate) fn spawn<F: FnOnce() + Send + 'static>(f: F) -> Option<Handle> {
        let f = Box::into_raw(Box::new(f)).cast();
        let mut id = MaybeUninit::uninit();
        // SAFETY: `begin` takes ownership; if no thread starts, it is still ours.
        unsafe {
            if libc::pthread_create(id.as_mut_ptr(), ptr::null(), begin::<F>, f) == 0 {
                return Some(Handle(id.assume_init()));
            }
            drop(Box::from_raw(f.cast::<F>()));
        }
        None
    }
}

/// Sockets without a descriptor: a number that closes itself, with the methods that std's have.
#[cfg(any(feature = "sim", feature = "tcpip", feature = "port", windows))]
pub(crate) mod numbers {
    use super::super::sock::close;
    use core::ffi::c_int;

    pub(crate) struct OwnedFd(c_int);

    pub(crate) trait AsRawFd {
        fn as_raw_fd(&self) -> c_int;
    }

    pub(crate) trait FromRawFd {
        /// # Safety
        /// The caller owns the socket.
        unsafe fn from_raw_fd(fd: c_int) -> Self;
    }

    pub(crate) trait IntoRawFd {
        fn into_raw_fd(self) -> c_int;
    }

    impl AsRawFd for OwnedFd {
        fn as_raw_fd(&self) -> c_int {
            self.0
        }
    }

    impl FromRawFd for OwnedFd {
        unsafe fn from_raw_fd(fd: c_int) -> OwnedFd {
            OwnedFd(fd)
        }
    }

    impl IntoRawFd for OwnedFd {
        fn into_raw_fd(self) -> c_int {
            core::mem::ManuallyDrop::new(self).0
        }
    }

    impl Drop for OwnedFd {
        fn drop(&mut self) {
            close(self.0);
        }
    }
}

/// The longest datagram that is received whole: as long as there can be, or without an operating system as Ethernet carries.
#[cfg(any(feature = "port", all(feature = "std", not(feature = "tcpip"))))]
pub(crate) const DATAGRAM: usize = if cfg!(feature = "std") { 1 << 16 } else { 1536 };

/// Scratch memory of a manager, too large for the stack of a small thread. Never initialised.
#[cfg(any(feature = "port", all(feature = "std", not(feature = "tcpip"))))]
#[derive(Default)]
pub(crate) struct Scratch(alloc::vec::Vec<u8>);

#[cfg(any(feature = "port", all(feature = "std", not(feature = "tcpip"))))]
impl Scratch {
    /// `DATAGRAM` bytes; empty when out of memory.
    pub(crate) fn room(&mut self) -> &mut [core::mem::MaybeUninit<u8>] {
        if self.0.capacity() < DATAGRAM && !crate::memory::grow(&mut self.0, DATAGRAM) {
            return &mut [];
        }
        self.0.spare_capacity_mut()
    }
}

/// The clocks that applications may replace.
pub(crate) mod clock {
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
        // SAFETY: a plain number, read in one access, so a write in another thread is seen completely or not at all.
        millis().wrapping_add(unsafe { (&raw const mg_boot_timestamp_ms).read_volatile() })
    }

    /// Sets the wall clock: `unix_ms` is the time at which `millis()` was `at`.
    pub(crate) fn set(unix_ms: i64, at: u64) {
        // SAFETY: a plain number, written in one access.
        unsafe { (&raw mut mg_boot_timestamp_ms).write_volatile((unix_ms as u64).wrapping_sub(at)) };
    }
}

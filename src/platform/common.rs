//! What the platforms share: results of transfers, readiness, a lock, messages of threads, and sockets that are numbers only.

use super::thread;
use super::waker::{pause, undisturbed};
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering};

/// What a transfer came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Io {
    /// So many bytes; from a read, 0 is the end of the stream.
    Done(usize),
    Wait,
    Failed(c_int),
}

#[derive(Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) token: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more, or the connection is gone.
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
                // Whoever held it during a fork does not exist in the child.
                if held != process && self.lock.compare_exchange(held, process, Ordering::Acquire, Ordering::Relaxed).is_ok() {
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

/// Sockets without a descriptor: a number that closes itself, with the methods that std's have.
#[cfg(any(feature = "sim", feature = "tcpip", feature = "port"))]
pub(crate) mod numbers {
    use super::super::sock::close;
    use core::ffi::c_int;

    pub(crate) struct OwnedFd(c_int);

    pub(crate) trait AsRawFd {
        fn as_raw_fd(&self) -> c_int;
    }

    pub(crate) trait FromRawFd {
        /// # Safety
        /// The socket is nobody else's.
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

/// A growable run of bytes.
#[cfg(any(feature = "tcpip", feature = "port"))]
pub(crate) struct Pages {
    bytes: alloc::vec::Vec<u8>,
    /// Whose they are: a process as in [`Guarded`].
    pub(crate) process: u32,
}

#[cfg(any(feature = "tcpip", feature = "port"))]
impl Pages {
    pub(crate) const EMPTY: Pages = Pages::of(0);

    /// None yet, of this process.
    pub(crate) const fn of(process: u32) -> Pages {
        Pages { bytes: alloc::vec::Vec::new(), process }
    }

    /// Appends both parts, or nothing. False when that is too much or out of memory.
    pub(crate) fn push(&mut self, parts: [&[u8]; 2]) -> bool {
        let more = parts[0].len() + parts[1].len();
        if self.bytes.len() + more > LIMIT || self.bytes.try_reserve(more).is_err() {
            return false;
        }
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        true
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(crate) fn unmap(&mut self) {
        self.bytes = alloc::vec::Vec::new();
    }
}

//! Data shared between interrupt handlers and the polling loop.

use core::cell::UnsafeCell;

/// Maximum number of bytes that may wait; senders are refused beyond it.
pub(crate) const LIMIT: usize = 256;

/// Data that is accessed in critical sections only.
pub(crate) struct Guarded<T>(UnsafeCell<T>);

// SAFETY: see `with`.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub(crate) const fn new(value: T) -> Guarded<T> {
        Guarded(UnsafeCell::new(value))
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: a critical section excludes all others.
        critical_section::with(|_| f(unsafe { &mut *self.0.get() }))
    }
}

/// A byte buffer of fixed size: interrupt handlers may not call an allocator.
pub(crate) struct Pages {
    bytes: [u8; LIMIT],
    len: usize,
    pub(crate) process: u32,
}

impl Pages {
    pub(crate) const EMPTY: Pages = Pages::of(0);

    pub(crate) const fn of(process: u32) -> Pages {
        Pages { bytes: [0; LIMIT], len: 0, process }
    }

    /// Appends both parts, or nothing. False if they do not fit.
    pub(crate) fn push(&mut self, parts: [&[u8]; 2]) -> bool {
        let fits = parts[0].len() + parts[1].len() <= LIMIT - self.len;
        for part in parts.into_iter().filter(|_| fits) {
            self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
            self.len += part.len();
        }
        fits
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    pub(crate) fn unmap(&mut self) {
        self.len = 0;
    }
}

//! Data shared between threads under an operating system: a lock, and memory that can grow. `bare` has its own version.

pub(crate) use crate::platform::common::guarded::{Guarded, LIMIT};
use alloc::vec::Vec;

/// A growable byte buffer.
pub(crate) struct Pages {
    bytes: Vec<u8>,
    /// The owning process, as in [`Guarded`].
    pub(crate) process: u32,
}

impl Pages {
    pub(crate) const EMPTY: Pages = Pages::of(0);

    /// Empty, for this process.
    pub(crate) const fn of(process: u32) -> Pages {
        Pages { bytes: Vec::new(), process }
    }

    /// Appends both parts, or nothing. False if over the limit or out of memory.
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
        self.bytes = Vec::new();
    }
}

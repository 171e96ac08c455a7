//! Text on its way from an argument to a sink.

use core::marker::PhantomData;

/// Readable bytes, held as a pointer instead of a slice: programs print from a buffer into the same buffer.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    start: *const u8,
    len: usize,
    memory: PhantomData<&'a [u8]>,
}

impl<'a> Text<'a> {
    #[inline]
    pub(crate) fn of(s: &'a [u8]) -> Text<'a> {
        Text { start: s.as_ptr(), len: s.len(), memory: PhantomData }
    }

    /// # Safety
    /// `len` bytes at `start` are readable during `'a`.
    #[inline]
    pub(crate) unsafe fn new(start: *const u8, len: usize) -> Text<'a> {
        Text { start, len, memory: PhantomData }
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn as_ptr(self) -> *const u8 {
        self.start
    }
}

/// Collects the output in unit tests.
#[cfg(test)]
impl super::engine::Out for Vec<u8> {
    fn text(&mut self, s: Text<'_>) {
        // SAFETY: readable by the invariant of Text, and not inside this vector.
        self.extend_from_slice(unsafe { core::slice::from_raw_parts(s.start, s.len) });
    }
}

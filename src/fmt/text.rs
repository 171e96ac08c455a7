//! Text and digits between argument and sink.

use core::marker::PhantomData;

/// Readable bytes, held as a pointer instead of a slice: applications print from a buffer into the same buffer.
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

/// An output sink.
pub(crate) trait Out {
    fn text(&mut self, s: Text<'_>);

    #[inline]
    fn bytes(&mut self, s: &[u8]) {
        self.text(Text::of(s));
    }

    /// How many bytes may still come that are not just dropped.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// Writes `c` `n` times.
    fn fill(&mut self, c: u8, n: usize) {
        let block = [c; 32];
        // Widths and precisions can be huge; a fixed-size buffer is full early.
        let mut n = n.min(self.room());
        while n > 0 {
            let part = n.min(block.len());
            self.bytes(&block[..part]);
            n -= part;
        }
    }
}

/// Digits of a number, written from the end.
pub(super) struct Digits {
    buf: [u8; 24],
    start: usize,
}

impl Digits {
    pub(super) fn of(mut v: u64, base: u64) -> Digits {
        let mut d = Digits { buf: [0; 24], start: 24 };
        loop {
            d.push(b"0123456789abcdef"[(v % base) as usize]);
            v /= base;
            if v == 0 {
                return d;
            }
        }
    }

    pub(super) fn signed(v: i64) -> Digits {
        let mut d = Digits::of(v.unsigned_abs(), 10);
        if v < 0 {
            d.push(b'-');
        }
        d
    }

    #[inline]
    fn push(&mut self, c: u8) {
        self.start -= 1;
        self.buf[self.start] = c;
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.buf[self.start..]
    }
}

/// Collects the output in unit tests.
#[cfg(test)]
impl Out for Vec<u8> {
    fn text(&mut self, s: Text<'_>) {
        // SAFETY: readable by the invariant of Text, and not inside this vector.
        self.extend_from_slice(unsafe { core::slice::from_raw_parts(s.start, s.len) });
    }
}

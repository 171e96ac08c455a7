//! Views of C memory. Every view is made for one use and never kept across a call into the application.

use crate::abi::mg_str;
use core::ffi::{CStr, c_char, c_int, c_long};

unsafe extern "C" {
    fn strlen(s: *const c_char) -> usize;
    fn strnlen(s: *const c_char, max: usize) -> usize;
    fn strtol(s: *const c_char, end: *mut *mut c_char, base: c_int) -> c_long;
}

/// No object is larger. Applications pass lengths such as -1 where they know that less is used, or by mistake.
fn possible(n: usize) -> usize {
    n.min(isize::MAX as usize)
}

/// The bytes at `p`; empty when `p` is NULL or `n` is 0.
///
/// # Safety
/// A non-NULL `p` points at `n` readable bytes that nobody writes during `'a`.
#[inline]
pub(crate) unsafe fn slice<'a>(p: *const u8, n: usize) -> &'a [u8] {
    if p.is_null() || n == 0 {
        return &[];
    }
    // SAFETY: non-NULL, and the caller vouches for the rest.
    unsafe { core::slice::from_raw_parts(p, possible(n)) }
}

/// The bytes before the NUL at `p`, examining at most `max`. `p` is not NULL.
///
/// # Safety
/// `max` bytes at `p` are readable, or all up to a NUL, and nobody writes them during `'a`.
#[inline]
pub(crate) unsafe fn until_nul<'a>(p: *const c_char, max: Option<usize>) -> &'a [u8] {
    // SAFETY: as the caller promises.
    unsafe { core::slice::from_raw_parts(p.cast(), nul_at(p, max)) }
}

/// Number of bytes before the NUL at `p`, examining at most `max`.
///
/// # Safety
/// As [`until_nul`].
#[inline]
pub(crate) unsafe fn nul_at(p: *const c_char, max: Option<usize>) -> usize {
    // SAFETY: as the caller promises; neither function reads past a NUL.
    unsafe {
        match max {
            Some(max) => strnlen(p, max),
            None => strlen(p),
        }
    }
}

/// Copies `len` bytes, which may overlap.
///
/// C libraries copy much with `rep movsb`. On AMD's Zen that takes 15 times as long if the destination lies up to 15 bytes behind the
/// source, as seen in the addresses within a page, and blocks of one size that follow each other in the heap do lie so: such bytes are
/// copied in pieces too small for that instruction.
///
/// # Safety
/// As `core::ptr::copy`.
#[inline]
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: as the caller promises.
    unsafe { if len <= PIECE { core::ptr::copy(from, to, len) } else { copy_much(from, to, len) } }
}

const PIECE: usize = 1024;

#[inline(never)]
unsafe fn copy_much(from: *const u8, to: *mut u8, len: usize) {
    const PAGE: usize = 4096;
    let behind = to.addr().wrapping_sub(from.addr());
    // Bytes that overlap a source in front of them cannot be copied forwards.
    let piece = if (1..16).contains(&(behind % PAGE)) && behind >= len { PIECE } else { len };
    for at in (0..len).step_by(piece) {
        // SAFETY: a part of what the caller promises.
        unsafe { core::ptr::copy(from.add(at), to.add(at), piece.min(len - at)) };
    }
}

/// Parses like C's strtol with base 0; 0 if there is no number.
pub(crate) fn number(text: &CStr) -> c_long {
    // SAFETY: a C string.
    unsafe { strtol(text.as_ptr(), core::ptr::null_mut(), 0) }
}

/// Like [`slice`], writable.
///
/// # Safety
/// A non-NULL `p` points at `n` bytes that nobody else uses during `'a`.
#[inline]
pub(crate) unsafe fn slice_mut<'a>(p: *mut u8, n: usize) -> &'a mut [u8] {
    if p.is_null() || n == 0 {
        return &mut [];
    }
    // SAFETY: non-NULL, and the caller vouches for the rest.
    unsafe { core::slice::from_raw_parts_mut(p, possible(n)) }
}

/// The text of a C string without its NUL; empty if `p` is NULL.
///
/// # Safety
/// A non-NULL `p` points at a NUL-terminated string that nobody writes during `'a`.
#[inline]
pub(crate) unsafe fn cstr<'a>(p: *const c_char) -> &'a [u8] {
    if p.is_null() {
        return &[];
    }
    // SAFETY: non-NULL, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(p) }.to_bytes()
}

impl mg_str {
    pub(crate) const NULL: mg_str = mg_str { buf: core::ptr::null_mut(), len: 0 };

    /// A view of `s` for C, valid as long as the memory of `s`.
    #[inline]
    pub(crate) fn of(s: &[u8]) -> mg_str {
        mg_str { buf: s.as_ptr() as *mut c_char, len: s.len() }
    }

    /// # Safety
    /// As [`slice`].
    #[inline]
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: guaranteed by the caller.
        unsafe { slice(self.buf.cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::copy;
    use crate::memory::prelude::*;

    #[test]
    fn bytes_are_copied_whatever_the_distance() {
        let all: Vec<u8> = (0..20_000).map(|i| (i % 251) as u8).collect();
        for (from, to) in [(0, 4097), (0, 4096), (30, 4140), (0, 8207), (0, 8208), (3, 8), (8, 3), (4100, 4), (9000, 802), (5, 5)]
        {
            for len in [0, 1, 1024, 1025, 4097, 5000, 8207] {
                let mut have = all.clone();
                let p = have.as_mut_ptr();
                // SAFETY: both places lie inside the list.
                unsafe { copy(p.add(from), p.add(to), len) };
                let mut want = all.clone();
                want.copy_within(from..from + len, to);
                assert!(have == want, "{len} bytes from {from} to {to}");
            }
        }
    }
}

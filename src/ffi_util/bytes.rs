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

//! Strings and numbers in text.

use crate::abi::mg_str;
use crate::ffi_util::bytes::cstr;
use crate::ffi_util::heap;
use crate::proto::{glob, num};
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// A view of the NUL-terminated string `s`, NULL and 0 when `s` is NULL. Applications write it `mg_str(s)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_str_s(s: *const c_char) -> mg_str {
    // SAFETY: s is NULL or a C string.
    mg_str { buf: s.cast_mut(), len: unsafe { cstr(s) }.len() }
}

/// A view of the `n` bytes at `s`.
#[unsafe(no_mangle)]
pub extern "C" fn mg_str_n(s: *const c_char, n: usize) -> mg_str {
    mg_str { buf: s.cast_mut(), len: n }
}

/// Bytes compare as C's `char`, which has a sign on most machines.
fn plain(c: &u8) -> c_char {
    *c as c_char
}

fn lower(c: &u8) -> c_char {
    c.to_ascii_lowercase() as c_char
}

/// Compares two NUL-terminated strings, ASCII letters without regard to case. Returns 0 when they are equal, otherwise the
/// difference between the first two characters that differ, in lower case. Neither may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_casecmp(s1: *const c_char, s2: *const c_char) -> c_int {
    let mut i = 0;
    loop {
        // SAFETY: both strings are readable up to their NUL, and no NUL has been passed.
        let (a, b) = unsafe { (*s1.cast::<u8>().add(i), *s2.cast::<u8>().add(i)) };
        let difference = c_int::from(lower(&a)) - c_int::from(lower(&b));
        if difference != 0 || a == 0 {
            return difference;
        }
        i += 1;
    }
}

/// Compares two strings byte by byte: -1, 0 or 1. The beginning of a string comes before the string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_strcmp(str1: mg_str, str2: mg_str) -> c_int {
    // SAFETY: both cover their length.
    unsafe { str1.bytes().iter().map(plain).cmp(str2.bytes().iter().map(plain)) as c_int }
}

/// Like `mg_strcmp`, with ASCII letters compared without regard to case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_strcasecmp(str1: mg_str, str2: mg_str) -> c_int {
    // SAFETY: both cover their length.
    unsafe { str1.bytes().iter().map(lower).cmp(str2.bytes().iter().map(lower)) as c_int }
}

/// A copy of `s` on the heap, with a NUL behind it; NULL and 0 when `s` is empty or memory has run out. Release `.buf` with
/// `mg_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_strdup(s: mg_str) -> mg_str {
    // SAFETY: s covers its length.
    let bytes = unsafe { s.bytes() };
    let buf = if bytes.is_empty() { ptr::null_mut() } else { heap::dup(bytes) };
    mg_str { buf: buf.cast(), len: if buf.is_null() { 0 } else { bytes.len() } }
}

/// Matches all of `str` against a pattern: `?` is any one character, `*` any number of characters except `/`, `#` any
/// number of characters, everything else is itself.
///
/// When it matches and `caps` is not NULL, `caps` receives the text of each wildcard as a view of `str`, in the order of
/// the pattern. Adjacent `*` and `#` are one wildcard. Every wildcard ends at the earliest place from which the rest of the
/// pattern matches. A last entry with NULL and 0 follows unless the pattern ends in `*` or `#`: `caps` needs one entry for
/// `/user/*` and two for `/user/?`. When nothing matches, only `caps[0]` is written, with NULL and 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_match(str: mg_str, pattern: mg_str, caps: *mut mg_str) -> bool {
    // SAFETY: both cover their length.
    let (s, p) = unsafe { (str.bytes(), pattern.bytes()) };
    let mut next = caps;
    let matched = glob::matches(s, p, |place| {
        if !next.is_null() {
            // SAFETY: caps has an entry for each wildcard, and there is one call for each; the place is inside str.
            unsafe {
                next.write(mg_str { buf: str.buf.wrapping_add(place.start), len: place.len() });
                next = next.add(1);
            }
        }
    });
    // Behind a wildcard that ends the pattern there is no terminator, and applications leave no room for one.
    if !(next.is_null() || matched && p.last().is_some_and(|&c| glob::is_run(c))) {
        // SAFETY: caps has one entry more.
        unsafe { next.write(mg_str::NULL) };
    }
    matched
}

/// Cuts `s` at the first `sep`: `*a` becomes the part before it and `*b` the part behind it, or all of `s` and nothing
/// when there is no `sep`. Returns false, with both left alone, when `s` is empty. `a` and `b` may be NULL, or point at
/// the caller's `s`, so that `while (mg_span(s, &part, &s, ','))` takes a list apart.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_span(s: mg_str, a: *mut mg_str, b: *mut mg_str, sep: c_char) -> bool {
    // SAFETY: s covers its length; a and b are NULL or the caller's structs.
    unsafe {
        let bytes = s.bytes();
        if bytes.is_empty() {
            return false;
        }
        let end = memchr::memchr(sep as u8, bytes).unwrap_or(bytes.len());
        let next = bytes.len().min(end + 1);
        if !a.is_null() {
            *a = mg_str { buf: s.buf, len: end };
        }
        if !b.is_null() {
            *b = mg_str { buf: s.buf.add(next), len: bytes.len() - next };
        }
        true
    }
}

/// Reads an unsigned number into the integer of `val_len` bytes (1, 2, 4 or 8) at `val`. `base` is 2, 10 or 16; or 0 for
/// a number of two characters or more that says it itself: `0b` for binary, `0x` for hexadecimal, else decimal. Returns
/// false, with `*val` left alone, when `str` is not just such a number, or one that does not fit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_str_to_num(str: mg_str, base: c_int, val: *mut c_void, val_len: usize) -> bool {
    // SAFETY: str covers its length.
    let Some(n) = num::unsigned(unsafe { str.bytes() }, base) else { return false };
    /// # Safety
    /// `to` has room for a `T`.
    unsafe fn store<T: TryFrom<u64>>(n: u64, to: *mut c_void) -> bool {
        // SAFETY: passed on to the caller.
        T::try_from(n).map(|n| unsafe { to.cast::<T>().write_unaligned(n) }).is_ok()
    }
    // SAFETY: val is an integer of val_len bytes.
    unsafe {
        match val_len {
            1 => store::<u8>(n, val),
            2 => store::<u16>(n, val),
            4 => store::<u32>(n, val),
            8 => store::<u64>(n, val),
            _ => false,
        }
    }
}

/// Reads a decimal size, with spaces and tabs allowed around it. Returns false, with `*val` left alone, when `str` is
/// anything else or the number is too large. Not in the header: declared by those who use it.
///
/// cbindgen:ignore
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_to_size_t(str: mg_str, val: *mut usize) -> bool {
    // SAFETY: str covers its length, val is the caller's.
    unsafe { num::size(str.bytes()).map(|n| *val = n).is_some() }
}

//! Strings and numbers in text.

use crate::abi::mg_str;
use crate::ffi_util::bytes::cstr;
use crate::ffi_util::heap;
use crate::proto::{glob, num};
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// Returns a view of the NUL-terminated string `s`; the null string if `s` is NULL. Applications write `mg_str(s)`. May be called
/// from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_str_s(s: *const c_char) -> mg_str {
    // SAFETY: s is NULL or a C string.
    mg_str { buf: s.cast_mut(), len: unsafe { cstr(s) }.len() }
}

/// Returns a view of the `n` bytes at `s`. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mg_str_n(s: *const c_char, n: usize) -> mg_str {
    mg_str { buf: s.cast_mut(), len: n }
}

/// Bytes compare like C's `char`, which is signed on most machines.
fn plain(c: &u8) -> c_char {
    *c as c_char
}

fn lower(c: &u8) -> c_char {
    c.to_ascii_lowercase() as c_char
}

/// Compares two NUL-terminated strings, ignoring ASCII case. Returns 0 if they are equal, otherwise the difference between the
/// first two differing characters in lower case. Neither may be NULL. May be called from any thread.
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

/// Compares two strings byte by byte. Returns -1, 0 or 1. A prefix sorts before the longer string. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_strcmp(str1: mg_str, str2: mg_str) -> c_int {
    // SAFETY: both cover their length.
    unsafe { str1.bytes().iter().map(plain).cmp(str2.bytes().iter().map(plain)) as c_int }
}

/// Like mg_strcmp, ignoring ASCII case. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_strcasecmp(str1: mg_str, str2: mg_str) -> c_int {
    // SAFETY: both cover their length.
    unsafe { str1.bytes().iter().map(lower).cmp(str2.bytes().iter().map(lower)) as c_int }
}

/// Returns a NUL-terminated copy of `s`; the null string if `s` is empty or if out of memory. Free `.buf` with mg_free. May be
/// called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_strdup(s: mg_str) -> mg_str {
    // SAFETY: s covers its length.
    let bytes = unsafe { s.bytes() };
    let buf = if bytes.is_empty() { ptr::null_mut() } else { heap::dup(bytes) };
    mg_str { buf: buf.cast(), len: if buf.is_null() { 0 } else { bytes.len() } }
}

/// Matches the whole of `str` against a glob pattern. `?` matches one character, `*` any number of characters except `/`, `#` any
/// number of characters; everything else matches itself. May be called from any thread.
///
/// On a match, `caps`, unless NULL, receives the text matched by each wildcard, in pattern order, as views of `str`. Adjacent `*`
/// and `#` count as one wildcard. Each wildcard matches the shortest text that lets the rest of the pattern match. A null string
/// is added unless the pattern ends in `*` or `#`, so `caps` needs one entry for `/user/*` and two for `/user/?`. Without a
/// match, only `caps[0]` is set, to the null string.
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
    // After a final wildcard no terminator is written, because applications leave no room for one.
    if !(next.is_null() || matched && p.last().is_some_and(|&c| glob::is_run(c))) {
        // SAFETY: caps has one entry more.
        unsafe { next.write(mg_str::NULL) };
    }
    matched
}

/// Splits `s` at the first `sep`: `*a` is the part before it and `*b` the part after it. Without `sep`, `*a` is all of `s` and
/// `*b` is empty. Returns false and leaves both unchanged if `s` is empty. `a` and `b` may be NULL, or point to the caller's `s`:
/// `while (mg_span(s, &part, &s, ','))` iterates over a list. May be called from any thread.
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

/// Parses an unsigned number into the integer of `val_len` bytes (1, 2, 4 or 8) at `val`. `base` is 2, 10 or 16; 0 means that a
/// prefix selects it: `0b` binary, `0x` hexadecimal, otherwise decimal, at least two characters. Returns false and leaves `*val`
/// unchanged if `str` is not such a number or the number does not fit. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_str_to_num(str: mg_str, base: c_int, val: *mut c_void, val_len: usize) -> bool {
    // SAFETY: str covers its length.
    let Some(n) = num::unsigned(unsafe { str.bytes() }, base) else { return false };
    /// # Safety
    /// `to` has room for a `T`.
    unsafe fn store<T: TryFrom<u64>>(n: u64, to: *mut c_void) -> bool {
        // SAFETY: guaranteed by the caller.
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

/// Parses a decimal size, with optional spaces and tabs around it. Returns false and leaves `*val` unchanged if `str` is anything
/// else or the number is too large. Not in the header: its users declare it.
///
/// cbindgen:ignore
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_to_size_t(str: mg_str, val: *mut usize) -> bool {
    // SAFETY: str covers its length, val is the caller's.
    unsafe { num::size(str.bytes()).map(|n| *val = n).is_some() }
}

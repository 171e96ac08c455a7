//! JSON: values are looked up in the text on demand. Paths begin with `$`, followed by `.name` for a member of an object and
//! `[index]` for an element of an array: `$.users[0].name`. Nothing here keeps or modifies the text.

use crate::abi::*;
use crate::ffi_util::{
    bytes::{cstr, slice_mut},
    heap,
};
use crate::hash::base64;
use crate::proto::json::{self, Error, Escapes, Unescape};
use core::ffi::{c_char, c_int, c_long};
use core::ops::Range;
use core::ptr;

/// Finds the value at `path`, such as `$.users[0].name`, which must not be NULL. Returns its offset in `json` and stores its
/// length in `*toklen`, which may be NULL. Strings include their quotes, objects and arrays their brackets. On failure stores 0
/// in `*toklen` and returns MG_JSON_NOT_FOUND, MG_JSON_INVALID if `path` or the text before the value is malformed, or
/// MG_JSON_TOO_DEEP if it is nested more than 30 levels deep. Does not check the text after the value. Names are compared without
/// decoding escapes. May be called from any thread, like all mg_json_* functions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_json_get(json: mg_str, path: *const c_char, toklen: *mut c_int) -> c_int {
    // SAFETY: json covers its length, path is a C string.
    let found = unsafe { json::find(json.bytes(), cstr(path)) };
    let (ofs, len) = match found.map(|r| (c_int::try_from(r.start), c_int::try_from(r.len()))) {
        Ok((Ok(ofs), Ok(len))) => (ofs, len),
        // An offset that does not fit the result type counts as not found.
        Ok(_) | Err(Error::NotFound) => (MG_JSON_NOT_FOUND, 0),
        Err(Error::Invalid) => (MG_JSON_INVALID, 0),
        Err(Error::TooDeep) => (MG_JSON_TOO_DEEP, 0),
    };
    // SAFETY: toklen is NULL or the caller's.
    unsafe { store(Some(len), toklen) };
    ofs
}

/// Returns the value at `path` as it appears in the text, a view of `json`; the null string if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_json_get_tok(json: mg_str, path: *const c_char) -> mg_str {
    // SAFETY: json covers its length, path is a C string.
    unsafe { json::token(json.bytes(), cstr(path)) }.map_or(mg_str::NULL, mg_str::of)
}

/// Stores the number at `path` in `*v`, which may be NULL. Returns false and leaves `*v` unchanged if there is no number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_json_get_num(json: mg_str, path: *const c_char, v: *mut f64) -> bool {
    // SAFETY: json covers its length, path is a C string, v is NULL or the caller's.
    unsafe { store(json::number_at(json.bytes(), cstr(path)), v) }
}

/// Stores the boolean at `path` in `*v`, which may be NULL. Returns false and leaves `*v` unchanged if there is no boolean.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_json_get_bool(json: mg_str, path: *const c_char, v: *mut bool) -> bool {
    // SAFETY: json covers its length, path is a C string, v is NULL or the caller's.
    unsafe {
        let value = match json::token(json.bytes(), cstr(path)) {
            Some(b"true") => Some(true),
            Some(b"false") => Some(false),
            _ => None,
        };
        store(value, v)
    }
}

/// Stores a value, if there is one and `to` is not NULL. Returns true if there is a value.
///
/// # Safety
/// `to` is NULL or has room for a `T`.
unsafe fn store<T>(value: Option<T>, to: *mut T) -> bool {
    let found = value.is_some();
    if let Some(v) = value.filter(|_| !to.is_null()) {
        // SAFETY: guaranteed by the caller.
        unsafe { to.write(v) };
    }
    found
}

/// Returns the number at `path`, truncated to an integer, or `dflt` if there is no number. Exact, also with an exponent: `1.5e1`
/// is 15. Numbers out of range yield the nearest `long`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_json_get_long(json: mg_str, path: *const c_char, dflt: c_long) -> c_long {
    // SAFETY: json covers its length, path is a C string.
    let found = unsafe { json::integer_at(json.bytes(), cstr(path)) };
    // A long may have 32 bits.
    found.map_or(dflt, |v| c_long::try_from(v).unwrap_or(if v < 0 { c_long::MIN } else { c_long::MAX }))
}

/// Returns the string at `path` with its escapes decoded, `\uXXXX` to UTF-8, NUL-terminated. Free it with mg_free. Surrogate
/// pairs are combined; a lone surrogate becomes U+FFFD. Returns NULL if there is no string, if none of it can be decoded, or if
/// out of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_json_get_str(json: mg_str, path: *const c_char) -> *mut c_char {
    // SAFETY: json covers its length, path is a C string.
    let Some(text) = (unsafe { json::text(json.bytes(), cstr(path)) }) else { return ptr::null_mut() };
    let decode = |to: &mut [u8]| match json::unescape(text, to, Escapes::Utf8) {
        Unescape::Done(n) if n > 0 || text.is_empty() => Some(n),
        _ => None,
    };
    // An escape is never shorter than its decoded form.
    new_buffer(text.len(), decode).map_or(ptr::null_mut(), |(p, _)| p)
}

/// Decodes the hexadecimal string at `path`, two digits per byte, and NUL-terminates the result. Free it with mg_free. Stores the
/// number of bytes in `*len`, which may be NULL. Returns NULL and leaves `*len` unchanged if there is no such string or if out of
/// memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_json_get_hex(json: mg_str, path: *const c_char, len: *mut c_int) -> *mut c_char {
    // SAFETY: json covers its length, path is a C string, len is NULL or the caller's.
    unsafe {
        let Some(text) = json::text(json.bytes(), cstr(path)) else { return ptr::null_mut() };
        decoded(text.len() / 2, len, |to| json::unhex(text, to))
    }
}

/// Decodes the base64 string at `path` and NUL-terminates the result. Free it with mg_free. Stores the number of bytes in `*len`,
/// which may be NULL; malformed base64 yields 0 bytes. Returns NULL and leaves `*len` unchanged if there is no string or if out
/// of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_json_get_b64(json: mg_str, path: *const c_char, len: *mut c_int) -> *mut c_char {
    // SAFETY: json covers its length, path is a C string, len is NULL or the caller's.
    unsafe {
        let Some(text) = json::text(json.bytes(), cstr(path)) else { return ptr::null_mut() };
        decoded(text.len() / 4 * 3, len, |to| {
            Some(base64::decode(text, to).unwrap_or_else(|| {
                to.fill(0);
                0
            }))
        })
    }
}

/// Allocates a heap block of `size` bytes, lets `fill` write to it, and NUL-terminates what it wrote. None if `fill` fails.
fn new_buffer(size: usize, fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<(*mut c_char, usize)> {
    let size = size.checked_add(1)?;
    let p = heap::calloc(size);
    if p.is_null() {
        return None;
    }
    // SAFETY: a fresh block of that size.
    match fill(unsafe { slice_mut(p, size) }) {
        Some(n) => Some((p.cast(), n)),
        None => {
            // SAFETY: nobody else has the block.
            unsafe { heap::free(p) };
            None
        }
    }
}

/// # Safety
/// `len` is NULL or the caller's.
unsafe fn decoded(size: usize, len: *mut c_int, fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> *mut c_char {
    let Some((p, n)) = new_buffer(size, fill) else { return ptr::null_mut() };
    // SAFETY: guaranteed by the caller.
    unsafe { store(Some(c_int::try_from(n).unwrap_or(c_int::MAX)), len) };
    p
}

/// Decodes the escapes of the string at `path` to `to` and NUL-terminates it. Returns the length without the NUL. `\u00XX` yields
/// the single byte XX; any other `\u` escape ends the text. Returns 0 if there is no such string, if it is empty, if an escape is
/// malformed, or if it does not fit in `n` bytes; in the last case `to` holds a NUL-terminated prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_json_unescape(json: mg_str, path: *const c_char, to: *mut c_char, n: usize) -> usize {
    // SAFETY: json covers its length, path is a C string, to covers n bytes outside both.
    let (text, to) = unsafe { (json::text(json.bytes(), cstr(path)), slice_mut(to.cast(), n)) };
    let (end, result) = match text.map(|text| json::unescape(text, to, Escapes::Bytes)) {
        Some(Unescape::Done(n)) => (n, n),
        Some(Unescape::Full(n)) => (n, 0),
        Some(Unescape::Bad) | None => return 0,
    };
    match to.get_mut(end) {
        Some(nul) => *nul = 0,
        // Not even room for the NUL.
        None => return 0,
    }
    result
}

/// Iterates over an object or array at the start of `obj`. `ofs` is 0 for the first call, then the result of the previous call.
/// Sets `*key` to the name with its quotes (the null string in an array) and `*val` to the value as it appears in the text, both
/// views of `obj`; either may be NULL. Returns 0 at the end or if the text is malformed, and leaves both unchanged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_json_next(obj: mg_str, ofs: usize, key: *mut mg_str, val: *mut mg_str) -> usize {
    // SAFETY: obj covers its length.
    let bytes = unsafe { obj.bytes() };
    let Some((next, k, v)) = json::next(bytes, ofs) else { return 0 };
    let view = |r: Range<usize>| mg_str::of(&bytes[r]);
    // SAFETY: key and val are NULL or the caller's.
    unsafe {
        store(Some(k.map_or(mg_str::NULL, view)), key);
        store(Some(view(v)), val);
    }
    next
}

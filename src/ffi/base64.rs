//! Base64.

use crate::ffi_util::bytes::{slice, slice_mut};
use crate::hash::base64;
use core::ffi::c_char;

/// Puts a NUL behind the `n` bytes written to a buffer, or empties it when there is no result. Returns the length.
fn terminated(buf: &mut [u8], n: Option<usize>) -> usize {
    let n = n.unwrap_or(0);
    if let Some(end) = buf.get_mut(n) {
        *end = 0;
    }
    n
}

/// Decodes `n` characters at `src`, which may overlap `dst`: applications decode in place.
///
/// # Safety
/// `src` covers `n` bytes, `dst` covers `len` bytes.
unsafe fn decode(src: *const c_char, n: usize, dst: *mut c_char, len: usize, by: fn(&[u8], &mut [u8]) -> Option<usize>) -> usize {
    let (from, to) = (src as usize, dst as usize);
    // SAFETY: passed on to the caller; text that dst overlaps is copied before dst is borrowed.
    let text = unsafe { slice(src.cast(), n) };
    let text = if from < to.saturating_add(len) && to < from.saturating_add(n) { &text.to_vec()[..] } else { text };
    // SAFETY: passed on to the caller.
    let dst = unsafe { slice_mut(dst.cast(), len) };
    let n = by(text, dst);
    terminated(dst, n)
}

/// Adds a byte to the base64 text in `buf`. `len` is what the previous call returned, 0 at first. Returns the new length
/// of the text. `buf` is the caller's, with room for the whole text, `4 * ((n + 2) / 3) + 1` bytes for `n` bytes; the
/// byte behind the text belongs to the encoder between two calls. End with `mg_base64_final`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_base64_update(input_byte: u8, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: two bytes behind the text of len characters fit into a buffer of the size asked for; the one carried over was
    // written by the call before.
    unsafe {
        let end = buf.cast::<u8>().add(len);
        let carry = if len % 4 == 0 { 0 } else { *end };
        let (n, put) = base64::update(input_byte, carry, len);
        end.cast::<[u8; 2]>().write_unaligned(put);
        len + n
    }
}

/// Ends the text that `mg_base64_update` began: writes the last character, padding and a NUL. Returns the length of the text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_base64_final(buf: *mut c_char, len: usize) -> usize {
    // SAFETY: the padded text and its NUL fit into a buffer of the size that mg_base64_update asks for.
    unsafe {
        let end = buf.cast::<u8>().add(len);
        let carry = if len % 4 == 0 { 0 } else { *end };
        let mut n = 0;
        for c in base64::finish(carry, len) {
            *end.add(n) = c;
            n += 1;
        }
        *end.add(n) = 0;
        len + n
    }
}

/// Encodes `n` bytes at `p` as padded, NUL-terminated base64 text into `buf` of `len` bytes. Returns the length of the text
/// without the NUL. When `len` is less than `4 * ((n + 2) / 3) + 1`, returns 0 and makes `buf` empty (if `len` is not 0).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_base64_encode(p: *const u8, n: usize, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: p covers n bytes, buf covers len bytes, and they do not overlap.
    let (data, buf) = unsafe { (slice(p, n), slice_mut(buf.cast(), len)) };
    let n = base64::encode(data, buf);
    terminated(buf, n)
}

/// Decodes `n` characters of padded base64 text at `src` into `dst` of `len` bytes, and puts a NUL behind the result.
/// Returns the number of bytes. Up to three characters behind the last group of four are ignored. Returns 0 when `src` is
/// NULL or malformed, or when `len` is less than `n / 4 * 3 + 1`; `dst` is then empty (if `len` is not 0). `dst` may be
/// `src`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_base64_decode(src: *const c_char, n: usize, dst: *mut c_char, len: usize) -> usize {
    // SAFETY: src covers n bytes, dst covers len bytes.
    unsafe { decode(src, n, dst, len, base64::decode) }
}

/// Like `mg_base64_encode`, with `-` and `_` for `+` and `/`, and without padding. `buf` must still have room for the padding.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_base64url_encode(p: *const u8, n: usize, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: p covers n bytes, buf covers len bytes, and they do not overlap.
    let (data, buf) = unsafe { (slice(p, n), slice_mut(buf.cast(), len)) };
    let n = base64::url_encode(data, buf);
    terminated(buf, n)
}

/// Decodes base64 text with `-` and `_` that ends after `n` characters or at a `=`, into `dst` of `len` bytes, and puts a
/// NUL behind the result. Returns the number of bytes. Returns 0 for malformed text, or when the result and its NUL do
/// not fit; `dst` is then empty (if `len` is not 0).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_base64url_decode(src: *const c_char, n: usize, dst: *mut c_char, len: usize) -> usize {
    // SAFETY: src covers n bytes, dst covers len bytes.
    unsafe { decode(src, n, dst, len, base64::url_decode) }
}

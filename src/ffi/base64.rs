//! Base64.

use crate::ffi_util::bytes::{slice, slice_mut};
use crate::hash::base64;
use core::ffi::c_char;

/// NUL-terminates `n` bytes of output, or empties the buffer if there is no result. Returns the length.
fn terminated(buf: &mut [u8], n: Option<usize>) -> usize {
    let n = n.unwrap_or(0);
    if let Some(end) = buf.get_mut(n) {
        *end = 0;
    }
    n
}

/// Decodes `n` characters at `src`. `src` and `dst` may overlap: applications decode in place.
///
/// # Safety
/// `src` covers `n` bytes, `dst` covers `len` bytes.
unsafe fn decode(src: *const c_char, n: usize, dst: *mut c_char, len: usize, by: fn(&[u8], &mut [u8]) -> Option<usize>) -> usize {
    let (from, to) = (src as usize, dst as usize);
    // SAFETY: guaranteed by the caller; text that dst overlaps is copied before dst is borrowed.
    let text = unsafe { slice(src.cast(), n) };
    let text = if from < to.saturating_add(len) && to < from.saturating_add(n) { &text.to_vec()[..] } else { text };
    // SAFETY: guaranteed by the caller.
    let dst = unsafe { slice_mut(dst.cast(), len) };
    let n = by(text, dst);
    terminated(dst, n)
}

/// Adds a byte to the base64 text in `buf`. `len` is the result of the previous call, 0 for the first. Returns the new length of
/// the text. `buf` must have room for the complete text, `4 * ((n + 2) / 3) + 1` bytes for `n` bytes of input; between calls the
/// byte after the text holds encoder state. Finish with mg_base64_final. May be called from any thread.
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

/// Finishes the text built by mg_base64_update: writes the last character, the padding and a NUL. Returns the length of the text.
/// May be called from any thread.
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

/// Encodes `n` bytes at `p` as padded, NUL-terminated base64 text in `buf`. Returns its length without the NUL. If `len` is less
/// than `4 * ((n + 2) / 3) + 1`, returns 0 and makes `buf` an empty string (if `len` is not 0). May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_base64_encode(p: *const u8, n: usize, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: p covers n bytes, buf covers len bytes, and they do not overlap.
    let (data, buf) = unsafe { (slice(p, n), slice_mut(buf.cast(), len)) };
    let n = base64::encode(data, buf);
    terminated(buf, n)
}

/// Decodes `n` characters of padded base64 text at `src` to `dst` and NUL-terminates the result. Returns the number of bytes.
/// Ignores up to three characters after the last group of four. Returns 0 if `src` is NULL or malformed, or if `len` is less than
/// `n / 4 * 3 + 1`; `dst` is then an empty string (if `len` is not 0). `dst` may equal `src`. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_base64_decode(src: *const c_char, n: usize, dst: *mut c_char, len: usize) -> usize {
    // SAFETY: src covers n bytes, dst covers len bytes.
    unsafe { decode(src, n, dst, len, base64::decode) }
}

/// Encodes `n` bytes at `p` as unpadded, NUL-terminated base64url text in `buf`: like mg_base64_encode, with `-` and `_` for `+`
/// and `/`. `buf` must still have room for the padding. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_base64url_encode(p: *const u8, n: usize, buf: *mut c_char, len: usize) -> usize {
    // SAFETY: p covers n bytes, buf covers len bytes, and they do not overlap.
    let (data, buf) = unsafe { (slice(p, n), slice_mut(buf.cast(), len)) };
    let n = base64::url_encode(data, buf);
    terminated(buf, n)
}

/// Decodes base64url text that ends after `n` characters or at a `=`, to `dst`, and NUL-terminates the result. Returns the number
/// of bytes, or 0 if the text is malformed or the result and its NUL do not fit in `len` bytes; `dst` is then an empty string (if
/// `len` is not 0). May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_base64url_decode(src: *const c_char, n: usize, dst: *mut c_char, len: usize) -> usize {
    // SAFETY: src covers n bytes, dst covers len bytes.
    unsafe { decode(src, n, dst, len, base64::url_decode) }
}

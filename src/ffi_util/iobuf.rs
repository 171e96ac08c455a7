//! `struct mg_iobuf`, the growable C buffer: the capacity is a multiple of `align`; new and vacated memory is zeroed.

use super::{bytes, heap};
use crate::abi::mg_iobuf;
use core::ptr;

/// `n` rounded up to a multiple of `align` (0: not rounded); None on overflow.
#[inline]
pub(crate) fn round_up(n: usize, align: usize) -> Option<usize> {
    if align == 0 { Some(n) } else { n.div_ceil(align).checked_mul(align) }
}

impl mg_iobuf {
    /// The data.
    ///
    /// # Safety
    /// `buf` and `len` are consistent, and nobody writes or frees the buffer during `'a`.
    #[inline]
    pub(crate) unsafe fn data<'a>(&self) -> &'a [u8] {
        // SAFETY: guaranteed by the caller.
        unsafe { super::bytes::slice(self.buf, self.len) }
    }
}

/// See `mg_iobuf_resize`.
///
/// # Safety
/// `io` points at a consistent buffer.
pub(crate) unsafe fn resize(io: *mut mg_iobuf, new_size: usize) -> bool {
    // SAFETY: the caller vouches for io; buf is an mg_calloc block of size bytes.
    unsafe {
        let Some(new) = round_up(new_size, (*io).align) else { return false };
        if new == (*io).size {
            return true;
        }
        let keep = (*io).len.min(new);
        if new == 0 {
            if !(*io).buf.is_null() {
                ptr::write_bytes((*io).buf, 0, (*io).size);
                heap::free((*io).buf);
            }
            (*io).buf = ptr::null_mut();
        } else {
            let p = heap::resize((*io).buf, (*io).size, new, keep);
            if p.is_null() {
                return false;
            }
            (*io).buf = p;
        }
        ((*io).size, (*io).len) = (new, keep);
        true
    }
}

/// # Safety
/// As [`resize`].
pub(crate) unsafe fn free(io: *mut mg_iobuf) {
    // SAFETY: guaranteed by the caller.
    unsafe { resize(io, 0) };
}

/// See `mg_iobuf_add`.
///
/// # Safety
/// `io` points at a consistent buffer; `buf` is NULL or points at `len` readable bytes, possibly inside `io`.
pub(crate) unsafe fn add(io: *mut mg_iobuf, ofs: usize, buf: *const u8, len: usize) -> usize {
    // SAFETY: room for the gap, the moved tail and the new bytes is made before anything is written.
    unsafe {
        let old = (*io).len;
        let Some(end) = old.max(ofs).checked_add(len) else { return 0 };
        // A source inside this buffer moves with it.
        let inside = !buf.is_null() && !(*io).buf.is_null() && (buf as usize).wrapping_sub((*io).buf as usize) < (*io).size;
        let at = if inside { buf as usize - (*io).buf as usize } else { 0 };
        if !resize(io, end) {
            return 0;
        }
        if len == 0 && ofs <= old {
            return 0;
        }
        let p = (*io).buf;
        if ofs < old {
            ptr::copy(p.add(ofs), p.add(ofs + len), old - ofs);
        }
        if inside {
            // Bytes from ofs on were shifted by len.
            let before = if at < ofs { len.min(ofs - at) } else { 0 };
            ptr::copy(p.add(at), p.add(ofs), before);
            ptr::copy(p.add(at + before + len), p.add(ofs + before), len - before);
        } else if !buf.is_null() {
            bytes::copy(buf, p.add(ofs), len);
        }
        (*io).len = end;
        len
    }
}

/// Removes the first `len` bytes, at most all. Unlike [`del`] zeroes only the byte after the data, which handlers may scan up to.
///
/// # Safety
/// `io` points at a consistent buffer.
pub(crate) unsafe fn take_front(io: *mut mg_iobuf, len: usize) {
    // SAFETY: len is clamped to the data; the byte after the rest was data.
    unsafe {
        let len = len.min((*io).len);
        if len > 0 {
            let (p, rest) = ((*io).buf, (*io).len - len);
            ptr::copy(p.add(len), p, rest);
            *p.add(rest) = 0;
            (*io).len = rest;
        }
    }
}

/// See `mg_iobuf_del`.
///
/// # Safety
/// `io` points at a consistent buffer.
pub(crate) unsafe fn del(io: *mut mg_iobuf, ofs: usize, len: usize) -> usize {
    // SAFETY: ofs and len are clamped to the data.
    unsafe {
        let ofs = ofs.min((*io).len);
        let len = len.min((*io).len - ofs);
        if len > 0 {
            let (p, rest) = ((*io).buf.add(ofs), (*io).len - ofs - len);
            bytes::copy(p.add(len), p, rest);
            ptr::write_bytes(p.add(rest), 0, len);
            (*io).len -= len;
        }
        len
    }
}

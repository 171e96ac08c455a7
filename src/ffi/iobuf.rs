//! Growable buffers.

use crate::{abi::mg_iobuf, ffi_util::iobuf, sys::log::log_error};
use core::ffi::c_void;

/// Initialises an empty buffer with a capacity of at least `size` bytes, rounded up to a multiple of `align` (0: not rounded).
/// Does not free what `*io` held before. Returns false if out of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_iobuf_init(io: *mut mg_iobuf, size: usize, align: usize) -> bool {
    // SAFETY: io is the caller's struct.
    unsafe {
        *io = mg_iobuf { buf: core::ptr::null_mut(), size: 0, len: 0, align };
        iobuf::resize(io, size)
    }
}

/// Sets the capacity to `new_size` bytes, rounded up to a multiple of `io->align`. Newly allocated memory is zeroed. Data beyond
/// the new capacity is cut off. 0 frees the memory. Returns false if out of memory; the buffer is then unchanged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_iobuf_resize(io: *mut mg_iobuf, new_size: usize) -> bool {
    // SAFETY: io is a buffer of the caller.
    let ok = unsafe { iobuf::resize(io, new_size) };
    if !ok {
        log_error!("OOM: {new_size} bytes");
    }
    ok
}

/// Zeroes and frees the memory of a buffer. The struct can be reused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_iobuf_free(io: *mut mg_iobuf) {
    // SAFETY: io is a buffer of the caller.
    unsafe { iobuf::free(io) }
}

/// Inserts `len` bytes at offset `ofs`, moving the data that follows. `buf` NULL inserts bytes with unspecified content. If `ofs`
/// is beyond the data, the gap becomes part of the data. Returns `len`, or 0 if out of memory; the data is then unchanged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_iobuf_add(io: *mut mg_iobuf, ofs: usize, buf: *const c_void, len: usize) -> usize {
    // SAFETY: io is a buffer of the caller, buf covers len bytes.
    unsafe { iobuf::add(io, ofs, buf.cast(), len) }
}

/// Removes up to `len` bytes at offset `ofs`. Moves the data that follows and zeroes the vacated bytes. The capacity does not
/// change. Returns the number of bytes removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_iobuf_del(io: *mut mg_iobuf, ofs: usize, len: usize) -> usize {
    // SAFETY: io is a buffer of the caller.
    unsafe { iobuf::del(io, ofs, len) }
}

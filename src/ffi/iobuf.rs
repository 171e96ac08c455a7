//! Growable buffers.

use crate::{abi::mg_iobuf, ffi_util::iobuf, sys::log::log_error};
use core::ffi::c_void;

/// Makes `*io` an empty buffer of at least `size` bytes whose capacity is always a multiple of `align` (0: exact).
/// Whatever `*io` held before is forgotten, not freed. Returns false when out of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_iobuf_init(io: *mut mg_iobuf, size: usize, align: usize) -> bool {
    // SAFETY: io is the caller's struct.
    unsafe {
        *io = mg_iobuf { buf: core::ptr::null_mut(), size: 0, len: 0, align };
        iobuf::resize(io, size)
    }
}

/// Sets the capacity to `new_size`, rounded up to a multiple of `io->align`. New memory is zero; data that no longer fits is
/// cut off; 0 frees the buffer. Returns false when out of memory, with the buffer unchanged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_iobuf_resize(io: *mut mg_iobuf, new_size: usize) -> bool {
    // SAFETY: io is a buffer of the caller.
    let ok = unsafe { iobuf::resize(io, new_size) };
    if !ok {
        log_error!("OOM: {new_size} bytes");
    }
    ok
}

/// Frees the memory of `*io`; the struct itself stays the caller's and can be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_iobuf_free(io: *mut mg_iobuf) {
    // SAFETY: io is a buffer of the caller.
    unsafe { iobuf::free(io) }
}

/// Inserts `len` bytes at `ofs`, moving what follows. `buf` NULL makes room without writing it. An `ofs` behind the data makes
/// the gap part of the data. Returns `len`, or 0 when out of memory, with nothing inserted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_iobuf_add(io: *mut mg_iobuf, ofs: usize, buf: *const c_void, len: usize) -> usize {
    // SAFETY: io is a buffer of the caller, buf covers len bytes.
    unsafe { iobuf::add(io, ofs, buf.cast(), len) }
}

/// Removes up to `len` bytes at `ofs`; the bytes behind move forward and the end is zeroed. Returns how many were removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_iobuf_del(io: *mut mg_iobuf, ofs: usize, len: usize) -> usize {
    // SAFETY: io is a buffer of the caller.
    unsafe { iobuf::del(io, ofs, len) }
}

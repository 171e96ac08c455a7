//! A lock-free message queue between two threads, or between an interrupt handler and the rest of an application. The writer
//! calls `mg_queue_book` and `mg_queue_add`, or `mg_queue_printf`; the reader calls `mg_queue_next` and `mg_queue_del`.

use crate::abi::mg_queue;
use crate::ffi_util::queue;
use core::ffi::c_char;

/// Initialises an empty queue in `size` bytes at `buf`, which the caller owns and keeps alive. Call it before other threads use
/// the queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_queue_init(q: *mut mg_queue, buf: *mut c_char, size: usize) {
    // SAFETY: q is the caller's struct.
    unsafe { *q = mg_queue { buf, size, tail: 0, head: 0 } }
}

/// Reserves contiguous space for a message of `len` bytes and, if `buf` is not NULL, stores its address in `*buf`. Returns the
/// size of the space; less than `len` means that the queue is full, and nothing may be written. Each message takes four
/// additional bytes. Call it only from the writer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_queue_book(q: *mut mg_queue, buf: *mut *mut c_char, len: usize) -> usize {
    // SAFETY: q is an initialised queue, buf is NULL or the caller's.
    unsafe { give(queue::book(q, len), buf) }
}

/// Publishes a message to the reader: `len` bytes, not 0, written to the space that mg_queue_book returned. Call it only from the
/// writer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_queue_add(q: *mut mg_queue, len: usize) {
    // SAFETY: q is an initialised queue with len bytes booked.
    unsafe { queue::add(q, len) }
}

/// Returns the length of the oldest message, 0 if the queue is empty, and stores its address in `*buf`, which may be NULL. The
/// message stays until mg_queue_del. Call it only from the reader.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_queue_next(q: *mut mg_queue, buf: *mut *mut c_char) -> usize {
    // SAFETY: q is an initialised queue, buf is NULL or the caller's.
    unsafe { give(queue::next(q), buf) }
}

/// Removes the oldest message. `len` is its length, as returned by mg_queue_next. Call it only from the reader.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_queue_del(q: *mut mg_queue, len: usize) {
    // SAFETY: q is an initialised queue whose oldest message has len bytes.
    unsafe { queue::del(q, len) }
}

/// # Safety
/// `buf` is NULL or the caller's.
unsafe fn give((len, place): (usize, *mut u8), buf: *mut *mut c_char) -> usize {
    if !buf.is_null() {
        // SAFETY: guaranteed by the caller.
        unsafe { *buf = place.cast() };
    }
    len
}

//! A queue of messages between two threads, or an interrupt handler and the rest of an application, without locks: one side
//! only calls `mg_queue_book` and `mg_queue_add` (or `mg_queue_printf`), the other only `mg_queue_next` and
//! `mg_queue_del`.

use crate::abi::mg_queue;
use crate::ffi_util::queue;
use core::ffi::c_char;

/// Makes `*q` an empty queue that keeps its messages in `size` bytes at `buf`, which stay the caller's. To be called
/// before any other thread sees the queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_queue_init(q: *mut mg_queue, buf: *mut c_char, size: usize) {
    // SAFETY: q is the caller's struct.
    unsafe { *q = mg_queue { buf, size, tail: 0, head: 0 } }
}

/// Looks for room for a message of `len` bytes in one piece and, if `buf` is not NULL, sets `*buf` to where it goes.
/// Returns the size of that place: less than `len` when the queue has no room, and then nothing may be written. Each
/// message takes four bytes more. Only the writing side may call this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_queue_book(q: *mut mg_queue, buf: *mut *mut c_char, len: usize) -> usize {
    // SAFETY: q is an initialised queue, buf is NULL or the caller's.
    unsafe { give(queue::book(q, len), buf) }
}

/// Hands a message to the reader: `len` bytes, not 0, as booked, written to where `mg_queue_book` said. Only the writing
/// side may call this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_queue_add(q: *mut mg_queue, len: usize) {
    // SAFETY: q is an initialised queue with len bytes booked.
    unsafe { queue::add(q, len) }
}

/// Looks at the oldest message: returns its length, 0 when the queue is empty, and sets `*buf` to its bytes, which stay
/// there until `mg_queue_del`. `buf` may be NULL. Only the reading side may call this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_queue_next(q: *mut mg_queue, buf: *mut *mut c_char) -> usize {
    // SAFETY: q is an initialised queue, buf is NULL or the caller's.
    unsafe { give(queue::next(q), buf) }
}

/// Removes the oldest message. `len` is its length, as returned by `mg_queue_next`. Only the reading side may call this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_queue_del(q: *mut mg_queue, len: usize) {
    // SAFETY: q is an initialised queue whose oldest message has len bytes.
    unsafe { queue::del(q, len) }
}

/// # Safety
/// `buf` is NULL or the caller's.
unsafe fn give((len, place): (usize, *mut u8), buf: *mut *mut c_char) -> usize {
    if !buf.is_null() {
        // SAFETY: passed on to the caller.
        unsafe { *buf = place.cast() };
    }
    len
}

//! A ring of messages in memory of the application, with one writer (`book`, `add`) and one reader (`next`, `del`). Each owns one
//! index and publishes it with a release store that pairs with the other's acquire load, so message bytes are visible before the
//! index that covers them. A message is its length in 32 bits, then its bytes; length 0 means to continue at the start.

use crate::abi::mg_queue;
use core::sync::atomic::{AtomicUsize, Ordering::*};

const WORD: usize = size_of::<u32>();
/// Always kept free: a length and an end marker.
const RESERVE: usize = 2 * WORD;

/// # Safety
/// `q` points at a queue that is accessed through this file only.
unsafe fn tail<'a>(q: *mut mg_queue) -> &'a AtomicUsize {
    // SAFETY: guaranteed by the caller.
    unsafe { AtomicUsize::from_ptr(&raw mut (*q).tail) }
}

/// # Safety
/// As [`tail`].
unsafe fn head<'a>(q: *mut mg_queue) -> &'a AtomicUsize {
    // SAFETY: guaranteed by the caller.
    unsafe { AtomicUsize::from_ptr(&raw mut (*q).head) }
}

/// Contiguous space for `len` bytes: its size (less than `len` if there is not enough) and its address. Called by the writer.
///
/// # Safety
/// `q` points at an initialised queue.
pub(crate) unsafe fn book(q: *mut mg_queue, len: usize) -> (usize, *mut u8) {
    // SAFETY: the caller vouches for q. The reserve keeps every index that is stored, and the words at it, inside the buffer.
    unsafe {
        let (buf, size) = ((*q).buf.cast::<u8>(), (*q).size);
        let (mut at, tail) = (head(q).load(Relaxed), tail(q).load(Acquire));
        // The end of a message at `at`; on overflow it fits nowhere.
        let end = |at: usize| at.checked_add(RESERVE).and_then(|n| n.checked_add(len)).unwrap_or(usize::MAX);
        let mut space = 0;
        if at >= tail && end(at) <= size {
            space = size - at - RESERVE;
        } else {
            if at >= tail && tail > RESERVE {
                buf.add(at).cast::<u32>().write_unaligned(0);
                at = 0;
                head(q).store(at, Release);
            }
            if end(at) < tail {
                space = tail - at - RESERVE;
            }
        }
        (space, buf.wrapping_add(at + WORD))
    }
}

/// Publishes the message of `len` bytes written to the space that `book` returned. Called by the writer.
///
/// # Safety
/// As [`book`], and `len` bytes are booked.
pub(crate) unsafe fn add(q: *mut mg_queue, len: usize) {
    // SAFETY: booking made sure of the room for the length and len bytes.
    unsafe {
        let at = head(q).load(Relaxed);
        (*q).buf.add(at).cast::<u32>().write_unaligned(len as u32);
        head(q).store(at + WORD + len, Release);
    }
}

/// The oldest message: its length, 0 if there is none, and its address. Called by the reader.
///
/// # Safety
/// As [`book`].
pub(crate) unsafe fn next(q: *mut mg_queue) -> (usize, *mut u8) {
    // SAFETY: between tail and head there are messages as add wrote them.
    unsafe {
        let buf = (*q).buf.cast::<u8>();
        let (mut at, head) = (tail(q).load(Relaxed), head(q).load(Acquire));
        let mut len = 0;
        if at != head {
            len = buf.add(at).cast::<u32>().read_unaligned() as usize;
            if len == 0 {
                at = 0;
                tail(q).store(at, Release);
                if at != head {
                    len = buf.cast::<u32>().read_unaligned() as usize;
                }
            }
        }
        (len, buf.wrapping_add(at + WORD))
    }
}

/// Removes the oldest message, of `len` bytes. Called by the reader.
///
/// # Safety
/// As [`book`], and `next` gave `len`.
pub(crate) unsafe fn del(q: *mut mg_queue, len: usize) {
    // SAFETY: guaranteed by the caller.
    unsafe { tail(q).store(tail(q).load(Relaxed) + WORD + len, Release) };
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shared(*mut mg_queue);
    // SAFETY: one thread writes, one reads: what the queue is for.
    unsafe impl Send for Shared {}

    #[test]
    fn one_writer_and_one_reader_thread() {
        let count = if cfg!(miri) { 100 } else { 99_999u32 };
        let mut buf = [0u8; 512];
        let mut queue = mg_queue { buf: buf.as_mut_ptr().cast(), size: buf.len(), tail: 0, head: 0 };
        let q = &raw mut queue;
        let writer = Shared(q);
        let thread = std::thread::spawn(move || {
            let q = { writer }.0;
            for i in 0..count {
                let len = (i % 55 + 1) as usize;
                // SAFETY: the only writer; len bytes are booked before they are written.
                unsafe {
                    let mut to = book(q, len);
                    while to.0 < len {
                        std::thread::yield_now();
                        to = book(q, len);
                    }
                    to.1.write_bytes(i as u8, len);
                    add(q, len);
                }
            }
        });
        for i in 0..count {
            // SAFETY: the only reader.
            unsafe {
                let (mut len, mut from) = next(q);
                while len == 0 {
                    std::thread::yield_now();
                    (len, from) = next(q);
                }
                assert_eq!(len, (i % 55 + 1) as usize);
                assert!((0..len).all(|k| *from.add(k) == i as u8));
                del(q, len);
            }
        }
        thread.join().unwrap();
    }

    #[test]
    fn impossible_lengths_are_refused() {
        let mut buf = [0u8; 64];
        let mut queue = mg_queue { buf: buf.as_mut_ptr().cast(), size: buf.len(), tail: 0, head: 0 };
        for len in [57, usize::MAX, usize::MAX - 8] {
            // SAFETY: nothing is written.
            assert!(unsafe { book(&raw mut queue, len) }.0 < len);
        }
    }
}

//! Random numbers.

use crate::guard::bytes::slice_mut;
use crate::sys::log::log_error;
use core::ffi::c_void;

unsafe extern "C" {
    /// Fills `len` bytes at `buf` with random bytes of the operating system, or returns false. A program may define this
    /// function itself; the library then uses the program's. May be called from any thread.
    fn mg_random(buf: *mut c_void, len: usize) -> bool;
}

/// Fills a buffer; false when the bytes are not fit for secrets.
pub(crate) fn fill(buf: &mut [u8]) -> bool {
    // SAFETY: the buffer has that many bytes.
    unsafe { mg_random(buf.as_mut_ptr().cast(), buf.len()) }
}

/// The library's own `mg_random`: bytes of the operating system's generator. Without one, zeros, and false.
#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_random(buf: *mut c_void, len: usize) -> bool {
    // SAFETY: buf has room for len bytes.
    let buf = unsafe { slice_mut(buf.cast(), len) };
    let done = getrandom::fill(buf).is_ok();
    if !done {
        log_error!("no random numbers");
        buf.fill(0);
    }
    done
}

/// A number below `n`, for spreading things out.
pub(crate) fn below(n: u64) -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_ne_bytes(bytes) % n.max(1)
}

/// Letters and digits, all equally likely.
pub(crate) fn text(buf: &mut [u8]) {
    const ALPHABET: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    for part in buf.chunks_mut(16) {
        let mut random = [[0; 4]; 16];
        fill(random.as_flattened_mut());
        for (c, r) in part.iter_mut().zip(random) {
            *c = ALPHABET[((u64::from(u32::from_ne_bytes(r)) * 62) >> 32) as usize];
        }
    }
}

//! Random numbers.

#[cfg(feature = "std")]
use crate::ffi_util::bytes::slice_mut;
use crate::memory::atomic::{AtomicU32, Ordering::Relaxed};
use crate::platform::clock::millis;
use crate::platform::thread;
#[cfg(feature = "std")]
use crate::sys::log::log_error;
use core::ffi::c_void;

unsafe extern "C" {
    /// Fills `len` bytes at `buf` with random bytes of the operating system, or returns false. An application may define this
    /// function itself; the library then uses the application's. May be called from any thread.
    fn mg_random(buf: *mut c_void, len: usize) -> bool;
}

/// Fills a buffer. False if there are no random numbers; its content is then unusable.
#[must_use]
pub(crate) fn fill(buf: &mut [u8]) -> bool {
    // SAFETY: the buffer has that many bytes.
    unsafe { mg_random(buf.as_mut_ptr().cast(), buf.len()) }
}

/// The library's own `mg_random`: bytes of the operating system's generator, or zeros and false.
#[cfg(feature = "std")]
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

/// A number that is not secret: different each time, and unlikely to repeat.
fn common() -> u64 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut bytes = [0; 8];
    if fill(&mut bytes) {
        return u64::from_ne_bytes(bytes);
    }
    let count = COUNT.fetch_add(1, Relaxed);
    let parts = [u64::from(count), u64::from(thread::process_id()), millis(), (&raw const COUNT) as u64];
    // The mixer of SplitMix64.
    parts.iter().fold(0, |state: u64, part| {
        let n = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ n >> 31
    })
}

/// A number below `n`, for spreading load. Not for secrets.
pub(crate) fn below(n: u64) -> u64 {
    common() % n.max(1)
}

const ALPHABET: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Unique letters and digits, for names. Not for secrets.
pub(crate) fn name<const N: usize>() -> [u8; N] {
    let mut n = common();
    [0; N].map(|_| {
        let c = ALPHABET[(n % 62) as usize];
        n /= 62;
        c
    })
}

/// Uniformly distributed letters and digits. False, with NULs, if there are no random numbers.
#[must_use]
pub(crate) fn text(buf: &mut [u8]) -> bool {
    for part in buf.chunks_mut(16) {
        let mut random = [[0; 4]; 16];
        if !fill(random.as_flattened_mut()) {
            buf.fill(0);
            return false;
        }
        for (c, r) in part.iter_mut().zip(random) {
            *c = ALPHABET[((u64::from(u32::from_ne_bytes(r)) * 62) >> 32) as usize];
        }
    }
    true
}

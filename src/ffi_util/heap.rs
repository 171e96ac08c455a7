//! Memory that an application may see, keep or free: always from `mg_calloc` and `mg_free`, which the application may replace.

use crate::memory;
use core::ffi::c_void;

unsafe extern "C" {
    fn mg_calloc(count: usize, size: usize) -> *mut c_void;
    fn mg_free(ptr: *mut c_void);
    fn realloc(ptr: *mut c_void, size: usize) -> *mut c_void;
    /// True if `mg_calloc` is the library's own (`src/fmt/replaceable.c`), so that blocks come from the C heap.
    #[cfg(not(any(windows, target_vendor = "apple")))]
    fn mgc_heap_is_libc() -> bool;
}

/// Unknown here: see `src/fmt/replaceable.c`.
#[cfg(any(windows, target_vendor = "apple"))]
unsafe fn mgc_heap_is_libc() -> bool {
    false
}

/// `n` zeroed bytes, or NULL. Sizes above isize::MAX are not requested, because some allocators abort on them.
#[inline]
pub(crate) fn calloc(n: usize) -> *mut u8 {
    if n > isize::MAX as usize {
        return core::ptr::null_mut();
    }
    // SAFETY: no conditions.
    let block: *mut u8 = unsafe { mg_calloc(1, n).cast() };
    if block.is_null() {
        memory::failed();
    }
    block
}

/// # Safety
/// `p` is NULL or came from `mg_calloc` and is not used again.
#[inline]
pub(crate) unsafe fn free(p: *mut u8) {
    // SAFETY: guaranteed by the caller.
    unsafe { mg_free(p.cast()) }
}

/// Zeroed memory for one `T` of C's plain data, or NULL.
#[inline]
pub(crate) fn new_zeroed<T>() -> *mut T {
    calloc(size_of::<T>()).cast()
}

/// A NUL-terminated copy of `s`, or NULL.
pub(crate) fn dup(s: &[u8]) -> *mut u8 {
    let Some(n) = s.len().checked_add(1) else { return core::ptr::null_mut() };
    let p = calloc(n);
    if !p.is_null() {
        // SAFETY: the block has room for s and a NUL, which calloc has put there.
        unsafe { core::ptr::copy_nonoverlapping(s.as_ptr(), p, s.len()) };
    }
    p
}

/// Resizes a block, keeping its first `keep` bytes. Zeroes new bytes, and the old block when it is replaced. NULL on failure; the
/// old block is then unchanged.
///
/// # Safety
/// `p` is NULL or an `mg_calloc` block of `old` bytes, `keep <= min(old, new)`, `new > 0`; the old block is gone afterwards.
pub(crate) unsafe fn resize(p: *mut u8, old: usize, new: usize, keep: usize) -> *mut u8 {
    /// From this size on, the C library moves pages instead of bytes.
    const LARGE: usize = 128 * 1024;
    // SAFETY: the caller describes the block; each branch stays within old and new.
    unsafe {
        if !p.is_null() && old >= LARGE && (LARGE..=isize::MAX as usize).contains(&new) && mgc_heap_is_libc() {
            if old > keep {
                core::ptr::write_bytes(p.add(keep), 0, old - keep);
            }
            let q: *mut u8 = realloc(p.cast(), new).cast();
            if q.is_null() {
                memory::failed();
            } else if new > old {
                core::ptr::write_bytes(q.add(old), 0, new - old);
            }
            return q;
        }
        let q = calloc(new);
        if !q.is_null() && !p.is_null() {
            core::ptr::copy_nonoverlapping(p, q, keep);
            core::ptr::write_bytes(p, 0, old);
            free(p);
        }
        q
    }
}

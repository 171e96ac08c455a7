//! Blocks of memory that are in use, of this thread.

use core::cell::Cell;
use std::alloc::{GlobalAlloc, Layout, System};

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

thread_local! {
    /// Allocations before the next that fails, and how many fail then.
    static FAMINE: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
    static FAILED: Cell<u32> = const { Cell::new(0) };
}

/// From the `from`th on, `many` of the library's allocations that may fail do.
pub(crate) fn fail(from: u32, many: u32) {
    FAMINE.with(|f| f.set((from, many)));
}

/// Gives up what is left of that, and forgets what has failed.
pub(crate) fn recover() {
    FAMINE.with(|f| f.set((0, 0)));
    FAILED.with(|f| f.set(0));
}

pub(crate) fn has_failed() -> bool {
    FAILED.with(Cell::get) > 0
}

/// Whether this one fails.
fn fails() -> bool {
    let famine = FAMINE.try_with(|f| match f.get() {
        (_, 0) => false,
        (0, many) => {
            f.set((0, many - 1));
            FAILED.with(|f| f.set(f.get() + 1));
            true
        }
        (from, many) => {
            f.set((from - 1, many));
            false
        }
    });
    famine.unwrap_or(false)
}

/// Whether the library could go on without.
fn may_fail() -> bool {
    #[cfg(feature = "sim")]
    return mongoose::sim::may_fail();
    #[cfg(not(feature = "sim"))]
    false
}

struct Counting;

#[cfg_attr(not(feature = "reserve"), global_allocator)]
static COUNTING: Counting = Counting;

fn count(n: i64) {
    // The thread may be ending.
    let _ = HELD.try_with(|held| held.set(held.get() + n));
}

pub(crate) fn held() -> i64 {
    HELD.with(Cell::get)
}

// SAFETY: the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if may_fail() && fails() {
            return core::ptr::null_mut();
        }
        count(1);
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if may_fail() && fails() {
            return core::ptr::null_mut();
        }
        count(1);
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        count(-1);
        unsafe { System.dealloc(p, layout) }
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if may_fail() && fails() {
            return core::ptr::null_mut();
        }
        unsafe { System.realloc(p, layout, size) }
    }
}

/// The library's blocks that programs may see.
#[unsafe(no_mangle)]
extern "C" fn mg_calloc(count_: usize, size: usize) -> *mut core::ffi::c_void {
    if fails() {
        return core::ptr::null_mut();
    }
    count(1);
    unsafe { libc::calloc(count_, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mg_free(p: *mut core::ffi::c_void) {
    if !p.is_null() {
        count(-1);
    }
    unsafe { libc::free(p) }
}

//! Blocks of memory that are in use, of this thread.

use core::cell::Cell;
use std::alloc::{GlobalAlloc, Layout, System};

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
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
        count(1);
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1);
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        count(-1);
        unsafe { System.dealloc(p, layout) }
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { System.realloc(p, layout, size) }
    }
}

/// The library's blocks that programs may see.
#[unsafe(no_mangle)]
extern "C" fn mg_calloc(count_: usize, size: usize) -> *mut core::ffi::c_void {
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

//! Without std, the allocator is the program's: `mg_calloc` and `mg_free`, or C's where it has not replaced them.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::ptr;

unsafe extern "C" {
    fn mg_calloc(count: usize, size: usize) -> *mut c_void;
    fn mg_free(block: *mut c_void);
    fn mgc_heap_is_libc() -> bool;
    fn malloc(size: usize) -> *mut c_void;
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
}

/// What C's allocators align to.
const ALIGN: usize = 8;

pub(super) struct System;

// SAFETY: blocks are the program's; those that need more alignment begin inside a larger one, whose address stands before them.
unsafe impl GlobalAlloc for System {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no conditions; zeroes cost time only.
        unsafe {
            match layout.align() {
                ..=ALIGN if mgc_heap_is_libc() => malloc(layout.size()).cast(),
                _ => self.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the block has room for the address and for moving the rest to its alignment.
        unsafe {
            if layout.align() <= ALIGN {
                return mg_calloc(1, layout.size()).cast();
            }
            let whole: *mut u8 = mg_calloc(1, layout.size().saturating_add(2 * layout.align())).cast();
            if whole.is_null() {
                return ptr::null_mut();
            }
            let block = whole.add(2 * layout.align() - whole.addr() % layout.align());
            block.cast::<*mut u8>().sub(1).write(whole);
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a block of one of the two kinds.
        unsafe {
            let whole = if layout.align() <= ALIGN { block } else { block.cast::<*mut u8>().sub(1).read() };
            mg_free(whole.cast());
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; the bytes that both blocks have are copied.
        unsafe {
            if layout.align() <= ALIGN && mgc_heap_is_libc() {
                return realloc(block.cast(), size).cast();
            }
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

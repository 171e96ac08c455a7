//! The allocator of the C library: the system's, with the reserve as a fallback. Rust applications that use the crate omit the
//! feature `reserve` and keep their own allocator.

use super::System;
use super::{failed, reserve};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: blocks come from the system's allocator or from the reserve, which tells its own by their addresses; each frees its own.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: guaranteed by the caller.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() { instead(layout) } else { block }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: guaranteed by the caller.
        let block = unsafe { System.alloc_zeroed(layout) };
        if block.is_null() { instead_zeroed(layout) } else { block }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if reserve::owns(block) {
            return reserve::give(block);
        }
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !reserve::owns(block) {
            // SAFETY: guaranteed by the caller.
            let new = unsafe { System.realloc(block, layout, size) };
            if !new.is_null() {
                return new;
            }
        }
        // SAFETY: as above.
        unsafe { moved(block, layout, size) }
    }
}

#[cold]
fn instead(layout: Layout) -> *mut u8 {
    failed();
    reserve::take(layout)
}

#[cold]
fn instead_zeroed(layout: Layout) -> *mut u8 {
    let block = instead(layout);
    if !block.is_null() {
        // SAFETY: a block of at least that size.
        unsafe { ptr::write_bytes(block, 0, layout.size()) };
    }
    block
}

/// Moves a block out of the reserve, or into it.
///
/// # Safety
/// As [`GlobalAlloc::realloc`].
#[cold]
unsafe fn moved(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    // SAFETY: the caller has made sure that the size fits the alignment; both blocks have the bytes that are copied.
    unsafe {
        if reserve::owns(block) && size <= reserve::size_of(block) {
            return block;
        }
        let new = Layout::from_size_align_unchecked(size, layout.align());
        let from_system = if reserve::owns(block) { System.alloc(new) } else { ptr::null_mut() };
        let to = if from_system.is_null() { instead(new) } else { from_system };
        if !to.is_null() {
            ptr::copy_nonoverlapping(block, to, layout.size().min(size));
            HEAP.dealloc(block, layout);
        }
        to
    }
}

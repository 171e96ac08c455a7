//! Fallback for when the system's allocator fails: blocks of a few sizes in the data segment, whose pages are not touched before
//! they are needed. One bit per block records its use, so taking and returning a block is one atomic operation: safe in any
//! thread, in signal handlers, and across a fork.

use crate::memory::atomic::{AtomicUsize, Ordering};
use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};

/// Sizes and numbers of blocks. Each class is a multiple of the page size, so every block is aligned to its size or to a page.
#[cfg(feature = "std")]
const CLASSES: [(usize, usize); 6] = [(64, 1024), (256, 256), (1024, 64), (4096, 16), (16384, 8), (65536, 2)];
/// A device has a few kilobytes to spare.
#[cfg(not(feature = "std"))]
const CLASSES: [(usize, usize); 3] = [(64, 16), (256, 4), (1024, 1)];
const PAGE: usize = align_of::<Blocks>();
const BITS: usize = usize::BITS as usize;
const SIZE: usize = first(CLASSES.len());
const WORDS: usize = first_word(CLASSES.len());

/// Offset of the first block of a class.
const fn first(class: usize) -> usize {
    let (mut at, mut i) = (0, 0);
    while i < class {
        at += CLASSES[i].0 * CLASSES[i].1;
        i += 1;
    }
    at
}

/// Index of the first bit word of a class.
const fn first_word(class: usize) -> usize {
    let (mut at, mut i) = (0, 0);
    while i < class {
        at += CLASSES[i].1.div_ceil(BITS);
        i += 1;
    }
    at
}

#[cfg_attr(feature = "std", repr(align(4096)))]
#[cfg_attr(not(feature = "std"), repr(align(64)))]
struct Blocks(UnsafeCell<[u8; SIZE]>);
// SAFETY: a block is used by whoever has set its bit.
unsafe impl Sync for Blocks {}
static BLOCKS: Blocks = Blocks(UnsafeCell::new([0; SIZE]));
static USED: [AtomicUsize; WORDS] = [const { AtomicUsize::new(0) }; WORDS];
static BYTES: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);

super::per_thread! {
    /// Whether this thread asks for something that may fail.
    pub(super) static STRICT: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn taken() -> usize {
    TAKEN.load(Ordering::Relaxed)
}

pub(super) fn is_low() -> bool {
    BYTES.load(Ordering::Relaxed) > SIZE / 2
}

pub(super) fn is_nearly_empty() -> bool {
    BYTES.load(Ordering::Relaxed) > SIZE / 4 * 3
}

#[inline]
fn offset(block: *mut u8) -> usize {
    (block as usize).wrapping_sub(BLOCKS.0.get() as usize)
}

#[inline]
pub(super) fn owns(block: *mut u8) -> bool {
    offset(block) < SIZE
}

/// A block for `layout`, from the smallest size that has one; NULL if there is none, or inside [`super::fallibly`].
pub(super) fn take(layout: Layout) -> *mut u8 {
    if STRICT.get() {
        return core::ptr::null_mut();
    }
    for (class, &(size, count)) in CLASSES.iter().enumerate() {
        if size < layout.size() || size.min(PAGE) < layout.align() {
            continue;
        }
        let words = &USED[first_word(class)..first_word(class + 1)];
        for (n, word) in words.iter().enumerate() {
            let there = if count - n * BITS >= BITS { usize::MAX } else { (1 << (count % BITS)) - 1 };
            let mut used = word.load(Ordering::Relaxed);
            while used & there != there {
                let bit = (!used & there).trailing_zeros();
                match word.compare_exchange_weak(used, used | 1 << bit, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => {
                        BYTES.fetch_add(size, Ordering::Relaxed);
                        TAKEN.fetch_add(1, Ordering::Relaxed);
                        let at = first(class) + (n * BITS + bit as usize) * size;
                        return BLOCKS.0.get().cast::<u8>().wrapping_add(at);
                    }
                    Err(now) => used = now,
                }
            }
        }
    }
    core::ptr::null_mut()
}

/// Class and number of a block.
fn place(block: *mut u8) -> (usize, usize) {
    let at = offset(block);
    let class = (1..CLASSES.len()).rev().find(|&class| first(class) <= at).unwrap_or(0);
    (class, (at - first(class)) / CLASSES[class].0)
}

pub(super) fn size_of(block: *mut u8) -> usize {
    CLASSES[place(block).0].0
}

#[cold]
pub(super) fn give(block: *mut u8) {
    let (class, n) = place(block);
    // The contents are not cleared: the next owner does not rely on them.
    USED[first_word(class) + n / BITS].fetch_and(!(1 << (n % BITS)), Ordering::Release);
    BYTES.fetch_sub(CLASSES[class].0, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_disjoint_and_reusable() {
        for size in [1, 64, 65, 1000, 5000, 20000, 65536] {
            for align in [1, 16, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let block = take(layout);
                assert!(owns(block) && (block as usize) % align == 0 && size_of(block) >= size.max(align), "{size} {align}");
                give(block);
            }
        }
        let layout = Layout::from_size_align(64, 1).unwrap();
        let all: Vec<_> = core::iter::from_fn(|| Some(take(layout)).filter(|b| !b.is_null())).collect();
        assert_eq!(all.len(), CLASSES.iter().map(|(_, n)| n).sum::<usize>());
        assert!(is_low() && is_nearly_empty());
        let mut seen: Vec<_> = all.iter().map(|b| offset(*b)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all.len());
        all.into_iter().for_each(give);
        assert!(!is_low());
        assert!(take(Layout::from_size_align(65537, 1).unwrap()).is_null());
        assert!(take(Layout::from_size_align(64, 8192).unwrap()).is_null());
        assert!(super::super::fallibly(|| take(layout)).is_null());
    }
}

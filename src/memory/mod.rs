//! Memory that may run out. Nothing that a peer can make large is allocated in a way that cannot fail: it goes through the functions
//! here, through `try_reserve` inside [`fallibly`], or through C's heap. What is small comes from the [`reserve`] when the system has
//! no more, so that the code above needs no second way out of every line; the engine looks at [`is_short`] and sheds load.

use core::sync::atomic::{AtomicBool, Ordering};
use std::alloc::{GlobalAlloc, Layout, System};
#[cfg(feature = "reserve")]
mod heap;
#[allow(dead_code)] // without the feature nothing is taken from it
mod reserve;

/// An allocation has failed, and [`recovered`] has not seen memory since.
static SHORT: AtomicBool = AtomicBool::new(false);

/// An allocation has failed.
#[cold]
pub(crate) fn failed() {
    SHORT.store(true, Ordering::Relaxed);
}

/// Whether an allocation has failed lately.
#[inline]
pub(crate) fn is_short() -> bool {
    SHORT.load(Ordering::Relaxed)
}

/// Whether there is memory (again).
#[inline]
pub(crate) fn recovered() -> bool {
    !is_short() || look_again()
}

#[cold]
fn look_again() -> bool {
    /// What one more connection may need at first, with TLS.
    const PROBE: usize = 64 * 1024;
    if reserve::is_nearly_empty() {
        return false;
    }
    // SAFETY: a layout of more than no bytes; the block is given back as it was taken.
    unsafe {
        let layout = Layout::from_size_align_unchecked(PROBE, 8);
        let block = System.alloc(layout);
        if block.is_null() {
            return false;
        }
        System.dealloc(core::hint::black_box(block), layout);
    }
    SHORT.store(false, Ordering::Relaxed);
    true
}

/// How often the reserve has helped out. Two equal numbers: not in between.
#[inline]
pub(crate) fn helped() -> usize {
    reserve::taken()
}

/// The reserve is half used up: whoever takes more of it has to go, and what allocates many small things ends.
#[inline]
pub(crate) fn is_low() -> bool {
    reserve::is_low()
}

/// Runs `f`, in which allocations fail rather than use the reserve.
#[inline]
pub(crate) fn fallibly<T>(f: impl FnOnce() -> T) -> T {
    reserve::STRICT.with(|strict| {
        let before = strict.replace(true);
        let result = f();
        strict.set(before);
        result
    })
}

/// Whether this thread asks for something that may fail: for the simulation's allocator.
#[cfg(feature = "sim")]
pub(crate) fn may_fail() -> bool {
    reserve::STRICT.get()
}

/// Makes room for `more` elements. False when out of memory.
pub(crate) fn grow<T>(list: &mut Vec<T>, more: usize) -> bool {
    if list.capacity() - list.len() >= more {
        return true;
    }
    let done = fallibly(|| list.try_reserve(more).is_ok());
    if !done {
        failed();
    }
    done
}

/// Room for `n` elements. None when out of memory.
pub(crate) fn room<T>(n: usize) -> Option<Vec<T>> {
    let mut list = Vec::new();
    let done = fallibly(|| list.try_reserve_exact(n).is_ok());
    if !done {
        failed();
    }
    done.then_some(list)
}

/// `n` zero bytes.
pub(crate) fn zeroed(n: usize) -> Option<Vec<u8>> {
    let mut list = room(n)?;
    list.resize(n, 0);
    Some(list)
}

/// A copy.
pub(crate) fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    joined(&[bytes])
}

/// All parts in one piece.
pub(crate) fn joined(parts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut all = room(parts.iter().try_fold(0usize, |n, part| n.checked_add(part.len()))?)?;
    for part in parts {
        all.extend_from_slice(part);
    }
    Some(all)
}

/// Appends `bytes`. False, without effect, when out of memory.
pub(crate) fn append(list: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let done = grow(list, bytes.len());
    if done {
        list.extend_from_slice(bytes);
    }
    done
}

//! Memory that may run out. Allocations that a peer can make large are fallible: they use the functions here, `try_reserve` inside
//! [`fallibly`], or C's heap. Small allocations fall back to the [`reserve`], so callers need not handle their failure; the engine
//! checks [`is_short`] and sheds load.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicBool, Ordering};
use prelude::*;
#[cfg(feature = "std")]
use std::alloc::System;
#[cfg(not(feature = "std"))]
use system::System;

#[cfg(any(feature = "reserve", not(feature = "std")))]
mod heap;
#[allow(dead_code)] // unused without the feature
mod reserve;
#[cfg(not(feature = "std"))]
mod system;

/// What std's prelude has of `alloc`.
pub(crate) mod prelude {
    #[allow(unused_imports)]
    pub(crate) use alloc::{
        borrow::ToOwned,
        boxed::Box,
        format,
        string::{String, ToString},
        vec,
        vec::Vec,
    };
}

/// Atomic types; in a critical section on processors that only have loads and stores.
#[cfg(target_has_atomic = "ptr")]
pub(crate) use core::sync::atomic;
#[cfg(not(target_has_atomic = "ptr"))]
pub(crate) use portable_atomic as atomic;

#[cfg(not(feature = "std"))]
mod sorted;
#[cfg(feature = "std")]
pub(crate) use alloc::collections::{BTreeMap as SortedMap, BTreeSet as SortedSet};
#[cfg(not(feature = "std"))]
pub(crate) use sorted::{SortedMap, SortedSet};

/// A map from keys that peers may choose.
#[cfg(not(feature = "std"))]
pub(crate) use sorted::SortedMap as Map;
#[cfg(feature = "std")]
pub(crate) use std::collections::HashMap as Map;

/// A variable of each thread.
#[cfg(feature = "std")]
pub(crate) use std::thread_local as per_thread;

/// Without std there is one thread.
#[cfg(not(feature = "std"))]
macro_rules! per_thread {
    ($(#[$doc:meta])* $vis:vis static $name:ident: $type:ty = const $value:block;) => {
        $(#[$doc])*
        $vis static $name: $crate::memory::OneThread<$type> = $crate::memory::OneThread($value);
    };
}
#[cfg(not(feature = "std"))]
pub(crate) use per_thread;

#[cfg(not(feature = "std"))]
pub(crate) struct OneThread<T>(pub(crate) T);

// SAFETY: no interrupt handler calls what uses one.
#[cfg(not(feature = "std"))]
unsafe impl<T> Sync for OneThread<T> {}

#[cfg(not(feature = "std"))]
impl<T> OneThread<T> {
    pub(crate) fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.0)
    }
}

#[cfg(not(feature = "std"))]
impl<T> core::ops::Deref for OneThread<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// An allocation has failed, and [`recovered`] has not succeeded since.
static SHORT: AtomicBool = AtomicBool::new(false);

/// Records a failed allocation.
#[cold]
pub(crate) fn failed() {
    SHORT.store(true, Ordering::Relaxed);
}

/// True if an allocation has failed recently.
#[inline]
pub(crate) fn is_short() -> bool {
    SHORT.load(Ordering::Relaxed)
}

/// True if memory is available (again).
#[inline]
pub(crate) fn recovered() -> bool {
    !is_short() || look_again()
}

#[cold]
fn look_again() -> bool {
    /// Initial memory of another connection, with TLS; on a device, where its TCP buffers exist already, without.
    const PROBE: usize = if cfg!(feature = "std") { 64 * 1024 } else { 1024 };
    if reserve::is_nearly_empty() {
        return false;
    }
    // SAFETY: a layout of non-zero size; the block is freed with the same layout.
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

/// Number of blocks taken from the reserve so far. Compare two results to detect use in between.
#[inline]
pub(crate) fn helped() -> usize {
    reserve::taken()
}

/// True if half of the reserve is in use: connections that take more of it close, and lists stop growing.
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

/// Whether the allocation that this thread requests may fail; for the simulation's allocator.
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

/// Makes room for `more` keys. False when out of memory.
#[cfg(feature = "std")]
pub(crate) fn grow_map<K: Eq + core::hash::Hash, V>(map: &mut Map<K, V>, more: usize) -> bool {
    fallibly(|| map.try_reserve(more).is_ok())
}

#[cfg(not(feature = "std"))]
pub(crate) fn grow_map<K, V>(map: &mut Map<K, V>, more: usize) -> bool {
    grow(&mut map.0, more)
}

/// The number that belongs to a key, 0 at first. There is room for it.
#[cfg(feature = "std")]
pub(crate) fn number_of<K: Eq + core::hash::Hash>(map: &mut Map<K, usize>, key: K) -> &mut usize {
    map.entry(key).or_default()
}

#[cfg(not(feature = "std"))]
pub(crate) fn number_of<K: Ord + Copy>(map: &mut Map<K, usize>, key: K) -> &mut usize {
    if map.get(&key).is_none() {
        map.insert(key, 0);
    }
    map.get_mut(&key).unwrap_or_else(|| unreachable!())
}

/// Sorts a list, equal elements in any order.
#[cfg(feature = "std")]
pub(crate) fn sort_by_key<T, K: Ord>(list: &mut [T], key: impl FnMut(&T) -> K) {
    list.sort_unstable_by_key(key);
}

/// By insertion: lists of a device are short.
#[cfg(not(feature = "std"))]
pub(crate) fn sort_by_key<T, K: Ord>(list: &mut [T], mut key: impl FnMut(&T) -> K) {
    for end in 1..list.len() {
        let mut at = end;
        while at > 0 && key(&list[at]) < key(&list[at - 1]) {
            list.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Appends text: a line of it, no more than what the reserve has room for.
pub(crate) fn append_text(to: &mut Vec<u8>, text: core::fmt::Arguments<'_>) {
    struct To<'a>(&'a mut Vec<u8>);
    impl core::fmt::Write for To<'_> {
        fn write_str(&mut self, s: &str) -> core::fmt::Result {
            self.0.extend_from_slice(s.as_bytes());
            Ok(())
        }
    }
    // Writing to memory does not fail.
    let _ = core::fmt::Write::write_fmt(&mut To(to), text);
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

/// A copy of `bytes`.
pub(crate) fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    joined(&[bytes])
}

/// The concatenation of all parts.
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

//! One thread, and no processes. Interrupt handlers may only call `mg_wakeup`, the `mgx_*` functions for other threads, and
//! `mg_tcpip_qwrite`.

use core::cell::{RefCell, RefMut};

#[inline]
pub(crate) fn id() -> usize {
    1
}

/// Does not sleep: there are no other threads.
pub(crate) fn sleep_ms(_ms: u64) {}

/// Does not wait: nothing else can make `f` true.
pub(crate) fn retry_for(_ms: u64, mut f: impl FnMut() -> bool) -> bool {
    f()
}

#[inline]
pub(crate) fn generation() -> u32 {
    0
}

#[inline]
pub(crate) fn current_generation() -> u32 {
    0
}

pub(crate) fn process_id() -> u32 {
    1
}

pub(crate) struct Mutex<T>(RefCell<T>);
pub(crate) type MutexGuard<'a, T> = RefMut<'a, T>;

// SAFETY: there is one thread, and interrupt handlers never lock it.
unsafe impl<T> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex(RefCell::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.borrow_mut()
    }
}

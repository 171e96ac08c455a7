//! A recursive lock.

use crate::memory::atomic::{AtomicUsize, Ordering};
use crate::platform::thread;

#[derive(Default)]
pub(crate) struct Lock {
    /// The owner's id, 0 for none.
    owner: AtomicUsize,
    /// Threads that wait for it.
    waiting: AtomicUsize,
}

impl Lock {
    #[inline]
    pub(crate) fn is_mine(&self, me: usize) -> bool {
        self.owner.load(Ordering::Relaxed) == me
    }

    fn try_take(&self, me: usize) -> bool {
        self.owner.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes the lock. False on timeout.
    #[inline]
    pub(crate) fn take(&self, me: usize, patience_ms: u64) -> bool {
        self.try_take(me) || self.wait(me, patience_ms)
    }

    #[cold]
    fn wait(&self, me: usize, patience_ms: u64) -> bool {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let taken = thread::retry_for(patience_ms, || self.try_take(me));
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        taken
    }

    #[inline]
    pub(crate) fn release(&self) {
        self.owner.store(0, Ordering::Release);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.hand_over();
        }
    }

    /// Releases the lock of an engine that the next owner may free: touches nothing afterwards.
    pub(crate) fn release_last(&self) {
        self.owner.store(0, Ordering::Release);
    }

    /// Yields to waiting threads; a poll loop that never sleeps would otherwise retake the lock at once.
    #[cold]
    fn hand_over(&self) {
        thread::retry_for(1, || self.waiting.load(Ordering::Relaxed) == 0 || self.owner.load(Ordering::Relaxed) != 0);
    }

    /// In a child process: releases the lock if its owner was another thread, which does not exist here.
    pub(crate) fn forget(&self) {
        self.owner.store(0, Ordering::Relaxed);
        self.waiting.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_threads_wait_for_the_owner_and_time_out() {
        let lock = Lock::default();
        assert!(lock.take(1, 0) && lock.is_mine(1));
        assert!(!lock.take(2, 5));
        std::thread::scope(|s| {
            let other = s.spawn(|| lock.take(2, u64::MAX));
            while lock.waiting.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            lock.release();
            assert!(other.join().unwrap());
        });
        assert!(lock.is_mine(2));
        assert_eq!(lock.waiting.load(Ordering::Relaxed), 0);
        // The threads that wait here are not in the child.
        lock.waiting.store(3, Ordering::Relaxed);
        lock.forget();
        assert_eq!(lock.waiting.load(Ordering::Relaxed), 0);
        assert!(lock.take(1, 0));
        lock.release_last();
        assert!(lock.take(2, 0));
    }

    #[test]
    fn a_release_yields_to_threads_that_wait() {
        let lock = Lock::default();
        assert!(lock.take(1, 0));
        lock.waiting.store(1, Ordering::Relaxed);
        let began = std::time::Instant::now();
        lock.release();
        assert!(began.elapsed().as_millis() >= 1);
    }
}

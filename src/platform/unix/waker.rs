//! For other threads and signal handlers: an eventfd or a pipe, a lock that signal handlers can take, and memory that they can grow.

use super::sock;
pub(crate) use crate::platform::common::guarded::{Guarded, LIMIT};
use core::ffi::c_int;

/// Runs `f` with signals blocked, so a signal handler in this thread cannot wait for the lock that `f` holds.
pub(crate) fn undisturbed<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: sigset_t is plain data, filled before use.
    unsafe {
        let (mut all, mut old) = core::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
        let r = f();
        libc::pthread_sigmask(libc::SIG_SETMASK, &old, core::ptr::null_mut());
        r
    }
}

/// Yields to the holder of a spin lock.
pub(crate) fn pause() {
    // SAFETY: no pointers.
    unsafe { libc::sched_yield() };
}

/// Ends the wait of the poller that watches its descriptor.
pub(crate) struct Waker {
    read: c_int,
    /// The same descriptor if the system has eventfd.
    write: c_int,
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn pair() -> Option<[c_int; 2]> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    (fd >= 0).then_some([fd, fd])
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
use pipe as pair;

#[cfg(any(test, not(any(target_os = "linux", target_os = "android", target_os = "freebsd"))))]
fn pipe() -> Option<[c_int; 2]> {
    let mut ends = [-1; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        return None;
    }
    if !(sock::adopt(ends[0]) && sock::adopt(ends[1])) {
        ends.into_iter().for_each(sock::close);
        return None;
    }
    Some(ends)
}

impl Waker {
    pub(crate) fn new() -> Option<Waker> {
        pair().map(|[read, write]| Waker { read, write })
    }

    pub(crate) fn fd(&self) -> c_int {
        self.read
    }

    /// In a child process: the same descriptor numbers, but no longer the parent's.
    pub(crate) fn renew(&self) -> bool {
        let Some([read, write]) = pair() else { return false };
        // SAFETY: no pointers; all descriptors are ours.
        let put = |fd, at| unsafe { libc::dup2(fd, at) } >= 0 && sock::adopt(at);
        let ok = put(read, self.read) && (self.write == self.read || put(write, self.write));
        sock::close(read);
        if write != read {
            sock::close(write);
        }
        ok
    }

    /// Any thread and signal handlers may call it. False if the descriptor is broken.
    pub(crate) fn wake(&self) -> bool {
        let one: u64 = 1;
        // SAFETY: writes eight bytes from the stack. A full pipe wakes the poller just as well.
        let n = unsafe { libc::write(self.write, (&raw const one).cast(), 8) };
        n == 8 || sock::errno() == libc::EAGAIN
    }

    /// Clears the wakeup, so the next one ends a wait again.
    pub(crate) fn reset(&self) {
        let mut count = [0u64; 16];
        // SAFETY: reads onto the stack. An eventfd is empty after eight bytes, a pipe after a short read.
        while unsafe { libc::read(self.read, count.as_mut_ptr().cast(), size_of_val(&count)) } == size_of_val(&count) as isize {}
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        sock::close(self.read);
        if self.write != self.read {
            sock::close(self.write);
        }
    }
}

/// A growable byte buffer in its own pages.
pub(crate) struct Pages {
    base: *mut u8,
    size: usize,
    len: usize,
    /// The owning process, as in [`Guarded`].
    pub(crate) process: u32,
}

// SAFETY: it owns its mappings.
unsafe impl Send for Pages {}

impl Pages {
    pub(crate) const EMPTY: Pages = Pages { base: core::ptr::null_mut(), size: 0, len: 0, process: 0 };

    /// Appends both parts, or nothing. False if over the limit or out of memory.
    pub(crate) fn push(&mut self, parts: [&[u8]; 2]) -> bool {
        let need = self.len + parts[0].len() + parts[1].len();
        if need > self.size && !self.grow(need) {
            return false;
        }
        for part in parts {
            // SAFETY: all parts fit behind len.
            unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), self.base.add(self.len), part.len()) };
            self.len += part.len();
        }
        true
    }

    /// Empty, for this process.
    pub(crate) const fn of(process: u32) -> Pages {
        Pages { process, ..Pages::EMPTY }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: push wrote len bytes at base; they are accessed through self only.
        unsafe { crate::ffi_util::bytes::slice_mut(self.base, self.len) }
    }

    fn grow(&mut self, need: usize) -> bool {
        if need > LIMIT {
            return false;
        }
        let size = need.next_power_of_two().max(16384);
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping; the old one is copied before it is unmapped.
        unsafe {
            let p = libc::mmap(core::ptr::null_mut(), size, prot, flags, -1, 0);
            if p == libc::MAP_FAILED {
                return false;
            }
            if self.len > 0 {
                core::ptr::copy_nonoverlapping(self.base, p.cast(), self.len);
            }
            self.unmap();
            (self.base, self.size) = (p.cast(), size);
        }
        true
    }

    pub(crate) fn unmap(&mut self) {
        if !self.base.is_null() {
            // SAFETY: our own mapping of this size.
            unsafe { libc::munmap(self.base.cast(), self.size) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pipe, for systems without eventfd, behaves the same.
    #[test]
    fn both_kinds_wake_and_are_heard() {
        let [read, write] = pipe().unwrap();
        for waker in [Waker::new().unwrap(), Waker { read, write }] {
            assert!(!sees(&waker));
            for _ in 0..100_000 {
                assert!(waker.wake());
            }
            assert!(sees(&waker));
            waker.reset();
            assert!(!sees(&waker));
            assert!(waker.wake() && sees(&waker));
            if waker.read == waker.write {
                assert!(waker.renew() && !sees(&waker));
            }
        }
    }

    fn sees(waker: &Waker) -> bool {
        let mut fd = libc::pollfd { fd: waker.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        unsafe { libc::poll(&mut fd, 1, 0) == 1 }
    }
}

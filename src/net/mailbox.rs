//! A byte queue behind a short spin lock and an eventfd, for messages from other threads and signal handlers.

use crate::sys::thread;
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering};
use std::collections::VecDeque;

/// Bytes that may wait; a sender is refused beyond that.
pub(crate) const LIMIT: usize = 64 << 20;

/// Something that threads and signal handlers share, behind a short spin lock that is held with signals blocked.
pub(crate) struct Guarded<T> {
    /// The process that holds it, by [`thread::current_generation`] plus one; 0 for none.
    lock: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only touched with the lock held.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub(crate) const fn new(value: T) -> Guarded<T> {
        Guarded { lock: AtomicU32::new(0), value: UnsafeCell::new(value) }
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: sigset_t is plain data, filled before use; the value is ours while the lock is held.
        unsafe {
            let (mut all, mut old) = core::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
            let process = thread::current_generation().wrapping_add(1);
            loop {
                let held = self.lock.load(Ordering::Relaxed);
                // Whoever held it during a fork does not exist in the child.
                if held != process && self.lock.compare_exchange(held, process, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    break;
                }
                libc::sched_yield();
            }
            let r = f(&mut *self.value.get());
            self.lock.store(0, Ordering::Release);
            libc::pthread_sigmask(libc::SIG_SETMASK, &old, core::ptr::null_mut());
            r
        }
    }
}

pub(crate) struct Wakeup {
    fd: c_int,
    queue: Guarded<Pages>,
}

/// What waits for a connection.
pub(crate) struct Message {
    pub(crate) id: u64,
    /// First byte of a WebSocket frame that is to be made of the text, or 0.
    pub(crate) frame: u8,
    pub(crate) text: Vec<u8>,
}

/// A growable run of bytes in pages of its own.
struct Pages {
    base: *mut u8,
    size: usize,
    len: usize,
    /// Whose they are: a process as in [`Guarded`].
    process: u32,
}

// SAFETY: mappings of its own.
unsafe impl Send for Pages {}

impl Pages {
    const EMPTY: Pages = Pages { base: core::ptr::null_mut(), size: 0, len: 0, process: 0 };

    fn push(&mut self, parts: [&[u8]; 2]) -> bool {
        let need = self.len + parts[0].len() + parts[1].len();
        if need > self.size && !self.grow(need) {
            return false;
        }
        for part in parts {
            // SAFETY: there is room for all parts behind len.
            unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), self.base.add(self.len), part.len()) };
            self.len += part.len();
        }
        true
    }

    fn grow(&mut self, need: usize) -> bool {
        if need > LIMIT {
            return false;
        }
        let size = need.next_power_of_two().max(16384);
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping; the old one is copied before it goes.
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

    fn unmap(&mut self) {
        if !self.base.is_null() {
            // SAFETY: our own mapping of this size.
            unsafe { libc::munmap(self.base.cast(), self.size) };
        }
    }
}

impl Wakeup {
    pub(crate) fn new() -> Option<Wakeup> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        (fd >= 0).then_some(Wakeup { fd, queue: Guarded::new(Pages::EMPTY) })
    }

    pub(crate) fn fd(&self) -> c_int {
        self.fd
    }

    /// In a child process: the same descriptor number, but no longer the parent's eventfd.
    pub(crate) fn renew(&self) -> bool {
        // SAFETY: no pointers; both descriptors are ours.
        unsafe {
            let fd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
            let ok = fd >= 0 && libc::dup3(fd, self.fd, libc::O_CLOEXEC) >= 0;
            if fd >= 0 {
                libc::close(fd);
            }
            ok
        }
    }

    fn mail<R>(&self, f: impl FnOnce(&mut Pages) -> R) -> R {
        self.queue.with(|queue| {
            let process = thread::current_generation().wrapping_add(1);
            if queue.process != process {
                // The parent's mail, perhaps in the middle of a change.
                *queue = Pages { process, ..Pages::EMPTY };
            }
            f(queue)
        })
    }

    /// From any thread or signal handler. False when too much is waiting already.
    pub(crate) fn send(&self, id: u64, frame: u8, message: &[u8]) -> bool {
        let mut head = [0; 13];
        head[..8].copy_from_slice(&id.to_ne_bytes());
        head[8..12].copy_from_slice(&(message.len() as u32).to_ne_bytes());
        head[12] = frame;
        let ok = self.mail(|q| q.push([&head, message]));
        self.ring();
        ok
    }

    /// Ends the wait of the thread that polls. From any thread or signal handler. False when the descriptor is broken.
    pub(crate) fn ring(&self) -> bool {
        let one: u64 = 1;
        // SAFETY: writes eight bytes from the stack. A full counter is as good as a written one.
        let n = unsafe { libc::write(self.fd, (&raw const one).cast(), 8) };
        n == 8 || super::sock::errno() == libc::EAGAIN
    }

    /// Everything that waits, oldest first.
    pub(crate) fn receive(&self) -> VecDeque<Message> {
        let mut count: u64 = 0;
        // SAFETY: reads eight bytes onto the stack.
        unsafe { libc::read(self.fd, (&raw mut count).cast(), 8) };
        let mut pages = self.mail(|q| core::mem::replace(q, Pages::EMPTY));
        let mut messages = VecDeque::new();
        // SAFETY: len bytes at base were written by push.
        let mut rest = unsafe { crate::guard::bytes::slice(pages.base, pages.len) };
        while let Some((head, tail)) = rest.split_first_chunk::<13>() {
            let mut id = [0; 8];
            id.copy_from_slice(&head[..8]);
            let n = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let (message, tail) = tail.split_at(n.min(tail.len()));
            messages.push_back(Message { id: u64::from_ne_bytes(id), frame: head[12], text: message.to_vec() });
            rest = tail;
        }
        pages.unmap();
        messages
    }
}

impl Drop for Wakeup {
    fn drop(&mut self) {
        self.mail(|q| core::mem::replace(q, Pages::EMPTY)).unmap();
        // SAFETY: our own descriptor.
        unsafe { libc::close(self.fd) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_several_threads_keep_their_order_and_none_is_lost() {
        let w = Wakeup::new().unwrap();
        let mut got = Vec::new();
        std::thread::scope(|s| {
            for id in 1..=4u64 {
                let w = &w;
                s.spawn(move || (0..1000u32).for_each(|n| assert!(w.send(id, 0, &[&n.to_ne_bytes()[..], &[7; 100]].concat()))));
            }
            while got.len() < 4000 {
                got.extend(w.receive());
            }
        });
        for id in 1..=4 {
            let numbers: Vec<u32> = got
                .iter()
                .filter(|m: &&Message| m.id == id)
                .map(|m| u32::from_ne_bytes(m.text[..4].try_into().unwrap()))
                .collect();
            assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_sender_is_refused_when_too_much_waits() {
        let w = Wakeup::new().unwrap();
        let big = vec![0; 16000];
        let sent = (0..10_000).take_while(|_| w.send(1, 0, &big)).count();
        assert!(sent > 4000 && sent < 4300, "{sent}");
        assert_eq!(w.receive().len(), sent);
        assert!(w.send(1, 0, b"again"));
    }
}

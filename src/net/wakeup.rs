//! Messages from other threads: the one file of the engine that thinks about threads. A byte queue behind a short spin lock and
//! an eventfd. The lock is held with signals blocked and memory comes from mmap, so a signal handler may send too.

use super::conn;
use super::engine::Engine;
use super::event::call;
use super::handle::Conn;
use crate::abi::*;
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::{HashMap, VecDeque};

/// Bytes that may wait; a sender is refused beyond that.
pub(crate) const LIMIT: usize = 64 << 20;

pub(crate) struct Wakeup {
    fd: c_int,
    lock: AtomicBool,
    queue: UnsafeCell<Pages>,
}

// SAFETY: the queue is only touched with the lock held.
unsafe impl Send for Wakeup {}
// SAFETY: as above.
unsafe impl Sync for Wakeup {}

/// A growable run of bytes in pages of its own.
struct Pages {
    base: *mut u8,
    size: usize,
    len: usize,
}

impl Pages {
    const EMPTY: Pages = Pages { base: core::ptr::null_mut(), size: 0, len: 0 };

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
        (fd >= 0).then_some(Wakeup { fd, lock: AtomicBool::new(false), queue: UnsafeCell::new(Pages::EMPTY) })
    }

    pub(crate) fn fd(&self) -> c_int {
        self.fd
    }

    fn locked<R>(&self, f: impl FnOnce(&mut Pages) -> R) -> R {
        // SAFETY: sigset_t is plain data, filled before use; the queue is ours while the lock is held.
        unsafe {
            let (mut all, mut old) = core::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
            while self.lock.swap(true, Ordering::Acquire) {
                libc::sched_yield();
            }
            let r = f(&mut *self.queue.get());
            self.lock.store(false, Ordering::Release);
            libc::pthread_sigmask(libc::SIG_SETMASK, &old, core::ptr::null_mut());
            r
        }
    }

    /// From any thread or signal handler. False when too much is waiting already.
    pub(crate) fn send(&self, id: u64, message: &[u8]) -> bool {
        let mut head = [0; 12];
        head[..8].copy_from_slice(&id.to_ne_bytes());
        head[8..].copy_from_slice(&(message.len() as u32).to_ne_bytes());
        let ok = self.locked(|q| q.push([&head, message]));
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
    pub(crate) fn receive(&self) -> VecDeque<(u64, Vec<u8>)> {
        let mut count: u64 = 0;
        // SAFETY: reads eight bytes onto the stack.
        unsafe { libc::read(self.fd, (&raw mut count).cast(), 8) };
        let mut pages = self.locked(|q| core::mem::replace(q, Pages::EMPTY));
        let mut messages = VecDeque::new();
        // SAFETY: len bytes at base were written by push.
        let mut rest = unsafe { crate::guard::bytes::slice(pages.base, pages.len) };
        while let Some((head, tail)) = rest.split_first_chunk::<12>() {
            let mut id = [0; 8];
            id.copy_from_slice(&head[..8]);
            let n = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let (message, tail) = tail.split_at(n.min(tail.len()));
            messages.push_back((u64::from_ne_bytes(id), message.to_vec()));
            rest = tail;
        }
        pages.unmap();
        messages
    }
}

impl Drop for Wakeup {
    fn drop(&mut self) {
        self.queue.get_mut().unmap();
        // SAFETY: our own descriptor.
        unsafe { libc::close(self.fd) };
    }
}

/// See `mg_wakeup_init`.
pub(crate) fn init(e: &Engine) -> bool {
    if !e.wakeup_conn.get().is_null() {
        return false;
    }
    // When the connection was closed, its queue stayed: a thread may be about to write to it.
    // SAFETY: the queue lives as long as the engine.
    let old = unsafe { e.wakeup.load(Ordering::Acquire).as_ref() };
    let new = if old.is_none() { Wakeup::new().map(Box::new) } else { None };
    let Some(fd) = old.or(new.as_deref()).map(Wakeup::fd) else { return false };
    let Some(c) = conn::wrap(e, fd, None, core::ptr::null_mut()) else { return false };
    // It stands for the receiving end of a pair on the loopback address.
    c.set_rem(mg_addr { addr: mg_addr_bytes { ip4: u32::from_be_bytes([127, 0, 0, 1]).to_be() }, ..mg_addr::ZERO });
    e.wakeup_conn.set(c.as_ptr());
    if let Some(wakeup) = new {
        e.wakeup.store(Box::into_raw(wakeup), Ordering::Release);
    }
    // SAFETY: the manager is alive.
    unsafe { (*e.mgr).pipe.fd = fd };
    true
}

/// See `mg_wakeup`. From any thread: touches nothing of the engine but the pointer to the queue.
///
/// # Safety
/// `mgr` is a live manager.
pub(crate) unsafe fn wake(mgr: *mut mg_mgr, id: u64, message: &[u8]) -> bool {
    // SAFETY: tls_ctx does not change between mg_mgr_init and mg_mgr_free, and the queue lives as long as the engine.
    unsafe {
        let engine: *mut Engine = (*mgr).tls_ctx.cast();
        if engine.is_null() || id == 0 || (*mgr).pipe.fd < 0 {
            return false;
        }
        let most = (*engine).io_size.load(Ordering::Relaxed) - 8;
        let message = &message[..message.len().min(most)];
        (*engine).wakeup.load(Ordering::Acquire).as_ref().is_some_and(|w| w.send(id, message))
    }
}

/// Output that other threads queued through the engine's own door, and other reasons to have been woken.
pub(crate) fn answer_door(e: &Engine) {
    each(e, &e.door, |c, bytes| {
        // SAFETY: a vector of ours.
        unsafe { super::output::send(c, bytes.as_ptr(), bytes.len()) };
    });
}

/// Hands out what waits, each message to the connection it is for; those for connections that are gone are dropped.
fn each(e: &Engine, wakeup: &Wakeup, hand_out: impl Fn(Conn, Vec<u8>)) {
    let messages = wakeup.receive();
    // Looking for each id in the list is fine for a few messages only.
    let mut by_id: HashMap<u64, Conn> = HashMap::new();
    if messages.len() > 8 {
        by_id.extend(super::mgr::list(e).map(|c| (c.id64(), c)));
    }
    for (id, message) in messages {
        let known = by_id.get(&id).copied();
        let found = known.or_else(|| super::mgr::list(e).find(|c| c.id64() == id));
        if let Some(c) = found.filter(|c| !c.is_closed()) {
            hand_out(c, message);
        }
        if e.is_dead() {
            return;
        }
    }
}

/// The wakeup connection's turn: hands out everything that has arrived.
pub(crate) fn deliver(e: &Engine) {
    // SAFETY: the queue lives as long as the engine, and a frame is open.
    let Some(wakeup) = (unsafe { e.wakeup.load(Ordering::Acquire).as_ref() }) else { return };
    each(e, wakeup, |c, mut message| {
        let mut text = mg_str { buf: message.as_mut_ptr().cast(), len: message.len() };
        call(c, MG_EV_WAKEUP, (&raw mut text).cast());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_several_threads_keep_their_order_and_none_is_lost() {
        let w = Wakeup::new().unwrap();
        let mut got: Vec<(u64, Vec<u8>)> = Vec::new();
        std::thread::scope(|s| {
            for id in 1..=4u64 {
                let w = &w;
                s.spawn(move || (0..1000u32).for_each(|n| assert!(w.send(id, &[&n.to_ne_bytes()[..], &[7; 100]].concat()))));
            }
            while got.len() < 4000 {
                got.extend(w.receive());
            }
        });
        for id in 1..=4 {
            let numbers: Vec<u32> =
                got.iter().filter(|m| m.0 == id).map(|m| u32::from_ne_bytes(m.1[..4].try_into().unwrap())).collect();
            assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_sender_is_refused_when_too_much_waits() {
        let w = Wakeup::new().unwrap();
        let big = vec![0; 16000];
        let sent = (0..10_000).take_while(|_| w.send(1, &big)).count();
        assert!(sent > 4000 && sent < 4300, "{sent}");
        assert_eq!(w.receive().len(), sent);
        assert!(w.send(1, b"again"));
    }
}

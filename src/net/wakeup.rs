//! Messages from other threads: a byte queue behind a short spin lock, and an eventfd. The lock is held with signals blocked and
//! memory comes from mmap, so signal handlers may send too.

use super::conn;
use super::engine::Engine;
use super::event::{call, error};
use super::handle::ConnRef;
use super::mailbox::{Message, Wakeup};
use crate::abi::*;
use crate::memory;
use crate::memory::prelude::*;
use core::sync::atomic::Ordering;

/// See `mg_wakeup_init`.
pub(crate) fn init(e: &Engine) -> bool {
    if !e.wakeup_conn.get().is_null() {
        return false;
    }
    // The queue outlives a closed connection: a thread may be about to write to it.
    // SAFETY: the queue lives as long as the engine.
    let old = unsafe { e.wakeup.load(Ordering::Acquire).as_ref() };
    let new = if old.is_none() { Wakeup::new().map(Box::new) } else { None };
    let Some(fd) = old.or(new.as_deref()).map(Wakeup::fd) else { return false };
    let Some(c) = conn::wrap(e, fd, None, core::ptr::null_mut()) else { return false };
    // Imitates the receiving end of a socket pair on the loopback address.
    c.set_rem(mg_addr { addr: mg_addr_bytes { ip4: u32::from_be_bytes([127, 0, 0, 1]).to_be() }, ..mg_addr::ZERO });
    e.wakeup_conn.set(c.as_ptr());
    if let Some(wakeup) = new {
        e.wakeup.store(Box::into_raw(wakeup), Ordering::Release);
    }
    // SAFETY: the manager is alive.
    unsafe { (*e.mgr).pipe.fd = fd };
    true
}

/// Sends a message. Any thread may call it: it reads only the engine's pointer to the queue. See `mg_wakeup`.
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
        // Small buffers are meant for peer input only.
        let most = (*engine).io_size.load(Ordering::Relaxed).max(IO_SIZE) - 8;
        let message = &message[..message.len().min(most)];
        (*engine).wakeup.load(Ordering::Acquire).as_ref().is_some_and(|w| w.send(id, 0, message))
    }
}

/// Handles output queued by other threads through the engine's own waker, and other wakeups.
pub(crate) fn answer_waker(e: &Engine) {
    each(e, &e.waker, |c, message| match (message.frame, e.frame.get()) {
        (0, _) => {
            // SAFETY: bytes of ours.
            let queued = unsafe { super::output::send(c, message.text.as_ptr(), message.text.len()) };
            if !queued && memory::is_short() {
                error(c, format_args!("OOM"));
            }
        }
        (head, Some(frame)) => frame(c, head, message.text),
        _ => {}
    });
}

/// Passes each waiting message to `hand_out` with its connection; drops messages for closed connections.
fn each(e: &Engine, wakeup: &Wakeup, hand_out: impl Fn(ConnRef, Message)) {
    let mut mail = wakeup.receive();
    // Searching the list for each id is acceptable for a few messages, and the only way without memory.
    let mut by_id: memory::Map<u64, ConnRef> = memory::Map::new();
    if mail.is_more_than(8) && memory::grow_map(&mut by_id, super::list::list(e).count()) {
        by_id.extend(super::list::list(e).map(|c| (c.id64(), c)));
    }
    while let Some(message) = mail.next() {
        let id = message.id;
        let known = by_id.get(&id).copied();
        let found = known.or_else(|| super::list::list(e).find(|c| c.id64() == id));
        if let Some(c) = found.filter(|c| !c.is_closed()) {
            hand_out(c, message);
        }
        if e.is_dead() {
            return;
        }
    }
}

/// Services the wakeup connection: delivers everything that has arrived.
pub(crate) fn deliver(e: &Engine) {
    // SAFETY: the queue lives as long as the engine, and a call is in progress.
    let Some(wakeup) = (unsafe { e.wakeup.load(Ordering::Acquire).as_ref() }) else { return };
    each(e, wakeup, |c, message| {
        let mut text = mg_str { buf: message.text.as_mut_ptr().cast(), len: message.text.len() };
        call(c, MG_EV_WAKEUP, (&raw mut text).cast());
    });
}

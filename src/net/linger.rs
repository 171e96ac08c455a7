//! Lingering: after the last byte is sent, keeps discarding the peer's input. Otherwise the kernel would respond to it with a
//! reset, which can destroy the end of the reply.

use super::engine::{ConnState, Engine};
use super::shutdown::LINGER_MAX;
use crate::memory::prelude::*;
use crate::platform::clock as time;
use crate::platform::sock::{self, Io, Rest};
use core::ffi::c_int;
use core::ptr;

/// Keeps a socket whose sending side is shut down until the peer closes its own.
pub(crate) fn linger(e: &Engine, rec: &ConnState, fd: c_int) {
    stop_lingering(e, LINGER_MAX - 1);
    rec.conn.set(ptr::null_mut());
    rec.fd.set(fd);
    rec.lingering.set(true);
    let terms = rec.drain_timeouts();
    // A handler may have taken long since this poll began.
    let now = time::millis();
    rec.linger_end.set(now.saturating_add(terms.linger_total_ms));
    rec.linger_bytes.set(terms.linger_bytes);
    e.lingering.borrow_mut().push_back(rec.slot.get());
    rec.linger_idle.set(now.saturating_add(terms.linger_idle_ms));
    e.linger_check.set(e.linger_check.get().min(rec.linger_idle.get()));
    rec.alarm.set(None);
    e.set_deadline(rec, None);
    if rec.readable.get() || rec.hup.get() {
        linger_on(e, rec);
    }
}

/// Discards input of a lingering socket, up to a limit.
pub(crate) fn linger_on(e: &Engine, rec: &ConnState) {
    for _ in 0..64 {
        match sock::discard(rec.fd.get(), &mut e.scratch.borrow_mut()) {
            Io::Done(0) | Io::Failed(_) => return end_lingering(e, rec),
            Io::Done(n) => {
                let left = rec.linger_bytes.get().saturating_sub(n as u64);
                if left == 0 {
                    return end_lingering(e, rec);
                }
                rec.linger_bytes.set(left);
                let idle = e.now.get().saturating_add(rec.drain_timeouts().linger_idle_ms);
                rec.linger_idle.set(rec.linger_idle.get().max(idle));
            }
            Io::Wait => return rec.readable.set(false),
        }
    }
    e.requeue(rec);
}

/// Closes lingering sockets whose time has expired.
pub(crate) fn expire_lingering(e: &Engine) {
    if e.now.get() < e.linger_check.get() {
        return;
    }
    let slots: Vec<u32> = e.lingering.borrow().iter().copied().collect();
    let mut next = u64::MAX;
    for rec in slots.into_iter().filter_map(|slot| e.rec(slot as usize)) {
        let at = rec.linger_idle.get().min(rec.linger_end.get());
        if e.now.get() >= at { end_lingering(e, rec) } else { next = next.min(at) }
    }
    e.linger_check.set(next);
}

pub(crate) fn end_lingering(e: &Engine, rec: &ConnState) {
    if rec.rest.get() == Rest::Polled {
        // A duplicate would be reported over and over.
        e.poller.remove(rec.fd.get());
    }
    sock::close(rec.fd.get());
    let mut list = e.lingering.borrow_mut();
    // Usually one of the oldest.
    if let Some(i) = list.iter().position(|s| *s == rec.slot.get()) {
        list.remove(i);
    }
    drop(list);
    e.free_rec(rec);
}

/// Closes the oldest lingering sockets until `keep` are left.
pub(crate) fn stop_lingering(e: &Engine, keep: usize) {
    while e.lingering.borrow().len() > keep {
        let Some(slot) = e.lingering.borrow().front().copied() else { return };
        let Some(rec) = e.rec(slot as usize) else { return };
        // Read what has arrived: closing with unread input would send a reset.
        for _ in 0..256 {
            if !matches!(sock::discard(rec.fd.get(), &mut e.scratch.borrow_mut()), Io::Done(1..)) {
                break;
            }
        }
        end_lingering(e, rec);
    }
}

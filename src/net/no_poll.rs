//! Connections without MG_EV_POLL (`mgx_conn_poll_events`): the walk over all connections skips them unless there is work for
//! them. Maintained only after an application has turned the event off for a connection.

use super::engine::Engine;
use super::handle::ConnRef;
use super::list::list;
use super::service;
use crate::memory;
use crate::memory::prelude::*;
use crate::platform::clock as time;
use core::cmp::Reverse;

/// How often to check for flags that applications set directly on such connections.
const SCAN_MS: u64 = 100;

/// See `mgx_conn_poll_events`.
pub(crate) fn set(e: &Engine, c: ConnRef, on: bool) {
    let q = &e.no_poll;
    if !on && !q.used.replace(true) {
        list(e).filter_map(|c| Some((c, c.rec()?))).for_each(|(c, rec)| q.linked(c.id64(), rec.slot.get()));
    }
    c.update(|f| f.set_no_poll(!on));
    if !on {
        q.unlinked(c.id64());
    }
    match c.rec() {
        Some(rec) if on => q.linked(c.id64(), rec.slot.get()),
        // Work in progress continues.
        Some(rec) => e.wake(c, rec),
        None => {}
    }
}

/// Checks periodically for flags set directly.
pub(crate) fn scan(e: &Engine) {
    let q = &e.no_poll;
    if !q.used.get() {
        return;
    }
    let now = time::millis();
    if now.wrapping_sub(q.scanned_at.get()) >= SCAN_MS {
        q.scanned_at.set(now);
        q.strangers.set(false);
        let mut trail = e.trail.take();
        for c in list(e) {
            trail.pass(c.as_ptr());
            // Idle ones are passed without a look at their record.
            if c.flags().is_no_poll() && !service::is_due(e, c) {
                continue;
            }
            match c.rec() {
                Some(rec) => e.wake(c, rec),
                None => q.strangers.set(true),
            }
        }
        trail.end();
        *e.trail.borrow_mut() = trail;
    }
}

/// True if a connection has work to do although no event came.
pub(crate) fn any_due(e: &Engine) -> bool {
    let q = &e.no_poll;
    !q.woken.borrow().is_empty()
        || q.polled.borrow().iter().filter_map(|(id, slot)| live(e, id.0, *slot)).any(|c| service::is_due(e, c))
}

/// The connection, unless its slot was reused.
fn live(e: &Engine, id: u64, slot: u32) -> Option<ConnRef> {
    let c = e.rec(slot as usize)?.connection()?;
    (c.id64() == id && !c.is_closed()).then_some(c)
}

/// Services the connections that get MG_EV_POLL and those that have work to do, newest first. False, with nothing done, when there
/// is no memory for their list.
pub(crate) fn walk(e: &Engine) -> bool {
    let mut all: Vec<(u64, u32)> = e.no_poll.woken.take();
    if !memory::grow(&mut all, e.no_poll.polled.borrow().len()) {
        return false;
    }
    all.extend(e.no_poll.polled.borrow().iter().map(|(id, slot)| (id.0, *slot)));
    memory::sort_by_key(&mut all, |(id, _)| Reverse(*id));
    all.dedup();
    for (id, slot) in all {
        let Some(c) = live(e, id, slot) else { continue };
        service::service(e, c);
        if e.is_dead() {
            return true;
        }
        if c.is_closed() {
            if e.callback_depth() == 1 {
                e.reap();
            }
        } else if c.flags().is_no_poll() && service::is_due(e, c) {
            e.no_poll.wake(id, slot);
        }
    }
    true
}

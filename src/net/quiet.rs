//! Connections without MG_EV_POLL (`mgx_conn_poll_events`): they leave the walk over all connections and are visited when there
//! is something for them. Kept only once a program has switched the event off for one.

use super::engine::{Engine, Rec};
use super::handle::Conn;
use super::mgr::list;
use super::turn;
use crate::sys::time;
use core::cell::{Cell, RefCell};
use core::cmp::Reverse;
use std::collections::BTreeMap;

/// Programs write flags of such connections without a word to us; how often we look.
const SCAN_MS: u64 = 100;

#[derive(Default)]
pub(crate) struct Quiet {
    used: Cell<bool>,
    /// The other connections: slots by id, newest first.
    loud: RefCell<BTreeMap<Reverse<u64>, u32>>,
    /// Quiet ones to visit in the next walk.
    visit: RefCell<Vec<(u64, u32)>>,
    scanned_at: Cell<u64>,
    /// Connections that the program put on the list itself were seen there: they are found by walking over all.
    strangers: Cell<bool>,
}

impl Quiet {
    /// Whether the walk can leave somebody out.
    pub(crate) fn is_used(&self) -> bool {
        self.used.get() && !self.strangers.get()
    }

    /// Everybody has a turn anyway.
    pub(crate) fn forget_visits(&self) {
        self.visit.borrow_mut().clear();
    }

    pub(crate) fn linked(&self, c: Conn) {
        if let Some(rec) = c.rec().filter(|_| self.used.get()) {
            self.loud.borrow_mut().insert(Reverse(c.id64()), rec.slot.get());
        }
    }

    pub(crate) fn unlinked(&self, c: Conn) {
        if self.used.get() {
            self.loud.borrow_mut().remove(&Reverse(c.id64()));
        }
    }

    /// There is something for this connection.
    pub(crate) fn visit(&self, c: Conn, rec: &Rec) {
        if self.used.get() && c.flags().is_quiet() {
            self.visit.borrow_mut().push((c.id64(), rec.slot.get()));
        }
    }
}

/// See `mgx_conn_poll_events`.
pub(crate) fn set(e: &Engine, c: Conn, on: bool) {
    let q = &e.quiet;
    if !on && !q.used.replace(true) {
        list(e).for_each(|c| q.linked(c));
    }
    c.update(|f| f.set_quiet(!on));
    if on {
        q.linked(c)
    } else {
        q.unlinked(c)
    }
    if let Some(rec) = c.rec().filter(|_| !on) {
        // What is under way goes on.
        q.visit(c, rec);
    }
}

/// Looks, from time to time, for flags that were written without a word to us.
pub(crate) fn scan(e: &Engine) {
    let q = &e.quiet;
    if !q.used.get() {
        return;
    }
    let now = time::millis();
    if now.wrapping_sub(q.scanned_at.get()) >= SCAN_MS {
        q.scanned_at.set(now);
        q.strangers.set(false);
        for c in list(e) {
            match c.rec() {
                Some(rec) if c.flags().is_quiet() && turn::is_due(e, c) => q.visit(c, rec),
                Some(_) => {}
                None => q.strangers.set(true),
            }
        }
    }
}

/// Whether somebody has something to do although no event came.
pub(crate) fn any_due(e: &Engine) -> bool {
    let q = &e.quiet;
    !q.visit.borrow().is_empty()
        || q.loud.borrow().iter().filter_map(|(id, slot)| live(e, id.0, *slot)).any(|c| turn::is_due(e, c))
}

/// The connection, unless the slot has been given to another since.
fn live(e: &Engine, id: u64, slot: u32) -> Option<Conn> {
    let rec = e.rec(slot as usize).filter(|rec| !rec.conn.get().is_null())?;
    // SAFETY: the connection of a record in use.
    let c = unsafe { Conn::new(rec.conn.get()) };
    (c.id64() == id && !c.is_closed()).then_some(c)
}

/// Gives a turn to the connections that get MG_EV_POLL and to those that have something to do, newest first.
pub(crate) fn walk(e: &Engine) {
    let mut all: Vec<(u64, u32)> = e.quiet.visit.take();
    all.extend(e.quiet.loud.borrow().iter().map(|(id, slot)| (id.0, *slot)));
    all.sort_unstable_by_key(|(id, _)| Reverse(*id));
    all.dedup();
    for (id, slot) in all {
        let Some(c) = live(e, id, slot) else { continue };
        turn::turn(e, c);
        if e.is_dead() {
            return;
        }
        if c.is_closed() {
            if e.frames() == 1 {
                e.reap();
            }
        } else if c.flags().is_quiet() && turn::is_due(e, c) {
            e.quiet.visit.borrow_mut().push((id, slot));
        }
    }
}

//! Timer lists. A callback may free any timer, including its own, and add others.

use crate::abi::{MG_TIMER_AUTODELETE, MG_TIMER_CALLED, MG_TIMER_REPEAT, MG_TIMER_RUN_NOW, mg_timer};
use crate::ffi_util::heap;
use crate::memory;
use core::cell::Cell;
use core::ffi::{c_int, c_uint};
use core::ptr;

/// A poll in progress, on the stack of `poll`.
struct Poll {
    /// The timer whose callback is running; NULL once that timer is removed from the list.
    current: Cell<*mut mg_timer>,
    /// The timer to look at next.
    next: Cell<*mut mg_timer>,
    outer: *const Poll,
}

memory::per_thread! {
    /// The innermost poll of this thread; callbacks may poll too.
    static POLLS: Cell<*const Poll> = const { Cell::new(ptr::null()) };
}

/// The link that points to `t`, or None.
///
/// # Safety
/// `head` points at a list.
unsafe fn link(head: *mut *mut mg_timer, t: *mut mg_timer) -> Option<*mut *mut mg_timer> {
    let mut link = head;
    // SAFETY: links of a list are NULL or lead to timers.
    unsafe {
        while !(*link).is_null() {
            if *link == t {
                return Some(link);
            }
            link = &raw mut (**link).next;
        }
    }
    None
}

/// Adds a timer to the front of the list.
///
/// # Safety
/// `head` points at a list, `t` at memory for a timer that is not on it.
pub(crate) unsafe fn push(head: *mut *mut mg_timer, t: *mut mg_timer, timer: mg_timer) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        t.write(mg_timer { next: *head, ..timer });
        *head = t;
    }
}

/// Removes a timer from the list, if it is in it, and informs polls in progress.
///
/// # Safety
/// `head` points at a list; `t` may be anything.
pub(crate) unsafe fn unlink(head: *mut *mut mg_timer, t: *mut mg_timer) {
    // SAFETY: t is a timer if it is on the list; registered polls are on this thread's stack.
    unsafe {
        let Some(link) = link(head, t) else { return };
        *link = (*t).next;
        let mut poll = POLLS.get();
        while !poll.is_null() {
            if (*poll).current.get() == t {
                (*poll).current.set(ptr::null_mut());
            }
            if (*poll).next.get() == t {
                (*poll).next.set((*t).next);
            }
            poll = (*poll).outer;
        }
    }
}

/// Removes a timer from the list and frees it, if it is in the list and was created by `mg_timer_add`.
///
/// # Safety
/// As [`unlink`].
pub(crate) unsafe fn cancel(head: *mut *mut mg_timer, t: *mut mg_timer) {
    // SAFETY: t is a timer if it is on the list.
    unsafe {
        if link(head, t).is_some() {
            unlink(head, t);
            if (*t).flags & MG_TIMER_AUTODELETE as c_uint != 0 {
                heap::free(t.cast());
            }
        }
    }
}

/// Empties the list and frees the timers created by `mg_timer_add`; the application owns the others.
///
/// # Safety
/// `head` points at a list of timers.
pub(crate) unsafe fn free_all(head: *mut *mut mg_timer) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        while !(*head).is_null() {
            let t = *head;
            unlink(head, t);
            if (*t).flags & MG_TIMER_AUTODELETE as c_uint != 0 {
                heap::free(t.cast());
            }
        }
    }
}

/// See `mg_timer_expired`.
pub(crate) fn expired(t: &mut u64, period: u64, now: u64) -> bool {
    // A period that overflows never expires, rather than at once.
    let later = now.saturating_add(period);
    // Not started, or the clock has gone back.
    if *t == 0 || later < *t {
        *t = later;
    }
    if *t > now {
        return false;
    }
    *t = if now - *t > period { later } else { t.saturating_add(period) };
    true
}

fn has(flags: c_uint, flag: c_int) -> bool {
    flags & flag as c_uint != 0
}

/// Private flag of a timer armed to run at once, in a timer callback or in an idle poll. It runs in the next poll, but does not
/// shorten the wait: a timer re-armed in its own callback, or in each MG_EV_POLL, would keep the loop spinning.
const UNHURRIED: c_uint = 1 << 30;

fn is_immediate(t: &mg_timer) -> bool {
    t.expire == 0 && has(t.flags, MG_TIMER_RUN_NOW) && !has(t.flags, MG_TIMER_CALLED)
}

/// True if the timer will not run again.
fn is_over(flags: c_uint) -> bool {
    has(flags, MG_TIMER_CALLED) && !has(flags, MG_TIMER_REPEAT)
}

/// See `mg_timer_poll`. Returns whether a callback ran.
///
/// # Safety
/// `head` points at a list.
pub(crate) unsafe fn poll(head: *mut *mut mg_timer, now: u64) -> bool {
    let mut called = false;
    // SAFETY: timers are only touched while they are known to be on the list: `unlink` keeps `next` correct, and `next` and the
    // current timer are looked up again when a callback may have changed the list without it.
    unsafe {
        let this = Poll { current: Cell::new(ptr::null_mut()), next: Cell::new(*head), outer: POLLS.get() };
        POLLS.set(&raw const this);
        // Whether this poll was called, directly or not, by the callback of that timer: one that is always due would recurse forever.
        let runs = |t: *mut mg_timer| {
            let mut poll = this.outer;
            while !poll.is_null() && (*poll).current.get() != t {
                poll = (*poll).outer;
            }
            !poll.is_null()
        };
        while !this.next.get().is_null() {
            let t = this.next.get();
            this.next.set((*t).next);
            let immediate = is_immediate(&*t);
            let due = expired(&mut (*t).expire, (*t).period_ms, now) || immediate;
            if !due || (*t).period_ms == 0 && runs(t) {
                continue;
            }
            (*t).flags &= !UNHURRIED;
            if !is_over((*t).flags) {
                this.current.set(t);
                called = true;
                if let Some(f) = (*t).r#fn {
                    f((*t).arg);
                }
                if this.current.get() != t || link(head, t).is_none() {
                    // After mg_mgr_free nothing is left, possibly not even the list.
                    if this.next.get().is_null() || link(head, this.next.get()).is_none() {
                        break;
                    }
                    continue;
                }
                this.next.set((*t).next);
            }
            (*t).flags |= MG_TIMER_CALLED as c_uint;
            if has((*t).flags, MG_TIMER_AUTODELETE) && !has((*t).flags, MG_TIMER_REPEAT) {
                unlink(head, t);
                heap::free(t.cast());
            }
        }
        POLLS.set(this.outer);
    }
    called
}

/// Milliseconds until the next timer is due. None if there is none.
///
/// # Safety
/// `head` points at a list.
pub(crate) unsafe fn next_deadline(head: *mut *mut mg_timer, now: u64) -> Option<u64> {
    let mut soonest: Option<u64> = None;
    // SAFETY: guaranteed by the caller.
    unsafe {
        let mut t = *head;
        while !t.is_null() {
            // A timer that was never started has expire 0, and a poll has to start it.
            let wait = (*t).expire.saturating_sub(now);
            let at_every_poll = (*t).flags & UNHURRIED != 0 || (*t).period_ms == 0 && has((*t).flags, MG_TIMER_REPEAT);
            if !is_over((*t).flags) && !at_every_poll {
                soonest = Some(soonest.map_or(wait, |s| s.min(wait)));
            }
            t = (*t).next;
        }
    }
    soonest
}

/// Called after callbacks or an idle poll: timers that were armed there to run at once wait for the next poll.
///
/// # Safety
/// `head` points at a list.
pub(crate) unsafe fn calm(head: *mut *mut mg_timer) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let mut t = *head;
        while !t.is_null() {
            if (*t).expire == 0 && (is_immediate(&*t) || (*t).period_ms == 0) {
                (*t).flags |= UNHURRIED;
            }
            t = (*t).next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_deadline_of_a_list() {
        let timer = |expire, flags: c_int| mg_timer {
            period_ms: 10,
            expire,
            flags: flags as c_uint,
            r#fn: None,
            arg: ptr::null_mut(),
            next: ptr::null_mut(),
        };
        let wait = |timers: &[mg_timer]| {
            let mut timers = timers.to_vec();
            let mut head = ptr::null_mut();
            for t in &mut timers {
                t.next = head;
                head = t;
            }
            // SAFETY: a list of local timers.
            unsafe { next_deadline(&mut head, 100) }
        };
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[timer(110, MG_TIMER_CALLED)]), None);
        assert_eq!(wait(&[timer(110, MG_TIMER_CALLED), timer(107, MG_TIMER_CALLED | MG_TIMER_REPEAT)]), Some(7));
        assert_eq!(wait(&[timer(110, 0), timer(103, 0), timer(120, 0)]), Some(3));
        assert_eq!(wait(&[timer(110, 0), timer(0, 0)]), Some(0));
        assert_eq!(wait(&[timer(90, 0)]), Some(0));
        assert_eq!(wait(&[mg_timer { period_ms: 0, ..timer(100, MG_TIMER_REPEAT) }]), None);
        assert_eq!(wait(&[timer(0, MG_TIMER_RUN_NOW)]), Some(0));
        assert_eq!(wait(&[timer(0, MG_TIMER_RUN_NOW | UNHURRIED as c_int)]), None);
    }
}

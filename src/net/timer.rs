//! Timer lists. A callback may free any timer, including its own, and add others.

use crate::abi::{MG_TIMER_AUTODELETE, MG_TIMER_CALLED, MG_TIMER_REPEAT, MG_TIMER_RUN_NOW, mg_timer};
use crate::ffi_util::heap;
use crate::memory;
use crate::memory::atomic::{AtomicUsize, Ordering};
use core::cell::Cell;
use core::ffi::{c_int, c_uint};
use core::ptr;

/// A poll in progress, on the stack of `poll`.
struct Poll {
    /// The timer whose callback runs; NULL once that timer is taken off the list.
    current: Cell<*mut mg_timer>,
    /// The timer to look at next.
    next: Cell<*mut mg_timer>,
    /// The link behind the last timer that was looked at and stayed.
    link: Cell<*mut *mut mg_timer>,
    outer: *const Poll,
}

memory::per_thread! {
    /// The innermost poll of this thread; callbacks may poll too.
    static POLLS: Cell<*const Poll> = const { Cell::new(ptr::null()) };
}

/// A list of more timers than this is long: not every poll walks it, and not all of it is searched after each callback.
const LONG: usize = 1000;

/// The link that points to `t`, or the one behind the first `most` timers. None if the list ends before.
///
/// # Safety
/// `head` points at a list.
unsafe fn find(head: *mut *mut mg_timer, t: *mut mg_timer, most: usize) -> Option<*mut *mut mg_timer> {
    let (mut link, mut left) = (head, most);
    // SAFETY: links of a list are NULL or lead to timers.
    unsafe {
        while !(*link).is_null() {
            if *link == t || left == 0 {
                return Some(link);
            }
            link = &raw mut (**link).next;
            left -= 1;
        }
    }
    None
}

/// Timers added so far, to any list.
static PUSHED: AtomicUsize = AtomicUsize::new(0);

/// Adds a timer to the front of the list.
///
/// # Safety
/// `head` points at a list, `t` at memory for a timer that is not on it.
pub(crate) unsafe fn push(head: *mut *mut mg_timer, t: *mut mg_timer, timer: mg_timer) {
    // SAFETY: passed on to the caller.
    unsafe {
        t.write(mg_timer { next: *head, ..timer });
        *head = t;
    }
    PUSHED.fetch_add(1, Ordering::Relaxed);
}

/// Removes a timer from the list and informs polls in progress. False if it is not on the list.
///
/// # Safety
/// `head` points at a list; `t` may be anything.
pub(crate) unsafe fn unlink(head: *mut *mut mg_timer, t: *mut mg_timer) -> bool {
    // SAFETY: t is a timer when it is on the list; polls that are registered are on this thread's stack.
    unsafe {
        let Some(link) = find(head, t, usize::MAX) else { return false };
        *link = (*t).next;
        let mut poll = POLLS.get();
        while !poll.is_null() {
            if (*poll).current.get() == t {
                (*poll).current.set(ptr::null_mut());
            }
            if (*poll).next.get() == t {
                (*poll).next.set((*t).next);
            }
            if (*poll).link.get() == &raw mut (*t).next {
                (*poll).link.set(link);
            }
            poll = (*poll).outer;
        }
    }
    true
}

/// Removes a timer from the list and frees it, if it is in the list and was created by `mg_timer_add`.
///
/// # Safety
/// As [`unlink`].
pub(crate) unsafe fn cancel(head: *mut *mut mg_timer, t: *mut mg_timer) {
    // SAFETY: t is a timer when it is on the list.
    unsafe {
        if unlink(head, t) && (*t).flags & MG_TIMER_AUTODELETE as c_uint != 0 {
            heap::free(t.cast());
        }
    }
}

/// Empties the list and frees the timers created by `mg_timer_add`; the application owns the others.
///
/// # Safety
/// `head` points at a list of timers.
pub(crate) unsafe fn free_all(head: *mut *mut mg_timer) {
    // SAFETY: passed on to the caller.
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
    // A period beyond the end of time never ends, instead of at once.
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

/// Private: armed to run at once, in a timer's callback or in a poll that had nothing to do. It runs in the next poll, which does not
/// hurry on its account: whoever arms a timer anew in its callback, or in each MG_EV_POLL, would keep the loop spinning.
const UNHURRIED: c_uint = 1 << 30;

fn is_immediate(t: &mg_timer) -> bool {
    t.expire == 0 && has(t.flags, MG_TIMER_RUN_NOW) && !has(t.flags, MG_TIMER_CALLED)
}

/// True if the timer will not run again.
fn is_over(flags: c_uint) -> bool {
    has(flags, MG_TIMER_CALLED) && !has(flags, MG_TIMER_REPEAT)
}

/// What timers wait for, in milliseconds of mg_millis; u64::MAX for nothing.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Times {
    /// From when on a poll has something to do.
    due: u64,
    /// Until when a poll may sleep.
    wake: u64,
}

impl Default for Times {
    fn default() -> Times {
        Times::NONE
    }
}

impl Times {
    const NONE: Times = Times { due: u64::MAX, wake: u64::MAX };
    const AT_ONCE: Times = Times { due: 0, wake: 0 };

    fn of(t: &mg_timer) -> Times {
        // A timer that was never started has expire 0, and a poll has to start it.
        let due = if is_over(t.flags) { u64::MAX } else { t.expire };
        let at_every_poll = has(t.flags, UNHURRIED as c_int) || t.period_ms == 0 && has(t.flags, MG_TIMER_REPEAT);
        Times { due, wake: if at_every_poll { u64::MAX } else { due } }
    }

    fn and(self, other: Times) -> Times {
        Times { due: self.due.min(other.due), wake: self.wake.min(other.wake) }
    }
}

/// What [`run`] did and found.
pub(crate) struct Ran {
    /// A callback was called.
    called: bool,
    /// How many timers it looked at, and what those wait for now.
    seen: usize,
    times: Times,
}

/// Calls those of the first `most` timers of a list that are due. See `mg_timer_poll`.
///
/// # Safety
/// `head` points at a list.
pub(crate) unsafe fn run(head: *mut *mut mg_timer, now: u64, most: usize) -> Ran {
    let mut ran = Ran { called: false, seen: 0, times: Times::NONE };
    // SAFETY: timers are only touched while they are known to be on the list: `next` is kept right by `unlink`, and is
    // looked up again, as is the current timer, when a callback may have changed the list without it.
    unsafe {
        let this =
            Poll { current: Cell::new(ptr::null_mut()), next: Cell::new(*head), link: Cell::new(head), outer: POLLS.get() };
        POLLS.set(&raw const this);
        // Whether this poll was called, directly or not, by the callback of that timer: one that is always due would do so without end.
        let runs = |t: *mut mg_timer| {
            let mut poll = this.outer;
            while !poll.is_null() && (*poll).current.get() != t {
                poll = (*poll).outer;
            }
            !poll.is_null()
        };
        while !this.next.get().is_null() && ran.seen < most {
            let t = this.next.get();
            ran.seen += 1;
            this.next.set((*t).next);
            let immediate = is_immediate(&*t);
            let due = expired(&mut (*t).expire, (*t).period_ms, now) || immediate;
            if !due || (*t).period_ms == 0 && runs(t) {
                ran.times = ran.times.and(Times::of(&*t));
                this.link.set(&raw mut (*t).next);
                continue;
            }
            (*t).flags &= !UNHURRIED;
            if !is_over((*t).flags) {
                this.current.set(t);
                ran.called = true;
                if let Some(f) = (*t).r#fn {
                    f((*t).arg);
                }
                // Deep in a long list only `unlink` knows, or 100,000 callbacks in one poll would walk the list as often.
                let is_gone = |t| find(head, t, LONG).is_none();
                if this.current.get() != t || is_gone(t) {
                    // After mg_mgr_free there is nothing left, perhaps not even the list.
                    if !this.next.get().is_null() && is_gone(this.next.get()) {
                        ran.times = Times::AT_ONCE;
                        break;
                    }
                    continue;
                }
                this.next.set((*t).next);
            }
            (*t).flags |= MG_TIMER_CALLED as c_uint;
            if has((*t).flags, MG_TIMER_AUTODELETE) && !has((*t).flags, MG_TIMER_REPEAT) {
                let near = this.link.get();
                unlink(if ran.seen > LONG && *near == t { near } else { head }, t);
                heap::free(t.cast());
                continue;
            }
            ran.times = ran.times.and(Times::of(&*t));
            this.link.set(&raw mut (*t).next);
        }
        POLLS.set(this.outer);
    }
    ran
}

/// How many of the first `most` timers of a list there are, and what they wait for.
///
/// # Safety
/// `head` points at a list.
unsafe fn look(head: *mut *mut mg_timer, most: usize) -> (usize, Times) {
    let (mut seen, mut times) = (0, Times::NONE);
    // SAFETY: passed on to the caller.
    unsafe {
        let mut t = *head;
        while !t.is_null() && seen < most {
            seen += 1;
            times = times.and(Times::of(&*t));
            t = (*t).next;
        }
    }
    (seen, times)
}

/// How long what is known of a long list holds if the application changes timers without a function of the library.
const RECHECK_MS: u64 = 100;

/// The timers of a manager. Applications may write into the structs of a list, and change its links, so no index can stand for it.
/// A short list is walked in each poll. Of a long one the earliest time is known, and a poll before it looks only at what was added.
#[derive(Default)]
pub(crate) struct Timers {
    long: Cell<bool>,
    times: Cell<Times>,
    /// When the whole list was walked.
    walked_at: Cell<u64>,
    /// The time of the last poll.
    polled_at: Cell<u64>,
    /// [`PUSHED`] when the list was last looked at: what was added since is in front.
    pushed: Cell<usize>,
}

impl Timers {
    /// How many timers of the list nothing is known of, from the front.
    fn unknown(&self, now: u64) -> usize {
        let holds = self.long.get() && now >= self.polled_at.get() && now.wrapping_sub(self.walked_at.get()) < RECHECK_MS;
        if holds { PUSHED.load(Ordering::Relaxed).wrapping_sub(self.pushed.get()) } else { usize::MAX }
    }

    fn walked(&self, now: u64, (seen, times): (usize, Times), exact: bool) {
        self.long.set(seen > LONG && !exact);
        self.times.set(times);
        self.walked_at.set(now);
    }

    /// Calls the timers that are due. Returns whether a callback ran. `exact`: whatever the application changes counts at once.
    ///
    /// # Safety
    /// `head` points at the manager's list.
    pub(crate) unsafe fn poll(&self, head: *mut *mut mg_timer, now: u64, exact: bool) -> bool {
        let most = if self.times.get().due <= now { usize::MAX } else { self.unknown(now) };
        self.polled_at.set(now);
        if most == 0 {
            return false;
        }
        // What callbacks add remains to be looked at.
        let pushed = PUSHED.load(Ordering::Relaxed);
        // SAFETY: passed on to the caller.
        let ran = unsafe { run(head, now, most) };
        if most == usize::MAX {
            self.walked(now, (ran.seen, ran.times), exact);
        } else {
            self.times.set(self.times.get().and(ran.times));
        }
        self.pushed.set(pushed);
        ran.called
    }

    /// Milliseconds until the next timer is due. None if there is none.
    ///
    /// # Safety
    /// As [`Timers::poll`].
    pub(crate) unsafe fn wait(&self, head: *mut *mut mg_timer, now: u64, exact: bool) -> Option<u64> {
        let most = self.unknown(now);
        // SAFETY: passed on to the caller.
        let found = unsafe { look(head, most.max(1)) };
        if found.0 == 0 {
            return None;
        }
        let wake = if most == usize::MAX {
            self.pushed.set(PUSHED.load(Ordering::Relaxed));
            self.walked(now, found, exact);
            found.1.wake
        } else {
            // A poll starts what was added.
            self.times.get().wake.min(found.1.wake)
        };
        (wake != u64::MAX).then(|| wake.saturating_sub(now))
    }

    /// After callbacks, or an idle poll: timers that were armed there to run at once can wait until the next poll comes round.
    ///
    /// # Safety
    /// As [`Timers::poll`].
    pub(crate) unsafe fn calm(&self, head: *mut *mut mg_timer, now: u64) {
        // SAFETY: passed on to the caller.
        unsafe {
            let mut t = *head;
            let mut left = self.unknown(now);
            while !t.is_null() && left > 0 {
                if (*t).expire == 0 && (is_immediate(&*t) || (*t).period_ms == 0) {
                    (*t).flags |= UNHURRIED;
                }
                t = (*t).next;
                left -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_deadlines() {
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
            unsafe { Timers::default().wait(&mut head, 100, false) }
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

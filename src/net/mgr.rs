//! The manager: initialisation, destruction, and the poll loop.

use super::attempts::{self, Failure};
use super::close;
use super::engine::{Engine, Reason};
use super::handle::ConnRef;
use super::list::list;
use super::no_poll;
use super::resolve;
use super::shutdown::LINGER_TOTAL_MS;
use super::tls::table as tls;
use super::{ending, linger, recv, send, service};
use crate::abi::*;
use crate::memory::prelude::*;
use crate::platform::clock as time;
use crate::platform::poller::{self, Ready};
use crate::platform::signal;
use crate::platform::sock::{self, Rest};
use crate::platform::thread;
use crate::sys::log::log_error;
use core::ffi::c_int;
use core::ptr;
use core::time::Duration;

/// Up to this many connections, checking each before sleeping is cheaper than asking the kernel twice.
const FEW: usize = 256;

/// See `mg_mgr_init`.
///
/// # Safety
/// `mgr` points to memory for a manager.
pub(crate) unsafe fn init(mgr: *mut mg_mgr) {
    // SAFETY: the struct is the caller's; all-zero is valid for each member.
    unsafe {
        ptr::write_bytes(mgr, 0, 1);
        (*mgr).epoll_fd = MG_INVALID_SOCKET;
        (*mgr).pipe.fd = MG_INVALID_SOCKET;
        (*mgr).dns4.url = resolve::DNS4.as_ptr();
        (*mgr).dns6.url = resolve::DNS6.as_ptr();
        (*mgr).dnstimeout = 3000;
        signal::ignore_broken_pipes();
        match Engine::new(mgr) {
            Ok(e) => {
                (*mgr).epoll_fd = e.poller.fd();
                e.now.set(time::millis());
                (*mgr).tls_ctx = Box::into_raw(e).cast();
            }
            Err(err) => log_error!("cannot create a poller: {err}"),
        }
    }
}

/// See `mg_mgr_free`.
///
/// # Safety
/// `mgr` is initialised, or zero-filled and holding nothing.
pub(crate) unsafe fn free(mgr: *mut mg_mgr) {
    // SAFETY: as the caller promises.
    let Ok(entry) = unsafe { Engine::of(mgr) }.map(Engine::entry).transpose() else { return };
    // SAFETY: the caller's manager, which no other thread uses now.
    unsafe { super::timer::free_all(&raw mut (*mgr).timers) };
    let Some(entry) = entry else { return };
    let e: &Engine = &entry;
    if !e.polled.get() {
        // A child process must not end the TLS sessions of its parent.
        list(e).filter_map(ConnRef::rec).for_each(tls::suppress_close_notify);
    }
    e.ending.set(true);
    // Handlers may open connections in MG_EV_CLOSE, or clear is_closing: repeat until nothing is left, but not forever.
    for round in 0.. {
        if list(e).next().is_none() {
            break;
        }
        e.no_more.set(round >= 100);
        for c in list(e) {
            c.update(|f| f.set_closing(true));
            if let Some(rec) = c.rec().filter(|r| r.reason.get() == Reason::None) {
                rec.reason.set(Reason::Forced);
            }
        }
        // SAFETY: the engine is not dead, so the manager is still the caller's.
        unsafe { poll(mgr, 0) };
        if round > 0 {
            list(e).for_each(close::close);
        }
    }
    // If a handler freed the manager in the meantime, the struct may hold another manager, or be gone.
    if !e.is_dead() && e.shutdown.is_asked() {
        finish_lingering(e);
    }
    if !e.is_dead() {
        linger::stop_lingering(e, 0);
        // SAFETY: the manager is the caller's; the outermost call frees its engine.
        unsafe {
            super::timer::free_all(&raw mut (*mgr).timers);
            e.poller.detach((*mgr).ifp);
            (*mgr).tls_ctx = ptr::null_mut();
            (*mgr).epoll_fd = MG_INVALID_SOCKET;
            (*mgr).pipe.fd = MG_INVALID_SOCKET;
        }
        e.dead.set(true);
        if e.poller.is_waiting() {
            // The sleeping thread frees the engine.
            e.waker.wake();
        }
    }
}

/// Waits for the lingering sockets, each no longer than its limit and in total no longer than the default. An application's own
/// mg_millis may stand still.
fn finish_lingering(e: &Engine) {
    let began = time::Stopwatch::start();
    let end = time::millis().saturating_add(LINGER_TOTAL_MS);
    while !e.is_dead() && !e.lingering.borrow().is_empty() && time::millis() < end && began.ms() < LINGER_TOTAL_MS {
        // SAFETY: the engine is not dead, so the manager is still the caller's.
        unsafe { poll(e.mgr, 1000) };
    }
}

/// See `mg_mgr_poll`.
///
/// # Safety
/// `mgr` is initialised, or zero-filled.
pub(crate) unsafe fn poll(mgr: *mut mg_mgr, ms: c_int) {
    // SAFETY: as the caller promises.
    let Some(entry) = (unsafe { Engine::enter_mgr(mgr) }) else {
        if !mgr.is_null() {
            idle(ms);
        }
        return;
    };
    let e: &Engine = &entry;
    if !e.ending.get() && e.before_poll.get().is_some_and(|step| !step(e)) {
        return;
    }
    e.polled.set(true);
    let mut ready = e.ready.take();
    ready.clear();
    wait(e, ms, &mut ready);
    if e.is_dead() {
        // Another thread has freed the manager in the meantime.
        return;
    }
    e.now.set(time::millis());
    apply(e, &ready);
    let idle = ready.is_empty();
    *e.ready.borrow_mut() = ready;
    if !e.is_dead() {
        // SAFETY: the list of the manager's timers.
        unsafe {
            let timers = &raw mut (*mgr).timers;
            if !(*timers).is_null() && e.timers.poll(timers, e.now.get(), e.compat.get()) && !e.is_dead() {
                e.timers.calm(timers, e.now.get());
            }
        }
    }
    if !e.is_dead() && (!e.no_poll.is_used() || !no_poll::walk(e)) {
        walk(e);
    }
    if !e.is_dead() {
        if let Some(step) = e.extension_step.get().filter(|_| e.extension_at.get() != u64::MAX || e.shutdown.request.is_waiting())
        {
            step(e);
        }
    }
    if !e.is_dead() {
        flush_pending(e);
    }
    if idle && !e.is_dead() {
        // SAFETY: the list of the manager's timers.
        unsafe { e.timers.calm(&raw mut (*mgr).timers, e.now.get()) };
    }
    if !e.is_dead() {
        e.poller.flush();
    }
}

/// A poll of a manager that has nothing to wait for.
pub(crate) fn idle(ms: c_int) {
    thread::sleep_ms(u64::try_from(ms).unwrap_or(1000));
}

fn wait(e: &Engine, ms: c_int, ready: &mut Vec<Ready>) {
    let mut left = ms;
    loop {
        wait_once(e, left, ready);
        if e.is_dead() || ready.is_empty() || !ready.iter().all(|r| is_known(e, r)) {
            return;
        }
        // Reading is paused, or the end of the stream was read. Watching edges reports the sockets once more.
        watch_edges(e, ready);
        ready.clear();
        if ms == 0 {
            return;
        }
        let passed = time::millis().saturating_sub(e.now.get());
        left = if ms < 0 { ms } else { ms.saturating_sub_unsigned(u32::try_from(passed).unwrap_or(u32::MAX)).max(0) };
    }
}

/// True if an event tells nothing new, so that a poll may sleep on.
#[inline]
fn is_known(e: &Engine, r: &Ready) -> bool {
    let Some(rec) = e.rec_for(r.token).filter(|_| r.token != poller::WAKER) else { return false };
    let Some(c) = rec.connection() else { return false };
    let is_input_known = || rec.eof.get() || rec.readable.get() && recv::is_paused(e, c);
    let is_new = r.error || r.hup && !rec.hup.get() || r.writable && rec.blocked.get() || r.readable && !is_input_known();
    !is_new && !c.flags().is_connecting()
}

/// From now on the poller reports changes only.
#[cold]
fn watch_edges(e: &Engine, ready: &[Ready]) {
    for rec in ready.iter().filter_map(|r| e.rec_for(r.token)).filter(|rec| rec.rest.get() == Rest::Polled) {
        rec.connection().into_iter().for_each(|c| _ = send::watch_both_ways(e, c, rec));
    }
}

fn wait_once(e: &Engine, ms: c_int, ready: &mut Vec<Ready>) {
    let limit = limit(e, ms);
    if e.poller.is_waiting() {
        // Another thread is already polling and will receive the events.
        let ms = limit.unwrap_or(u64::MAX).min(10);
        return e.while_unlocked(&mut || thread::sleep_ms(ms));
    }
    let look = |ready: &mut Vec<Ready>| e.poller.wait(Some(Duration::ZERO), ready, |wait| wait());
    no_poll::scan(e);
    if limit == Some(0) {
        return look(ready);
    }
    if e.conns.get() > FEW && !e.no_poll.is_used() {
        look(ready);
        if !ready.is_empty() {
            return;
        }
    }
    let due = if e.no_poll.is_used() { no_poll::any_due(e) } else { list(e).any(|c| service::is_due(e, c)) };
    if due {
        return look(ready);
    }
    e.poller.wait(limit.map(Duration::from_millis), ready, |wait| e.while_unlocked(wait));
    if ready.is_empty() && limit.is_none_or(|ms| ms >= 100) {
        e.buffers.trim();
    }
}

/// How long this poll may sleep: until the application's limit, a timer or a deadline. None: no limit.
pub(super) fn limit(e: &Engine, ms: c_int) -> Option<u64> {
    let mut limit = u64::try_from(ms).ok();
    if limit == Some(0) {
        return limit;
    }
    let mut at_most = |n: u64| limit = Some(limit.map_or(n, |old| old.min(n)));
    if e.requeued
        .borrow()
        .iter()
        .any(|slot| e.rec(*slot as usize).is_some_and(|rec| !rec.connection().is_some_and(|c| recv::is_paused(e, c))))
    {
        at_most(0);
    }
    // SAFETY: the manager is alive.
    let timers = unsafe { &raw mut (*e.mgr).timers };
    let linger = Some(e.linger_check.get()).filter(|_| !e.lingering.borrow().is_empty());
    let extension = Some(e.extension_at.get()).filter(|at| *at != u64::MAX);
    let deadline = e
        .deadlines
        .borrow()
        .first()
        .map(|(at, _)| *at)
        .into_iter()
        .chain(linger)
        .chain(extension)
        .min()
        .filter(|at| *at < u64::MAX - 1);
    // SAFETY: as above.
    if unsafe { !(*timers).is_null() } || deadline.is_some() {
        let now = time::millis();
        // SAFETY: the list of the manager's timers.
        if let Some(n) = unsafe { e.timers.wait(timers, now, e.compat.get()) } {
            at_most(n);
        }
        if let Some(at) = deadline {
            at_most(at.saturating_sub(now));
        }
    }
    limit
}

/// Records what the kernel reported, and handles errors, lingering sockets and deadlines.
fn apply(e: &Engine, ready: &[Ready]) {
    let mut failed = Vec::new();
    for r in ready {
        if r.token == poller::WAKER {
            super::wakeup::answer_waker(e);
            continue;
        }
        let Some(rec) = e.rec_for(r.token) else { continue };
        let repeated = rec.rest.get() == Rest::Polled && (rec.readable.get() || rec.hup.get());
        // Nothing follows the end of the stream, although every event reports readable from then on.
        rec.readable.set(!rec.eof.get() && (rec.readable.get() || r.readable));
        rec.hup.set(rec.hup.get() || r.hup);
        if r.writable {
            rec.blocked.set(false);
        }
        if rec.lingering.get() {
            if r.error {
                linger::end_lingering(e, rec)
            } else {
                linger::linger_on(e, rec)
            }
            continue;
        }
        let Some(c) = rec.connection() else {
            resolve::ready(e, rec);
            continue;
        };
        if c.is_closed() {
            // This poll is nested in its MG_EV_CLOSE.
            continue;
        }
        if repeated {
            // Reading is paused, or the end of the stream was read: from now on the poller reports changes only.
            send::watch_both_ways(e, c, rec);
        }
        if r.error {
            failed.push(r.token);
            continue;
        }
        c.update(|f| {
            f.set_readable(rec.readable.get() && !f.is_full());
            f.set_writable(r.writable);
        });
        e.wake(c, rec);
        if rec.readable.get() && recv::is_paused(e, c) {
            e.requeue(rec);
        }
    }
    let requeued = e.take_slots(&e.requeued);
    for slot in &requeued {
        let Some(rec) = e.rec(*slot as usize) else { continue };
        rec.requeued.set(false);
        if rec.lingering.get() {
            linger::linger_on(e, rec);
        } else if let Some(c) = rec.connection() {
            if rec.readable.get() && recv::is_paused(e, c) {
                e.requeue(rec);
            } else {
                c.update(|f| f.set_readable(rec.readable.get()));
                e.wake(c, rec);
            }
        } else {
            resolve::ready(e, rec);
        }
    }
    e.give_slots(requeued);
    expire(e);
    for token in failed {
        let Some((c, rec)) = e.rec_for(token).and_then(|rec| Some((rec.connection()?, rec))) else { continue };
        if c.is_closed() {
            continue;
        }
        e.wake(c, rec);
        let failure = Failure(None, sock::take_error(rec.fd.get()));
        if c.flags().is_connecting() {
            attempts::failed(e, c, rec, failure)
        } else {
            failure.report(c)
        }
        if e.is_dead() {
            return;
        }
    }
}

fn expire(e: &Engine) {
    linger::expire_lingering(e);
    loop {
        let first = e.deadlines.borrow().first().copied();
        let Some((_, slot)) = first.filter(|(at, _)| *at <= e.now.get()) else { return };
        let Some(rec) = e.rec(slot as usize) else { return };
        rec.alarm.set(rec.alarm.get().filter(|at| *at > e.now.get()));
        e.set_deadline(rec, None);
        if e.limited.get() {
            e.expired.borrow_mut().push(slot);
            e.extension_at.set(0);
        }
        let Some(c) = rec.connection() else { continue };
        if rec.readable.get() {
            // A listener that paused. Other connections are serviced anyway.
            c.update(|f| f.set_readable(!f.is_full()));
        }
        e.wake(c, rec);
    }
}

/// Services every connection, newest first.
fn walk(e: &Engine) {
    e.no_poll.forget_wakes();
    // SAFETY: the manager is alive, and connections on its list are.
    unsafe {
        let head = &raw mut (*e.mgr).conns;
        let mut trail = e.trail.take();
        e.link.set(head);
        e.cursors.borrow_mut().push(*head);
        loop {
            let at = e.cursors.borrow().last().copied().unwrap_or(ptr::null_mut());
            if at.is_null() {
                break;
            }
            trail.pass(at);
            let c = ConnRef::new(at);
            if let Some(cursor) = e.cursors.borrow_mut().last_mut() {
                *cursor = c.next();
            }
            service::service(e, c);
            if e.is_dead() {
                return;
            }
            if !c.is_closed() {
                e.link.set(&raw mut (*at).next);
            } else if e.callback_depth() == 1 {
                e.reap();
            }
        }
        e.cursors.borrow_mut().pop();
        e.link.set(ptr::null_mut());
        trail.end();
        *e.trail.borrow_mut() = trail;
    }
}

/// Sends output that handlers and timers queued on connections already serviced in this poll.
fn flush_pending(e: &Engine) {
    let pending = e.take_slots(&e.flush_pending);
    for slot in &pending {
        let Some(rec) = e.rec(*slot as usize) else { continue };
        let asked = rec.flush_pending.replace(false);
        let Some(c) = rec.connection().filter(|_| asked && !e.is_dead()) else { continue };
        e.current.set(c.as_ptr());
        ending::settle(e, c, rec);
        service::flush(e, c, rec);
        if !e.is_dead() && !c.is_closed() {
            // Its next service call decides whether it closes.
            e.wake(c, rec);
        }
        if !e.is_dead() {
            e.current.set(ptr::null_mut());
        }
    }
    e.give_slots(pending);
}

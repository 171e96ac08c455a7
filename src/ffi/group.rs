//! Extension API: one manager per thread, and all of them drained together.

#![allow(non_camel_case_types)]

use super::drain::{mgx_mgr_drain, mgx_mgr_drain_status, mgx_mgr_phase};
use super::ext::mgx_mgr_ok;
use super::net::{mg_mgr_free, mg_mgr_poll};
use crate::abi::*;
use crate::memory;
use crate::memory::prelude::*;
use crate::platform::thread::{self, Handle};
use crate::sys::log::log_error;
use core::cell::{Cell, UnsafeCell};
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Prepares the manager of one thread, in that thread: mg_mgr_init, mgx_listen_reuseport, listeners, timers, what else belongs to it.
/// False: the thread is not wanted.
pub type mgx_setup_t = Option<unsafe extern "C" fn(mgr: *mut mg_mgr, index: c_int, arg: *mut c_void) -> bool>;

const STARTING: u32 = 0;
const REFUSED: u32 = 1;
const RUNNING: u32 = 2;

struct Member {
    mgr: UnsafeCell<mg_mgr>,
    state: AtomicU32,
    /// Leave at once: another member has not come up.
    stop: AtomicBool,
    /// The manager is not to be touched any more.
    gone: AtomicBool,
    /// What the drain came to, once gone.
    end: UnsafeCell<mgx_drain_status>,
    /// Calls from other threads that use the manager.
    users: AtomicUsize,
}

// SAFETY: the thread has the manager for itself but for what mgx_mgr_drain and the functions that take the engine's lock touch; `end` is
// written before `gone` is set and read after that.
unsafe impl Sync for Member {}

/// Threads started by mgx_threads.
pub struct mgx_group {
    /// In a block of fixed size: the threads hold references to them.
    members: Vec<Member>,
    /// Separate from the members, which others may use while a thread joins these.
    threads: Cell<Vec<Handle>>,
}

impl Member {
    /// Runs `f` on the manager, if it is still there.
    fn with<R>(&self, f: impl FnOnce(*mut mg_mgr) -> R) -> Option<R> {
        self.users.fetch_add(1, Ordering::SeqCst);
        let result = (!self.gone.load(Ordering::SeqCst)).then(|| f(self.mgr.get()));
        self.users.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// The life of a thread.
    fn run(&self, setup: unsafe extern "C" fn(*mut mg_mgr, c_int, *mut c_void) -> bool, index: c_int, arg: *mut c_void) {
        let mgr = self.mgr.get();
        // SAFETY: zero-filled, and nobody else's so far.
        let works = unsafe { setup(mgr, index, arg) && mgx_mgr_ok(mgr) };
        self.state.store(if works { RUNNING } else { REFUSED }, Ordering::Release);
        // SAFETY: this thread's manager.
        while works && !self.stop.load(Ordering::Acquire) && unsafe { mgx_mgr_phase(mgr) } != mgx_mgr_phase::MGX_MGR_DONE {
            // SAFETY: as above.
            unsafe { mg_mgr_poll(mgr, 1000) };
        }
        // SAFETY: as above; nobody reads `end` before `gone` is set.
        unsafe { mgx_mgr_drain_status(mgr, self.end.get()) };
        self.gone.store(true, Ordering::SeqCst);
        while self.users.load(Ordering::SeqCst) > 0 {
            thread::give_way();
        }
        // SAFETY: as above, and nobody else uses it now. A manager that was never initialised is fine.
        unsafe { mg_mgr_free(mgr) };
    }
}

/// Starts `n` threads, one for each CPU that the process may use if `n` is 0, which poll a manager each. `setup` is called in each
/// thread with a zero-filled manager, the number of the thread, from 0, and `arg`; the calls follow each other, so those after the first
/// can use what it has stored at `arg`, such as a port. It calls mg_mgr_init, and before it listens mgx_listen_reuseport: then all threads
/// listen on the same port, and the kernel spreads the connections. A connection stays in its thread, and so do its handlers.
///
/// Returns when all are ready, or NULL, with no thread left, if `setup` has returned false, or has not initialised the manager, or if the
/// system refuses a thread. Wait for the end, and free the result, with mgx_group_wait.
///
/// ```c
/// static bool setup(struct mg_mgr *mgr, int index, void *arg) {
///   mg_mgr_init(mgr);
///   return mgx_listen_reuseport(mgr, true) && mgx_mgr_drain_on_signal(mgr, SIGTERM, NULL) &&
///          mg_http_listen(mgr, "http://0.0.0.0:8000", fn, arg) != NULL;
/// }
/// mgx_group_wait(mgx_threads(0, setup, NULL));
/// ```
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_threads(n: c_int, setup: mgx_setup_t, arg: *mut c_void) -> *mut mgx_group {
    let Some(setup) = setup else { return ptr::null_mut() };
    let n = usize::try_from(n).ok().filter(|n| *n > 0).unwrap_or_else(thread::cpus);
    let (Some(members), Some(mut threads)) = (memory::room(n), memory::room(n)) else { return ptr::null_mut() };
    let mut group = mgx_group { members, threads: Cell::default() };
    for index in 0..n {
        // Does not reallocate: the elements must not move.
        group.members.push(Member {
            // SAFETY: all-zero is a manager that is not initialised.
            mgr: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            state: AtomicU32::new(STARTING),
            stop: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            // SAFETY: all-zero is valid.
            end: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            users: AtomicUsize::new(0),
        });
        let member = &group.members[index];
        let (at, arg) = (ptr::from_ref(member) as usize, arg as usize);
        let handle = thread::spawn(move || {
            // SAFETY: freed by mgx_group_wait only, which waits for this thread; `arg` is for the application to share.
            let member = unsafe { &*ptr::with_exposed_provenance::<Member>(at) };
            member.run(setup, index as c_int, ptr::with_exposed_provenance_mut(arg));
        });
        let starts = handle.is_some();
        threads.extend(handle);
        while starts && member.state.load(Ordering::Acquire) == STARTING {
            thread::give_way();
        }
        if !starts || member.state.load(Ordering::Acquire) == REFUSED {
            log_error!("mgx_threads: thread {index} of {n} {}", if starts { "is not set up" } else { "cannot be started" });
            group.threads.set(threads);
            end(&group);
            return ptr::null_mut();
        }
    }
    group.threads.set(threads);
    Box::into_raw(Box::new(group))
}

/// Ends all threads at once.
fn end(group: &mgx_group) {
    for member in &group.members {
        member.stop.store(true, Ordering::Release);
        // SAFETY: the manager is initialised when its thread was set up. The smallest deadline wakes the thread up.
        member.with(|mgr| unsafe { mgx_mgr_drain(mgr, &mgx_mgr_drain_opts { deadline_ms: 1, ..core::mem::zeroed() }) });
    }
    group.threads.take().into_iter().for_each(Handle::join);
}

/// Number of threads; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_group_size(group: *const mgx_group) -> usize {
    // SAFETY: a group or NULL, as the caller promises, here and below.
    unsafe { group.as_ref() }.map_or(0, |group| group.members.len())
}

/// Starts the drain of all managers with the same options and so the same deadline, as mgx_mgr_drain does for one. May be called from any
/// thread and from a signal handler, until mgx_group_wait returns. False if no thread is left to drain.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_group_drain(group: *const mgx_group, opts: *const mgx_mgr_drain_opts) -> bool {
    let mut any = false;
    // SAFETY: as above; the managers are initialised.
    for member in unsafe { group.as_ref() }.into_iter().flat_map(|group| &group.members) {
        // SAFETY: as above.
        any |= member.with(|mgr| unsafe { mgx_mgr_drain(mgr, opts) }) == Some(true);
    }
    any
}

/// Stores the progress of all managers together in `*status`: sums of what is counted, the phase of the one that is furthest behind, the
/// longest times. May be called from any thread until mgx_group_wait returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_group_drain_status(group: *const mgx_group, status: *mut mgx_drain_status) {
    if status.is_null() {
        return;
    }
    // SAFETY: all-zero is valid.
    let mut sum = mgx_drain_status { phase: mgx_mgr_phase::MGX_MGR_DONE, ..unsafe { core::mem::zeroed() } };
    // SAFETY: as above.
    for member in unsafe { group.as_ref() }.into_iter().flat_map(|group| &group.members) {
        // SAFETY: all-zero is valid, and the functions fill it.
        let mut one: mgx_drain_status = unsafe { core::mem::zeroed() };
        // SAFETY: the manager is there; once it is gone, its end is.
        member
            .with(|mgr| unsafe { mgx_mgr_drain_status(mgr, &raw mut one) })
            .unwrap_or_else(|| unsafe { one = *member.end.get() });
        sum.add(&one);
    }
    // SAFETY: the caller's.
    unsafe { *status = sum };
}

impl mgx_drain_status {
    fn add(&mut self, other: &mgx_drain_status) {
        let mgx_drain_status {
            phase,
            listeners,
            idle,
            active,
            pending,
            flushing,
            websockets,
            lingering,
            served,
            drained,
            forced,
            unsent_bytes,
            elapsed_ms,
            remaining_ms,
        } = *other;
        if (phase as c_int) < self.phase as c_int {
            self.phase = phase;
        }
        self.listeners += listeners;
        self.idle += idle;
        self.active += active;
        self.pending += pending;
        self.flushing += flushing;
        self.websockets += websockets;
        self.lingering += lingering;
        self.served += served;
        self.drained += drained;
        self.forced += forced;
        self.unsent_bytes += unsent_bytes;
        self.elapsed_ms = self.elapsed_ms.max(elapsed_ms);
        self.remaining_ms = self.remaining_ms.max(remaining_ms);
    }
}

/// Waits until all managers are drained and their threads have ended, and frees the group. True if no connection had to be closed by
/// force. True for NULL. Not from one of the threads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_group_wait(group: *mut mgx_group) -> bool {
    if group.is_null() {
        return true;
    }
    // SAFETY: made by mgx_threads. Others may use its members until the threads have ended.
    unsafe { (*group).threads.take() }.into_iter().for_each(Handle::join);
    // SAFETY: as above; nobody else uses it now.
    let group = unsafe { Box::from_raw(group) };
    // SAFETY: written before the threads ended.
    group.members.iter().all(|member| unsafe { (*member.end.get()).forced } == 0)
}

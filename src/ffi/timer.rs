//! Timers and clocks.

use crate::abi::{MG_TIMER_AUTODELETE, mg_mgr, mg_timer};
use crate::ffi_util::heap;
use crate::net::engine::Engine;
use crate::net::timer;
use crate::platform::clock as time;
use core::ffi::{c_uint, c_void};
use core::ptr;

/// Fills in `*timer` and puts it in front of the list `*head`. `fn(arg)` is called after `milliseconds`, counted from the
/// first `mg_timer_poll` that sees the timer: once with `MG_TIMER_ONCE`, again and again with `MG_TIMER_REPEAT`, in both
/// cases at once if `MG_TIMER_RUN_NOW` is added. The struct stays the caller's and must live until `mg_timer_free`; it
/// must not be on a list already. `&mgr->timers` is the list that `mg_mgr_poll` polls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_timer_init(
    head: *mut *mut mg_timer,
    timer: *mut mg_timer,
    milliseconds: u64,
    flags: c_uint,
    r#fn: Option<unsafe extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
) {
    let filled = mg_timer { period_ms: milliseconds, expire: 0, flags, r#fn, arg, next: ptr::null_mut() };
    // SAFETY: head is a list of the caller, timer the caller's struct.
    unsafe { timer::push(head, timer, filled) }
}

/// Takes a timer off the list `*head`; does nothing when it is not there. Releases no memory. May be called in a timer's
/// callback, for that timer or another one, which then may be released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_timer_free(head: *mut *mut mg_timer, timer: *mut mg_timer) {
    // SAFETY: head is a list of the caller.
    unsafe { timer::unlink(head, timer) }
}

/// Calls the functions of all timers on the list `*head` that are due, at the time of `new_ms` milliseconds. A timer that
/// has missed several periods is called once. Timers added meanwhile wait for the next poll. A timer from `mg_timer_add`
/// that is done is released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_timer_poll(head: *mut *mut mg_timer, new_ms: u64) {
    // SAFETY: head is a list of the caller.
    unsafe { timer::poll(head, new_ms) };
}

/// A timer without a callback: returns true once every `period` milliseconds. `*expiration` is the time when it is true
/// next, 0 at first; the first call only starts it, unless `period` is 0. When the clock has gone back, it starts again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_timer_expired(expiration: *mut u64, period: u64, now: u64) -> bool {
    // SAFETY: expiration is the caller's.
    timer::expired(unsafe { &mut *expiration }, period, now)
}

/// Makes a timer that `mg_mgr_poll` polls, see `mg_timer_init`. The manager owns it: it is released after its call, or with
/// the manager when it repeats. Returns NULL when memory has run out, or when another thread keeps the manager busy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_timer_add(
    mgr: *mut mg_mgr,
    milliseconds: u64,
    flags: c_uint,
    r#fn: Option<unsafe extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
) -> *mut mg_timer {
    require!(mgr, ptr::null_mut());
    // SAFETY: a manager, as the caller promises.
    let Ok(_entry) = unsafe { Engine::of(mgr) }.map(Engine::entry).transpose() else { return ptr::null_mut() };
    let timer = heap::new_zeroed::<mg_timer>();
    if !timer.is_null() {
        // SAFETY: mgr is an initialised manager, timer a fresh block. The list is changed while other threads sleep only.
        unsafe { mg_timer_init(&raw mut (*mgr).timers, timer, milliseconds, flags | MG_TIMER_AUTODELETE as c_uint, r#fn, arg) }
    }
    timer
}

/// Wall clock time in milliseconds since 1970, once SNTP has told it: `mg_millis()` plus `mg_boot_timestamp_ms`, which is
/// 0 before. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mg_now() -> u64 {
    time::now()
}

/// Waits, without sleeping, until more than `ms` milliseconds have gone by. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mg_delayms(ms: c_uint) {
    let start = time::millis();
    while time::millis().wrapping_sub(start) <= u64::from(ms) {
        core::hint::spin_loop();
    }
}

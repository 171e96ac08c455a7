//! Timers and clocks.

use crate::abi::{MG_TIMER_AUTODELETE, mg_mgr, mg_timer};
use crate::ffi_util::heap;
use crate::net::engine::Engine;
use crate::net::timer;
use crate::platform::clock as time;
use core::ffi::{c_uint, c_void};
use core::ptr;

/// Initialises `*timer` and adds it to the front of the list `*head`. `fn(arg)` is called `milliseconds` after the first
/// mg_timer_poll that sees the timer: once for MG_TIMER_ONCE, periodically for MG_TIMER_REPEAT. With MG_TIMER_RUN_NOW the first
/// call comes in that poll. The caller owns the struct, which must stay valid until mg_timer_free and must not be in a list
/// already. mg_mgr_poll polls the list `&mgr->timers`.
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

/// Removes a timer from the list `*head`; does nothing if it is not in the list. Frees no memory. A timer callback may remove its
/// own or another timer, whose memory may then be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_timer_free(head: *mut *mut mg_timer, timer: *mut mg_timer) {
    // SAFETY: head is a list of the caller.
    unsafe { timer::unlink(head, timer) };
}

/// Calls the callbacks of all timers in the list `*head` that are due at time `new_ms`, in milliseconds. A timer that missed
/// several periods runs once. Timers added meanwhile wait for the next poll. Frees finished timers created by mg_timer_add.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_timer_poll(head: *mut *mut mg_timer, new_ms: u64) {
    // SAFETY: head is a list of the caller.
    unsafe { timer::run(head, new_ms, usize::MAX) };
}

/// A timer without a callback: returns true once every `period` milliseconds. `*expiration` is the next expiry time, initially 0;
/// the first call only starts the timer, unless `period` is 0. If the clock goes back, the timer restarts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_timer_expired(expiration: *mut u64, period: u64, now: u64) -> bool {
    // SAFETY: expiration is the caller's.
    timer::expired(unsafe { &mut *expiration }, period, now)
}

/// Creates a timer polled by mg_mgr_poll; see mg_timer_init. The manager owns it: it is freed after its call, or with the manager
/// if it repeats. Returns NULL if out of memory, or if another thread keeps the manager busy.
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

/// Returns the wall-clock time in milliseconds since 1970, once SNTP has set it: `mg_millis()` plus `mg_boot_timestamp_ms`, which
/// is 0 until then. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mg_now() -> u64 {
    time::now()
}

/// Busy-waits until more than `ms` milliseconds have passed. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mg_delayms(ms: c_uint) {
    let start = time::millis();
    while time::millis().wrapping_sub(start) <= u64::from(ms) {
        core::hint::spin_loop();
    }
}

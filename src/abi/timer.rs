use super::*;

/// A timer, in the list that mg_timer_poll (and mg_mgr_poll for `mgr->timers`) walks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_timer {
    /// Time between calls, milliseconds.
    pub period_ms: u64,
    /// Time of the next call; 0 until the first poll has started the timer.
    pub expire: u64,
    /// MG_TIMER_* bits.
    pub flags: c_uint,
    /// What to call.
    pub r#fn: Option<unsafe extern "C" fn(arg: *mut c_void)>,
    /// Its argument.
    pub arg: *mut c_void,
    /// List link.
    pub next: *mut mg_timer,
}
layout!(mg_timer, 48, period_ms @ 0, expire @ 8, flags @ 16, r#fn @ 24, arg @ 32, next @ 40);

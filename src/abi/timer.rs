use super::*;

/// A timer, linked into a list that mg_timer_poll walks. mg_mgr_poll walks the list `mgr->timers`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_timer {
    /// Interval in milliseconds.
    pub period_ms: u64,
    /// Next expiry time in milliseconds; 0 until the first poll starts the timer.
    pub expire: u64,
    /// MG_TIMER_* bits.
    pub flags: c_uint,
    /// Callback.
    pub r#fn: Option<unsafe extern "C" fn(arg: *mut c_void)>,
    /// User data of the callback.
    pub arg: *mut c_void,
    /// Next timer in the list.
    pub next: *mut mg_timer,
}
layout!(mg_timer, 48, period_ms @ 0, expire @ 8, flags @ 16, r#fn @ 24, arg @ 32, next @ 40);

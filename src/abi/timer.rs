use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_timer {
    pub period_ms: u64,
    pub expire: u64,
    pub flags: c_uint,
    pub r#fn: Option<unsafe extern "C" fn(*mut c_void)>,
    pub arg: *mut c_void,
    pub next: *mut mg_timer,
}
layout!(mg_timer, 48, period_ms @ 0, expire @ 8, flags @ 16, r#fn @ 24, arg @ 32, next @ 40);


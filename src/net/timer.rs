use crate::abi::*;
pub(crate) unsafe fn poll(_head: *mut *mut mg_timer, _now: u64) {}
pub(crate) unsafe fn next_deadline(_head: *mut mg_timer, _now: u64) -> Option<u64> { None }

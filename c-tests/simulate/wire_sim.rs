//! Connections in memory.

use crate::ffi::mg_mgr;
use core::ffi::c_int;
use mongoose::sim;
pub(crate) use mongoose::sim::{End as Wire, Read, accept, begin, call_in, connect, end, faults, now_us};
pub(crate) use mongoose::sim::{failed_accepts, interrupt, is_traced, left_open, pass, say, trace};

/// A peer listens; connections are for it to accept.
pub(crate) fn listen(token: u64) -> u16 {
    let port = 20_000 + token as u16;
    sim::listen(token, port);
    port
}

pub(crate) fn poll(mgr: *mut mg_mgr, ms: c_int) {
    unsafe { crate::ffi::mg_mgr_poll(mgr, ms) };
}

//! The block of `c->recv` that a handler further up the stack is looking at stays as it is.

use super::engine::{ConnState, Engine};
use super::handle::ConnRef;
use crate::ffi_util::heap;
use core::ptr;

/// Gives `c->recv` a block of its own when a handler further up the stack is looking at the present one. False when out of memory.
pub(crate) fn unshare(e: &Engine, c: ConnRef, rec: &ConnState) -> bool {
    let now = c.recv_info();
    if now.buf.is_null() || now.buf != rec.viewed.get() {
        return true;
    }
    let block = heap::calloc(now.size);
    if block.is_null() {
        return false;
    }
    // SAFETY: the connection's own buffer, and a new one of the same size.
    unsafe {
        ptr::copy_nonoverlapping(now.buf, block, now.len);
        (*c.recv()).buf = block;
    }
    rec.viewed.set(ptr::null_mut());
    e.keep(now.buf);
    true
}

//! Views of `c->recv` by the application: nothing is moved or removed from it until the handler returns, even if it polls.

use super::engine::{ConnState, Engine};
use super::handle::ConnRef;
use crate::ffi_util::heap;
use core::ptr;

/// Calls the application about the data at the start of `c->recv`; the first `done` bytes are consumed afterwards. Input that
/// arrives in a nested poll goes to another block, and no message is handled before this returns.
#[inline]
pub(crate) fn dispatch(c: ConnRef, rec: &ConnState, done: usize, f: impl FnOnce()) {
    // A response without a length is delivered while its connection closes.
    let closing = c.is_closed();
    rec.viewed.set(c.recv_info().buf);
    rec.done_end.set(c.recv_at(rec).wrapping_add(done as u64));
    rec.dispatching.set(true);
    f();
    // Otherwise the record may already be reused.
    if closing || !c.is_gone() {
        rec.viewed.set(ptr::null_mut());
        rec.dispatching.set(false);
    }
}

/// Gives `c->recv` a new block if a handler further up the stack is looking at the current one. False if out of memory.
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

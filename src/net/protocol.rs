//! What the engine needs to know of the protocol of a connection. Each protocol describes itself once; the handler in `c->pfn`
//! says which one it is, whoever put it there.

use super::engine::ConnState;
use super::handle::ConnRef;
use crate::abi::mg_connection;
use core::cell::Cell;
use core::ffi::{c_int, c_void};

pub(crate) type Handler = unsafe extern "C" fn(*mut mg_connection, c_int, *mut c_void);

pub(crate) struct Protocol {
    /// What `c->pfn` holds.
    pub(crate) handler: Handler,
    /// Nothing to do on MG_EV_POLL while `c->recv` is empty.
    pub(crate) skips_poll: bool,
    /// Messages are answered one after the other: little is read ahead of the answer.
    pub(crate) answers_in_turn: bool,
    /// The receive buffer is full. True when that is dealt with, and no error is to be raised.
    pub(crate) at_limit: Option<fn(ConnRef) -> bool>,
    /// No further message of a client is handled, so none is read, while [`super::recv::OUTPUT_MAX`] bytes wait to be sent to it.
    pub(crate) throttles_input: bool,
    /// Looks at the output that is about to leave.
    pub(crate) before_send: Option<fn(ConnRef, &ConnState)>,
}

/// The protocols in use in one manager.
#[derive(Default)]
pub(crate) struct Protocols([Cell<Option<&'static Protocol>>; 4]);

impl Protocols {
    pub(crate) fn add(&self, protocol: &'static Protocol) {
        let is_free = |at: &&Cell<Option<&'static Protocol>>| at.get().is_none_or(|p| core::ptr::eq(p, protocol));
        if let Some(at) = self.0.iter().find(is_free) {
            at.set(Some(protocol));
        }
    }

    #[inline]
    pub(crate) fn find(&self, handler: Handler) -> Option<&'static Protocol> {
        self.0.iter().map_while(Cell::get).find(|p| core::ptr::fn_addr_eq(p.handler, handler))
    }
}

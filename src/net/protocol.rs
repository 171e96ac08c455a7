//! What the engine needs to know about the protocol of a connection. Each protocol has one description; the handler in `c->pfn`
//! identifies it, regardless of who set it.

use super::engine::ConnState;
use super::handle::ConnRef;
use crate::abi::mg_connection;
use core::cell::Cell;
use core::ffi::{c_int, c_void};

pub(crate) type Handler = unsafe extern "C" fn(*mut mg_connection, c_int, *mut c_void);

pub(crate) struct Protocol {
    /// Handler in `c->pfn`.
    pub(crate) handler: Handler,
    /// Ignores MG_EV_POLL while `c->recv` is empty.
    pub(crate) skips_poll: bool,
    /// Answers messages in order, so that little is read ahead of the response.
    pub(crate) answers_in_turn: bool,
    /// Called when the receive buffer is full. True if handled, so that no error is raised.
    pub(crate) at_limit: Option<fn(ConnRef) -> bool>,
    /// Stops reading from a client while [`super::recv::OUTPUT_MAX`] bytes wait to be sent to it.
    pub(crate) throttles_input: bool,
    /// Inspects the output before it is sent.
    pub(crate) before_send: Option<fn(ConnRef, &ConnState)>,
}

/// The protocols in use in a manager.
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

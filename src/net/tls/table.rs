//! The engine's entry to TLS. `net::tls::driver` and rustls are reached only through a table that `mg_tls_init` supplies, so a
//! statically linked program that never calls it does not contain them.

use crate::memory::prelude::*;
use crate::net::engine::{ConnState, Engine};
use crate::net::handle::ConnRef;
use crate::net::record::record;
use crate::platform::sock::Io;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::ffi::c_int;

/// Operations of the TLS layer on a secure connection.
pub(crate) struct Ops {
    pub(crate) service: fn(&Engine, ConnRef, &ConnState),
    pub(crate) send_queued: fn(&Engine, ConnRef, &ConnState),
    pub(crate) send_file: fn(&Engine, ConnRef, &ConnState, c_int, u64, usize) -> Io,
    pub(crate) send_close_notify: fn(&Engine, ConnRef, &ConnState) -> bool,
    pub(crate) close_notify_if_flushed: fn(ConnRef, &ConnState),
    pub(crate) drop_state: fn(&Engine, ConnRef, &ConnState),
    pub(crate) may_send_more: fn(&ConnState) -> bool,
    pub(crate) suppress_close_notify: fn(&ConnState),
    pub(crate) handshake_ends: fn(&Engine, &ConnState) -> Option<u64>,
    pub(crate) unsent: fn(&ConnState) -> usize,
}

record! {
    /// TLS state of a connection, in its record.
    pub(crate) struct State {
        ops: Cell<Option<&'static Ops>>,
        session: RefCell<Option<Box<dyn Any>>>,
    }
}

/// The reading part of a service call.
pub(crate) fn service(e: &Engine, c: ConnRef, rec: &ConnState) {
    if let Some(ops) = rec.tls.ops.get() {
        (ops.service)(e, c, rec);
    }
}

/// Encrypts and sends the data in `c->send`.
pub(crate) fn send_queued(e: &Engine, c: ConnRef, rec: &ConnState) {
    if let Some(ops) = rec.tls.ops.get() {
        (ops.send_queued)(e, c, rec);
    }
}

/// Encrypts and sends up to `len` bytes of a file, from `at`.
pub(crate) fn send_file(e: &Engine, c: ConnRef, rec: &ConnState, file: c_int, at: u64, len: usize) -> Io {
    rec.tls.ops.get().map_or(Io::Failed(0), |ops| (ops.send_file)(e, c, rec, file, at, len))
}

/// Sends close_notify. True once it was sent, or cannot be.
pub(crate) fn send_close_notify(e: &Engine, c: ConnRef, rec: &ConnState) -> bool {
    rec.tls.ops.get().is_none_or(|ops| (ops.send_close_notify)(e, c, rec))
}

/// The connection is about to be closed: sends close_notify if all output was sent.
pub(crate) fn close_notify_if_flushed(c: ConnRef, rec: &ConnState) {
    if let Some(ops) = rec.tls.ops.get() {
        (ops.close_notify_if_flushed)(c, rec);
    }
}

/// Drops the TLS state of a connection.
pub(crate) fn drop_state(e: &Engine, c: ConnRef, rec: &ConnState) {
    if let Some(ops) = rec.tls.ops.get() {
        (ops.drop_state)(e, c, rec);
    }
}

/// The peer has ended the TLS session but not the TCP stream, so more data may come.
pub(crate) fn may_send_more(rec: &ConnState) -> bool {
    rec.tls.ops.get().is_some_and(|ops| (ops.may_send_more)(rec))
}

/// Prevents close_notify, because not everything was sent.
pub(crate) fn suppress_close_notify(rec: &ConnState) {
    if let Some(ops) = rec.tls.ops.get() {
        (ops.suppress_close_notify)(rec);
    }
}

/// True if ciphertext has arrived that was not delivered: a partial record, or more than there was room for.
pub(crate) fn has_part(c: ConnRef) -> bool {
    let flags = c.flags();
    // SAFETY: the connection's own buffer.
    flags.is_secure() && !flags.is_tls_hs() && unsafe { (*c.rtls()).len > 0 }
}

/// When an unfinished handshake times out.
pub(crate) fn handshake_ends(e: &Engine, rec: &ConnState) -> Option<u64> {
    rec.tls.ops.get().and_then(|ops| (ops.handshake_ends)(e, rec))
}

/// Number of ciphertext bytes not yet taken by the socket.
pub(crate) fn unsent(rec: &ConnState) -> usize {
    rec.tls.ops.get().map_or(0, |ops| (ops.unsent)(rec))
}

/// True if bytes are waiting to be sent.
pub(crate) fn has_output(c: ConnRef, rec: &ConnState) -> bool {
    c.send_len() > 0 || c.flags().is_secure() && unsent(rec) > 0
}

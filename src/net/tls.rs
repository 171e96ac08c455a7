//! The engine's door to TLS. What is behind it, `net::secure` and rustls, is reached only through a table that `mg_tls_init` brings
//! along: a statically linked program that never calls it contains none of it.

use super::engine::{Engine, Rec};
use super::handle::Conn;
use super::record::record;
use crate::platform::sock::Io;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::ffi::c_int;

/// What the engine asks of the TLS layer of a secure connection.
pub(crate) struct Ops {
    pub(crate) turn: fn(&Engine, Conn, &Rec),
    pub(crate) send_queued: fn(&Engine, Conn, &Rec),
    pub(crate) send_file: fn(&Engine, Conn, &Rec, c_int, u64, usize) -> Io,
    pub(crate) farewell: fn(&Engine, Conn, &Rec) -> bool,
    pub(crate) leave: fn(Conn, &Rec),
    pub(crate) drop_state: fn(&Engine, Conn, &Rec),
    pub(crate) may_send_more: fn(&Rec) -> bool,
    pub(crate) part_silently: fn(&Rec),
    pub(crate) handshake_ends: fn(&Engine, &Rec) -> Option<u64>,
    pub(crate) unsent: fn(&Rec) -> usize,
}

record! {
    /// A connection's TLS state, in its record.
    pub(crate) struct State {
        ops: Cell<Option<&'static Ops>>,
        session: RefCell<Option<Box<dyn Any>>>,
    }
}

/// The reading part of a turn.
pub(crate) fn turn(e: &Engine, c: Conn, rec: &Rec) {
    if let Some(ops) = rec.tls.ops.get() {
        (ops.turn)(e, c, rec);
    }
}

/// Encrypts and sends what is in `c->send`.
pub(crate) fn send_queued(e: &Engine, c: Conn, rec: &Rec) {
    if let Some(ops) = rec.tls.ops.get() {
        (ops.send_queued)(e, c, rec);
    }
}

/// Encrypts and sends up to `len` bytes of a file, from `at`.
pub(crate) fn send_file(e: &Engine, c: Conn, rec: &Rec, file: c_int, at: u64, len: usize) -> Io {
    rec.tls.ops.get().map_or(Io::Failed(0), |ops| (ops.send_file)(e, c, rec, file, at, len))
}

/// Tells the peer that all has been sent. True when that has left, or cannot.
pub(crate) fn farewell(e: &Engine, c: Conn, rec: &Rec) -> bool {
    rec.tls.ops.get().is_none_or(|ops| (ops.farewell)(e, c, rec))
}

/// The connection is about to be closed. When nothing is lost by that, the peer may know.
pub(crate) fn leave(c: Conn, rec: &Rec) {
    if let Some(ops) = rec.tls.ops.get() {
        (ops.leave)(c, rec);
    }
}

/// The end of the TLS state of a connection.
pub(crate) fn drop_state(e: &Engine, c: Conn, rec: &Rec) {
    if let Some(ops) = rec.tls.ops.get() {
        (ops.drop_state)(e, c, rec);
    }
}

/// The peer has ended the session, but not the TCP stream: something may still come.
pub(crate) fn may_send_more(rec: &Rec) -> bool {
    rec.tls.ops.get().is_some_and(|ops| (ops.may_send_more)(rec))
}

/// The peer is not told that all was sent.
pub(crate) fn part_silently(rec: &Rec) {
    if let Some(ops) = rec.tls.ops.get() {
        (ops.part_silently)(rec);
    }
}

/// Whether ciphertext has arrived that was not delivered: a record in part, or more than there was room for.
pub(crate) fn has_part(c: Conn) -> bool {
    let flags = c.flags();
    // SAFETY: the connection's own buffer.
    flags.is_secure() && !flags.is_tls_hs() && unsafe { (*c.rtls()).len > 0 }
}

/// When an unfinished handshake is given up.
pub(crate) fn handshake_ends(e: &Engine, rec: &Rec) -> Option<u64> {
    rec.tls.ops.get().and_then(|ops| (ops.handshake_ends)(e, rec))
}

/// Bytes of ciphertext that the socket has not taken yet.
pub(crate) fn unsent(rec: &Rec) -> usize {
    rec.tls.ops.get().map_or(0, |ops| (ops.unsent)(rec))
}

/// Whether bytes wait to be sent.
pub(crate) fn has_output(c: Conn, rec: &Rec) -> bool {
    c.send_len() > 0 || c.flags().is_secure() && unsent(rec) > 0
}

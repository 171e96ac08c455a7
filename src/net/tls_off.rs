//! A build without TLS: no connection is ever secure, so most of this is never called.

use super::engine::{Engine, Rec};
use super::handle::Conn;
use super::sock::Io;
use core::cell::Cell;

pub(crate) type State = Cell<()>;

pub(crate) fn turn(_: &Engine, _: Conn, _: &Rec) {}
pub(crate) fn send_queued(_: &Engine, _: Conn, _: &Rec) {}
pub(crate) fn send_file(_: &Engine, _: Conn, _: &Rec, _: i32, _: u64, _: usize) -> Io {
    Io::Failed(0)
}
pub(crate) fn farewell(_: &Engine, _: Conn, _: &Rec) -> bool {
    true
}
pub(crate) fn leave(_: Conn, _: &Rec) {}
pub(crate) fn drop_state(_: &Engine, _: Conn, _: &Rec) {}
pub(crate) fn may_send_more(_: &Rec) -> bool {
    false
}
pub(crate) fn handshake_ends(_: &Engine, _: &Rec) -> Option<u64> {
    None
}
pub(crate) fn unsent(_: &Rec) -> usize {
    0
}
pub(crate) fn has_part(_: Conn) -> bool {
    false
}
pub(crate) fn part_silently(_: &Rec) {}

//! Unix sockets, which this platform lacks.

use super::errno;
use core::ffi::c_int;

pub(crate) enum SocketFile {}

pub(crate) fn listen(_path: &[u8], _backlog: c_int) -> Result<(c_int, SocketFile), (&'static str, c_int)> {
    Err(("socket", errno::EAFNOSUPPORT))
}

//! Unix sockets, which the world lacks.

use core::ffi::c_int;

pub(crate) struct SocketFile;

pub(crate) fn listen(_path: &[u8], _backlog: c_int) -> Result<(c_int, SocketFile), (&'static str, c_int)> {
    Err(("socket", libc::EAFNOSUPPORT))
}

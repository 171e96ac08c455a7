//! From the number of a socket to socket2's view of it.

use core::ffi::c_int;
use core::mem::ManuallyDrop;
use socket2::Socket;
use std::os::windows::io::{FromRawSocket, RawSocket};

/// The handle of a socket. No valid one for a negative number.
pub(super) fn raw(fd: c_int) -> RawSocket {
    // All ones has a meaning for std.
    u64::try_from(fd).unwrap_or(!1) as RawSocket
}

pub(super) fn of(fd: c_int) -> ManuallyDrop<Socket> {
    // SAFETY: borrowed for one call; the system refuses numbers that are no sockets.
    ManuallyDrop::new(unsafe { Socket::from_raw_socket(raw(fd)) })
}

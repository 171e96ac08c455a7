//! Converts a socket's number to socket2's type.

use core::ffi::c_int;
use core::mem::ManuallyDrop;
use socket2::Socket;
use std::os::windows::io::{FromRawSocket, RawSocket};

/// The handle of a socket; an invalid one for a negative number.
pub(super) fn raw(fd: c_int) -> RawSocket {
    // std reserves the value with all bits set.
    u64::try_from(fd).unwrap_or(!1) as RawSocket
}

pub(super) fn of(fd: c_int) -> ManuallyDrop<Socket> {
    // SAFETY: borrowed for one call; the system rejects numbers that are not sockets.
    ManuallyDrop::new(unsafe { Socket::from_raw_socket(raw(fd)) })
}

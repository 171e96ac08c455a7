//! The error of the last Winsock call.

use core::ffi::c_int;
use std::io;
pub(crate) use std::io::Error;
use windows_sys::Win32::Networking::WinSock::*;

/// Stores an error where applications look for it: in WSAGetLastError, and in C's `errno`, which has its own numbers.
pub(crate) fn set_errno(n: c_int) {
    unsafe extern "C" {
        fn _errno() -> *mut c_int;
    }
    // SAFETY: both are thread-local.
    unsafe {
        WSASetLastError(n);
        *_errno() = in_c(n);
    }
}

/// The `errno.h` number of a Winsock error.
fn in_c(n: c_int) -> c_int {
    match n {
        WSAEACCES => libc::EACCES,
        WSAEADDRINUSE => libc::EADDRINUSE,
        WSAEADDRNOTAVAIL => libc::EADDRNOTAVAIL,
        WSAEAFNOSUPPORT => libc::EAFNOSUPPORT,
        WSAEBADF => libc::EBADF,
        WSAECONNABORTED => libc::ECONNABORTED,
        WSAECONNREFUSED => libc::ECONNREFUSED,
        WSAECONNRESET => libc::ECONNRESET,
        WSAEHOSTUNREACH => libc::EHOSTUNREACH,
        WSAEINTR => libc::EINTR,
        WSAEINVAL => libc::EINVAL,
        WSAEMFILE => libc::EMFILE,
        WSAEMSGSIZE => libc::EMSGSIZE,
        WSAENAMETOOLONG => libc::ENAMETOOLONG,
        WSAENETDOWN => libc::ENETDOWN,
        WSAENETUNREACH => libc::ENETUNREACH,
        WSAENOBUFS => libc::ENOBUFS,
        WSAENOTCONN => libc::ENOTCONN,
        WSAENOTSOCK => libc::ENOTSOCK,
        WSAETIMEDOUT => libc::ETIMEDOUT,
        WSAEWOULDBLOCK => libc::EAGAIN,
        WSA_NOT_ENOUGH_MEMORY => libc::ENOMEM,
        _ => libc::EIO,
    }
}

/// The number of an error.
pub(super) fn number(e: &io::Error) -> c_int {
    e.raw_os_error().unwrap_or(WSAEINVAL)
}

/// The system's text for an error.
pub(crate) fn words(errno: c_int) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

//! The error of the last system call.

use core::ffi::c_int;
use std::io;
pub(crate) use std::io::Error;

pub(crate) fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

pub(crate) fn set_errno(n: c_int) {
    #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
    use libc::__errno as location;
    #[cfg(any(target_os = "linux", target_os = "dragonfly"))]
    use libc::__errno_location as location;
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    use libc::__error as location;
    // SAFETY: the thread's own.
    unsafe { *location() = n };
}

/// The text of an errno, as from strerror.
pub(crate) fn words(errno: c_int) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

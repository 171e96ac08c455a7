//! Error numbers as applications and the engine know them, and what results of the functions in C mean.

use super::c;
use core::ffi::c_int;

#[cfg(not(target_os = "none"))]
pub(crate) use libc::{
    EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EBADF, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL, EIO, EMFILE,
    EMSGSIZE, ENAMETOOLONG, ENETUNREACH, ENFILE, ENOMEM, ENOSYS, ENOTCONN, EOPNOTSUPP, ETIMEDOUT,
};

#[cfg(target_os = "none")]
pub(crate) use newlib::*;

/// Those of newlib and picolibc, which firmware is built with.
#[cfg(target_os = "none")]
#[rustfmt::skip]
mod newlib {
    use core::ffi::c_int;
    pub(crate) const EIO: c_int = 5;
    pub(crate) const EBADF: c_int = 9;
    pub(crate) const EAGAIN: c_int = 11;
    pub(crate) const ENOMEM: c_int = 12;
    pub(crate) const EACCES: c_int = 13;
    pub(crate) const EINVAL: c_int = 22;
    pub(crate) const ENFILE: c_int = 23;
    pub(crate) const EMFILE: c_int = 24;
    pub(crate) const ENOSYS: c_int = 88;
    pub(crate) const ENAMETOOLONG: c_int = 91;
    pub(crate) const EOPNOTSUPP: c_int = 95;
    pub(crate) const ECONNRESET: c_int = 104;
    pub(crate) const EAFNOSUPPORT: c_int = 106;
    pub(crate) const ECONNREFUSED: c_int = 111;
    pub(crate) const EADDRINUSE: c_int = 112;
    pub(crate) const ENETUNREACH: c_int = 114;
    pub(crate) const ETIMEDOUT: c_int = 116;
    pub(crate) const EHOSTUNREACH: c_int = 118;
    pub(crate) const EMSGSIZE: c_int = 122;
    pub(crate) const EADDRNOTAVAIL: c_int = 125;
    pub(crate) const ENOTCONN: c_int = 128;
}

/// The error number of a negative result.
pub(super) fn of(result: c_int) -> c_int {
    match result {
        c::MGX_PORT_AGAIN => EAGAIN,
        c::MGX_PORT_INVALID => EINVAL,
        c::MGX_PORT_NO_MEMORY => ENOMEM,
        c::MGX_PORT_TOO_MANY => EMFILE,
        c::MGX_PORT_UNSUPPORTED => EOPNOTSUPP,
        c::MGX_PORT_IN_USE => EADDRINUSE,
        c::MGX_PORT_NO_SUCH_ADDRESS => EADDRNOTAVAIL,
        c::MGX_PORT_NO_NETWORK => ENETUNREACH,
        c::MGX_PORT_NO_HOST => EHOSTUNREACH,
        c::MGX_PORT_REFUSED => ECONNREFUSED,
        c::MGX_PORT_RESET => ECONNRESET,
        c::MGX_PORT_TIMEOUT => ETIMEDOUT,
        c::MGX_PORT_NOT_CONNECTED => ENOTCONN,
        c::MGX_PORT_TOO_LONG => EMSGSIZE,
        c::MGX_PORT_DENIED => EACCES,
        _ => EIO,
    }
}

/// A result that is not negative.
pub(super) fn check(result: c_int) -> Result<c_int, c_int> {
    if result >= 0 { Ok(result) } else { Err(of(result)) }
}

/// Why a call of the poller failed.
pub(crate) struct Failure(pub(super) c_int);

impl Failure {
    pub(crate) fn raw_os_error(&self) -> Option<c_int> {
        Some(self.0)
    }
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        super::sock::words(self.0).fmt(f)
    }
}

impl From<Failure> for std::io::Error {
    fn from(failure: Failure) -> std::io::Error {
        std::io::Error::from_raw_os_error(failure.0)
    }
}

//! Error numbers as applications and the engine know them, and what results of the functions in C mean.

use super::c;
use core::ffi::c_int;

#[cfg(not(feature = "std"))]
pub(crate) use crate::platform::bare::errno::*;
#[cfg(feature = "std")]
pub(crate) use libc::{
    EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EBADF, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL, EIO, EMFILE,
    EMSGSIZE, ENAMETOOLONG, ENETUNREACH, ENFILE, ENOMEM, ENOSYS, ENOTCONN, EOPNOTSUPP, ETIMEDOUT,
};

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

//! Errors, in the place of `std::io::Error`.

use core::ffi::c_int;
use core::fmt;

#[derive(Debug)]
pub(crate) struct Error(c_int);

impl Error {
    pub(crate) fn from_raw_os_error(errno: c_int) -> Error {
        Error(errno)
    }

    pub(crate) fn raw_os_error(&self) -> Option<c_int> {
        Some(self.0)
    }

    /// The only thing here that fails without a number: there are no more wakers.
    pub(crate) fn last_os_error() -> Error {
        Error(super::errno::EMFILE)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}", self.0)
    }
}

/// Errors are in the results of calls.
pub(crate) fn set_errno(_n: c_int) {}

/// An error as it is shown: texts would take room.
pub(crate) fn words(errno: c_int) -> Error {
    Error(errno)
}

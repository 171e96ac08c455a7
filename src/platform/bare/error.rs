//! Errors, in place of `std::io::Error`.

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

    /// The only failure without an error number: no more wakers.
    pub(crate) fn last_os_error() -> Error {
        Error(super::errno::EMFILE)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}", self.0)
    }
}

/// Calls return their errors.
pub(crate) fn set_errno(_n: c_int) {}

/// The text of an error: its number, because texts would take space.
pub(crate) fn words(errno: c_int) -> Error {
    Error(errno)
}

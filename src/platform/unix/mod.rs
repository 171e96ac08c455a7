//! POSIX systems: sockets and files through libc, readiness through mio (epoll, kqueue).

pub(crate) mod clock;
pub(crate) mod error;
pub(crate) mod files;
#[cfg(not(feature = "tcpip"))]
pub(crate) mod names;
#[cfg(not(feature = "tcpip"))]
pub(crate) mod poller;
pub(crate) mod signal;
#[cfg(not(feature = "tcpip"))]
pub(crate) mod sock;
#[cfg(not(feature = "tcpip"))]
pub(crate) mod socket_file;
#[cfg(not(feature = "tcpip"))]
mod source;
pub(crate) mod thread;
#[cfg(not(feature = "tcpip"))]
pub(crate) mod waker;

/// The numbers of errors that the engine tells apart or reports.
#[cfg(not(feature = "tcpip"))]
pub(crate) mod errno {
    pub(crate) use libc::{
        EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EHOSTUNREACH, EINVAL, EMFILE, ENAMETOOLONG, ENETUNREACH, ENFILE, ENOMEM, ETIMEDOUT,
    };
}

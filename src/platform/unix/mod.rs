//! POSIX systems: sockets and files through libc, readiness through mio (epoll, kqueue).

pub(crate) mod clock;
pub(crate) mod files;
pub(crate) mod names;
pub(crate) mod poller;
pub(crate) mod signal;
pub(crate) mod sock;
pub(crate) mod socket_file;
pub(crate) mod thread;
pub(crate) mod waker;

/// The numbers of errors that the engine tells apart or reports.
pub(crate) mod errno {
    pub(crate) use libc::{
        EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EHOSTUNREACH, EINVAL, EMFILE, ENAMETOOLONG, ENETUNREACH, ENFILE, ENOMEM, ETIMEDOUT,
    };
}

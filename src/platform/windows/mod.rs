//! Windows: sockets through socket2, files through std, readiness through mio (AFD and a completion port).
//!
//! A socket is identified by its handle, which fits into an `int`: handles have 32 significant bits. Error numbers are Winsock's; C's
//! `errno` gets the C runtime's equivalents.

#[cfg(any(feature = "sim", feature = "tcpip"))]
compile_error!("the features `sim` and `tcpip` are for Unix");

// mio and std hide the differences in these.
#[path = "../unix/clock.rs"]
pub(crate) mod clock;
#[path = "../unix/poller.rs"]
pub(crate) mod poller;
// Guarded data and messages are those of the TCP/IP stack over an operating system.
#[path = "../tcpip/shared.rs"]
mod shared;
#[path = "../unix/thread.rs"]
pub(crate) mod thread;

pub(crate) mod error;
mod file_names;
pub(crate) mod files;
mod handle;
pub(crate) mod names;
pub(crate) mod signal;
pub(crate) mod sock;
pub(crate) mod socket_file;
mod source;
pub(crate) mod waker;

/// Error numbers that the engine distinguishes or reports.
pub(crate) mod errno {
    pub(crate) use windows_sys::Win32::Networking::WinSock::{
        WSA_NOT_ENOUGH_MEMORY as ENOMEM, WSAEADDRNOTAVAIL as EADDRNOTAVAIL, WSAEAFNOSUPPORT as EAFNOSUPPORT,
        WSAEHOSTUNREACH as EHOSTUNREACH, WSAEINVAL as EINVAL, WSAEMFILE as EMFILE, WSAENAMETOOLONG as ENAMETOOLONG,
        WSAENETUNREACH as ENETUNREACH, WSAENOBUFS as ENFILE, WSAETIMEDOUT as ETIMEDOUT, WSAEWOULDBLOCK as EAGAIN,
    };
}

//! The ground that the engine stands on: descriptors, readiness, clocks, threads, files. The engine knows bytes, connections and
//! time; what is the operating system's is here, in one folder for each system, chosen when the library is compiled. Every folder
//! has the same modules with the same functions:
//!
//! | module | what |
//! |---|---|
//! | `sock` | sockets: open, listen, accept, connect, read, write, end. All non-blocking; results are `Io::{Done, Wait, Failed}` |
//! | `errno` | the numbers of errors that the engine tells apart |
//! | `socket_file` | listeners that have a place in the file system |
//! | `poller` | readiness, edge triggered: noted once, and cleared only by `Io::Wait` |
//! | `waker` | ends the poller's wait, and carries messages, from other threads and signal handlers |
//! | `signal` | signals that start a drain |
//! | `clock` | milliseconds since the start, wall clock |
//! | `thread` | who is calling, and from which process |
//! | `files` | the functions of `mg_fs_posix`, and opening files without leaving a directory |
//! | `names` | the texts about host names that the system keeps |
//!
//! `tcpip` is the platform without an operating system underneath: a TCP/IP stack over a driver of the application's own.
//!
//! Nothing in here calls back into the engine. A read or a write may do less than asked at any time, for any reason.

mod common;

#[cfg(unix)]
#[cfg_attr(feature = "sim", allow(dead_code, unused_imports))]
mod unix;

#[cfg(all(unix, not(any(feature = "sim", feature = "tcpip"))))]
pub(crate) use unix::*;

// A TCP/IP stack over a driver of the application's own.
#[cfg(feature = "tcpip")]
pub(crate) mod tcpip;

#[cfg(feature = "tcpip")]
pub(crate) use tcpip::*;

// A network in memory instead of the system's, for tests.
#[cfg(all(unix, feature = "sim"))]
mod sim;

#[cfg(all(unix, feature = "sim"))]
pub(crate) use sim::*;

#[cfg(all(unix, feature = "sim"))]
pub use sim::peer;

//! The operating system layer: descriptors, readiness, clocks, threads, files. The engine handles bytes, connections and time;
//! everything specific to an operating system is here, in one folder per system, selected at compile time. Every folder has the
//! same modules with the same functions:
//!
//! | module | what |
//! |---|---|
//! | `sock` | sockets: open, listen, accept, connect, read, write, close. All non-blocking; results are `Io::{Done, Wait, Failed}` |
//! | `errno` | error numbers that the engine distinguishes |
//! | `socket_file` | listeners with a socket file |
//! | `poller` | readiness, edge-triggered: reported once, cleared only by `Io::Wait` |
//! | `waker` | ends the poller's wait and carries messages, from other threads and signal handlers |
//! | `signal` | signals that start a drain |
//! | `clock` | milliseconds since boot, wall clock |
//! | `thread` | identifies the calling thread and process |
//! | `files` | the functions of `mg_fs_posix`, and opening files without leaving a directory |
//! | `names` | the system's host name files |
//! | `error` | errors of the system, and their texts |
//!
//! `tcpip` is the platform without an operating system underneath: a TCP/IP stack over a driver of the application's own. `port` has
//! sockets and threads from functions in C that the application brings. What else these need is `unix`'s where there is such a
//! system, else `bare`'s: with the feature `std`, and without.
//!
//! Nothing in here calls back into the engine. A read or a write may do less than asked at any time, for any reason.

mod common;

// No operating system.
#[cfg(not(feature = "std"))]
#[cfg_attr(feature = "port", allow(dead_code, unused_imports))]
mod bare;

#[cfg(all(unix, feature = "std"))]
#[cfg_attr(any(feature = "sim", feature = "port"), allow(dead_code, unused_imports))]
mod unix;

#[cfg(all(unix, not(any(feature = "sim", feature = "tcpip", feature = "port"))))]
pub(crate) use unix::*;

#[cfg(all(windows, feature = "std"))]
mod windows;

#[cfg(all(windows, feature = "std"))]
pub(crate) use windows::*;

// Pure, so tested on every platform.
#[cfg(all(test, unix, feature = "std"))]
#[path = "windows/file_names.rs"]
mod windows_file_names;

// A TCP/IP stack over a driver of the application's own.
#[cfg(feature = "tcpip")]
pub(crate) mod tcpip;

#[cfg(feature = "tcpip")]
pub(crate) use tcpip::*;

// Sockets that the program brings.
#[cfg(feature = "port")]
mod port;

#[cfg(feature = "port")]
pub(crate) use port::*;

// A network in memory instead of the system's, for tests.
#[cfg(all(unix, feature = "sim"))]
mod sim;

#[cfg(all(unix, feature = "sim"))]
pub(crate) use sim::*;

#[cfg(all(unix, feature = "sim"))]
pub use sim::peer;

//! Any socket layer: sockets, waiting and threads come from the functions of `include/mongoose_port.h`, which the SDK of the firmware
//! compiles. Readiness is level-triggered there and edge-triggered here: the poller asks for nothing that the engine knows already.
//!
//! | file | its one job |
//! |---|---|
//! | `c.rs` | `mongoose_port.h` in Rust |
//! | `errno.rs` | error numbers, and what results of C functions mean |
//! | `poller.rs` | what is asked of which socket, and what is told |
//! | `sock.rs` | the calls on sockets |
//! | `thread.rs` | threads |
//! | `waker.rs` | the doorbell of a manager |

mod c;
pub(crate) mod errno;
// As without an operating system: no names, and no Unix sockets.
#[path = "../tcpip/names.rs"]
pub(crate) mod names;
pub(crate) mod poller;
// The memory of messages: no interrupt handler sends any.
#[path = "../tcpip/shared.rs"]
mod shared;
pub(crate) mod sock;
#[path = "../tcpip/socket_file.rs"]
pub(crate) mod socket_file;
pub(crate) mod thread;
pub(crate) mod waker;

#[cfg(not(feature = "std"))]
pub(crate) use super::bare::{clock, error, files, signal};
#[cfg(feature = "std")]
pub(crate) use super::unix::{clock, error, files, signal};

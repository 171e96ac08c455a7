//! TCP, UDP and IP over a network driver that the application provides (`struct mg_tcpip_driver`). smoltcp implements TCP; frames,
//! neighbours, UDP, DHCP and the states of the interface are implemented here. Nothing here sleeps. Each manager has one interface,
//! encoded in its sockets' numbers.
//!
//! Everything runs in the context that polls, except `mg_tcpip_qwrite`, which only writes to the queue of received frames.
//!
//! | file | its one job |
//! |---|---|
//! | `dhcp.rs` | DHCP messages and the state of a client: pure |
//! | `frames.rs` | input: checks and dispatches frames |
//! | `interface.rs` | the states of the interface and their events |
//! | `ip6.rs` | neighbour discovery, and addresses from routers |
//! | `link.rs` | output: layer 2, the driver, neighbours |
//! | `netif.rs` | access to `struct mg_tcpip_if` |
//! | `phy.rs` | the registers of Ethernet PHYs |
//! | `poller.rs` | readiness of sockets, and the stack's part of a poll |
//! | `shared.rs` | data shared between threads |
//! | `sock.rs` | socket calls |
//! | `stack.rs` | the state of one interface, its sockets, and the table of all stacks |
//! | `tcp.rs` | TCP sockets and listeners over smoltcp |
//! | `udp.rs` | UDP sockets |
//! | `waker.rs` | flags that other threads set |
//! | `wire.rs` | checksums and headers: pure |

mod dhcp;
mod frames;
mod interface;
#[cfg(feature = "tcpip-ipv6")]
mod ip6;
mod link;
pub(crate) mod names;
mod netif;
pub(crate) mod phy;
pub(crate) mod poller;
#[cfg(feature = "std")]
mod shared;
pub(crate) mod sock;
pub(crate) mod socket_file;
mod stack;
mod tcp;
mod udp;
pub(crate) mod waker;
mod wire;

#[cfg(not(feature = "std"))]
pub(crate) use super::bare::{clock, errno, error, files, shared, signal, thread};
#[cfg(feature = "std")]
pub(crate) use super::unix::{clock, error, files, signal, thread};

/// Error numbers that the engine distinguishes or reports.
#[cfg(feature = "std")]
pub(crate) mod errno {
    pub(crate) use libc::{
        EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EBADF, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EINVAL, EIO, EMFILE,
        EMSGSIZE, ENAMETOOLONG, ENETDOWN, ENETUNREACH, ENFILE, ENOBUFS, ENOMEM, ENOSYS, ENOTCONN, EPIPE, ETIMEDOUT,
    };
}

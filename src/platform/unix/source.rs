//! Registers descriptors with mio's poller.

use crate::platform::common::Rest;
use core::ffi::c_int;
use mio::{Interest, Registry, Token, event::Event, unix::SourceFd};
use std::io;
use std::os::fd::AsRawFd;

pub(super) fn add(registry: &Registry, fd: c_int, token: Token, interest: Interest) -> io::Result<()> {
    registry.register(&mut SourceFd(&fd), token, interest)
}

/// Level-triggered, which mio does not offer: then a read that did not fill its buffer needs neither a second one nor the kernel's report of
/// what is left. An event costs epoll a second look at the socket in the next wait, a fifth of the price of either.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn add_stream(registry: &Registry, fd: c_int, token: Token) -> io::Result<Rest> {
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLRDHUP) as u32, u64: token.0 as u64 };
    // SAFETY: the event is a local variable.
    match unsafe { libc::epoll_ctl(registry.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) } {
        0 => Ok(Rest::Polled),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn add_stream(registry: &Registry, fd: c_int, token: Token) -> io::Result<Rest> {
    add(registry, fd, token, Interest::READABLE).map(|()| Rest::Unknown)
}

pub(super) fn change(registry: &Registry, fd: c_int, token: Token, interest: Interest) -> io::Result<()> {
    registry.reregister(&mut SourceFd(&fd), token, interest)
}

pub(super) fn remove(registry: &Registry, fd: c_int) {
    let _ = registry.deregister(&mut SourceFd(&fd));
}

pub(super) fn is_error(e: &Event) -> bool {
    e.is_error()
}

pub(super) fn descriptor(registry: &Registry) -> c_int {
    registry.as_raw_fd()
}

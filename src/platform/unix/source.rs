//! Registers descriptors with mio's poller.

use core::ffi::c_int;
use mio::{Interest, Registry, Token, event::Event, unix::SourceFd};
use std::io;
use std::os::fd::AsRawFd;

pub(super) fn add(registry: &Registry, fd: c_int, token: Token, interest: Interest) -> io::Result<()> {
    registry.register(&mut SourceFd(&fd), token, interest)
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

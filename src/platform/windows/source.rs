//! Registers sockets with mio's poller. On Unix the system notices by itself when a call would have blocked. Here mio reports readiness
//! once, and again only when asked to, so the socket calls ask.

use super::handle;
use crate::platform::common::Rest;
use core::ffi::c_int;
use core::mem::ManuallyDrop;
use mio::{Interest, Registry, Token, event::Event, net::UdpSocket};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::windows::io::{FromRawSocket, IntoRawSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A socket that a poller watches, in any thread.
struct Source {
    /// mio's wrapper of the socket, whatever its kind. It does not close the socket.
    socket: ManuallyDrop<UdpSocket>,
    registry: Registry,
    token: Token,
    /// Writability matters.
    writing: bool,
}

impl Source {
    fn new(registry: &Registry, fd: c_int, token: Token) -> io::Result<Source> {
        // SAFETY: a number, which mio's wrapper only passes to the system.
        let socket = UdpSocket::from_std(unsafe { std::net::UdpSocket::from_raw_socket(handle::raw(fd)) });
        Ok(Source { socket: ManuallyDrop::new(socket), registry: registry.try_clone()?, token, writing: false })
    }

    /// Requests a report of current and future readiness.
    fn arm(&mut self) -> io::Result<()> {
        let interest = if self.writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.registry.reregister(&mut *self.socket, self.token, interest)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: taken only once. The poller forgets the socket, which stays open.
        let _ = unsafe { ManuallyDrop::take(&mut self.socket) }.into_raw_socket();
    }
}

static SOURCES: Mutex<BTreeMap<c_int, Source>> = Mutex::new(BTreeMap::new());

fn sources() -> MutexGuard<'static, BTreeMap<c_int, Source>> {
    SOURCES.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn add(registry: &Registry, fd: c_int, token: Token, interest: Interest) -> io::Result<()> {
    // The application's sockets may be blocking, and single calls have no flag against that.
    let _ = handle::of(fd).set_nonblocking(true);
    let mut source = Source::new(registry, fd, token)?;
    source.writing = interest.is_writable();
    registry.register(&mut *source.socket, token, interest)?;
    // Replaces one of the same number, which the application has closed itself.
    sources().insert(fd, source);
    Ok(())
}

pub(super) fn add_stream(registry: &Registry, fd: c_int, token: Token) -> io::Result<Rest> {
    add(registry, fd, token, Interest::READABLE).map(|()| Rest::Unknown)
}

pub(super) fn change(_registry: &Registry, fd: c_int, token: Token, interest: Interest) -> io::Result<()> {
    let mut sources = sources();
    let source = sources.get_mut(&fd).ok_or(ErrorKind::NotFound)?;
    (source.token, source.writing) = (token, interest.is_writable());
    source.arm()
}

pub(super) fn remove(_registry: &Registry, fd: c_int) {
    closing(fd);
}

/// Must be called before a socket is closed, because its number may be reused.
pub(super) fn closing(fd: c_int) {
    sources().remove(&fd);
}

/// A call found nothing to read.
pub(super) fn read_blocked(fd: c_int) {
    if let Some(source) = sources().get_mut(&fd) {
        let _ = source.arm();
    }
}

/// A call wrote, or found the send buffer full.
pub(super) fn wrote(fd: c_int, blocked: bool) {
    if let Some(source) = sources().get_mut(&fd).filter(|source| blocked || source.writing) {
        source.writing = blocked;
        if blocked {
            let _ = source.arm();
        }
    }
}

/// Also true if the peer has reset the connection, which mio reports as another event.
pub(super) fn is_error(e: &Event) -> bool {
    e.is_error() || e.is_write_closed()
}

/// The poller has no descriptor.
pub(super) fn descriptor(_registry: &Registry) -> c_int {
    -1
}

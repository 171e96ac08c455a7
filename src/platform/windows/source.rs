//! Sockets at mio's poller. mio reports readiness once, and again after it was asked to. On Unix the system knows itself when a call
//! has blocked; here the calls on sockets say so.

use super::handle;
use core::ffi::c_int;
use core::mem::ManuallyDrop;
use mio::{Interest, Registry, Token, event::Event, net::UdpSocket};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::windows::io::{FromRawSocket, IntoRawSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a poller watches, in any thread.
struct Source {
    /// mio's wrapper of the socket, whatever its kind. It closes nothing.
    socket: ManuallyDrop<UdpSocket>,
    registry: Registry,
    token: Token,
    /// It matters when one can write again.
    writing: bool,
}

impl Source {
    fn new(registry: &Registry, fd: c_int, token: Token) -> io::Result<Source> {
        // SAFETY: a number, of which mio's wrapper makes use in calls to the system only.
        let socket = UdpSocket::from_std(unsafe { std::net::UdpSocket::from_raw_socket(handle::raw(fd)) });
        Ok(Source { socket: ManuallyDrop::new(socket), registry: registry.try_clone()?, token, writing: false })
    }

    /// What is ready now, or will be, is to be reported.
    fn arm(&mut self) -> io::Result<()> {
        let interest = if self.writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.registry.reregister(&mut *self.socket, self.token, interest)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: taken this once. What the poller knows of the socket goes, and the socket stays open.
        let _ = unsafe { ManuallyDrop::take(&mut self.socket) }.into_raw_socket();
    }
}

static SOURCES: Mutex<BTreeMap<c_int, Source>> = Mutex::new(BTreeMap::new());

fn sources() -> MutexGuard<'static, BTreeMap<c_int, Source>> {
    SOURCES.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn add(registry: &Registry, fd: c_int, token: Token, interest: Interest) -> io::Result<()> {
    // Sockets of the application may block, and there is no flag against it in single calls.
    let _ = handle::of(fd).set_nonblocking(true);
    let mut source = Source::new(registry, fd, token)?;
    source.writing = interest.is_writable();
    registry.register(&mut *source.socket, token, interest)?;
    // One of the same number that the application has closed itself goes.
    sources().insert(fd, source);
    Ok(())
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

/// To be called before a socket is closed, because its number may be another's then.
pub(super) fn closing(fd: c_int) {
    sources().remove(&fd);
}

/// A call has found nothing to read.
pub(super) fn read_blocked(fd: c_int) {
    if let Some(source) = sources().get_mut(&fd) {
        let _ = source.arm();
    }
}

/// A call has written, or found no room to write.
pub(super) fn wrote(fd: c_int, blocked: bool) {
    if let Some(source) = sources().get_mut(&fd).filter(|source| blocked || source.writing) {
        source.writing = blocked;
        if blocked {
            let _ = source.arm();
        }
    }
}

/// Also when the peer has reset the connection, which mio calls something else.
pub(super) fn is_error(e: &Event) -> bool {
    e.is_error() || e.is_write_closed()
}

/// There is no descriptor that stands for a poller.
pub(super) fn descriptor(_registry: &Registry) -> c_int {
    -1
}

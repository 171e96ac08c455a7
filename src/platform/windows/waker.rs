//! For other threads: a UDP socket connected to itself on the loopback address, and memory that can grow.

pub(crate) use super::shared::{Guarded, LIMIT, Pages};
use super::{handle, sock};
use crate::platform::common::Io;
use core::ffi::c_int;
use core::mem::MaybeUninit;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

/// Nothing to block: signal handlers run in a separate thread.
pub(crate) fn undisturbed<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Yields to the holder of a spin lock.
pub(crate) fn pause() {
    std::thread::yield_now();
}

/// Ends the wait of the poller that watches its socket.
pub(crate) struct Waker(c_int);

fn open() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.connect(&socket.local_addr()?)?;
    Ok(socket)
}

impl Waker {
    pub(crate) fn new() -> Option<Waker> {
        sock::number_of(open().ok()?).ok().map(Waker)
    }

    pub(crate) fn fd(&self) -> c_int {
        self.0
    }

    /// No child process shares it.
    pub(crate) fn renew(&self) -> bool {
        true
    }

    /// Any thread may call it. False if the socket is broken.
    pub(crate) fn wake(&self) -> bool {
        // A full buffer wakes the poller just as well. Only the reader asks for readiness.
        handle::of(self.0).send(&[1]).map_or_else(|e| e.kind() == ErrorKind::WouldBlock, |_| true)
    }

    /// Clears the wakeup, so the next one ends a wait again.
    pub(crate) fn reset(&self) {
        let mut byte = [MaybeUninit::<u8>::uninit(); 8];
        // SAFETY: the buffer has the length given.
        while let Io::Done(_) = unsafe { sock::recv(self.0, byte.as_mut_ptr().cast(), byte.len()) } {}
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        sock::close(self.0);
    }
}

//! Raw socket I/O behind TLS.

use crate::abi::*;
use crate::guard::{bytes, iobuf};
use crate::net::handle::Conn;
use crate::net::sock::{self, Io};
use core::ffi::{c_long, c_void};

/// Sends bytes on the socket itself, past `c->send`; on UDP one datagram to `c->rem`. Returns how many were taken, MG_IO_WAIT
/// when the socket takes none now, or MG_IO_ERR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_io_send(c: *mut mg_connection, buf: *const c_void, len: usize) -> c_long {
    // SAFETY: a connection and len bytes, as the caller promises.
    let sent = unsafe {
        let c = Conn::new(c);
        if c.is_closed() {
            return MG_IO_ERR.into();
        }
        if c.flags().is_udp() {
            sock::send_to(c.fd(), buf.cast(), len, &c.rem())
        } else {
            sock::send(c.fd(), buf.cast(), len, false)
        }
    };
    match sent {
        Io::Done(n @ 1..) => n as c_long,
        Io::Wait => MG_IO_WAIT.into(),
        _ => MG_IO_ERR.into(),
    }
}

/// Takes up to `len` received bytes that no TLS layer has seen yet from `c->rtls`. Returns how many, or MG_IO_WAIT when there
/// are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_io_recv(c: *mut mg_connection, buf: *mut c_void, len: usize) -> c_long {
    // SAFETY: a connection and room for len bytes, as the caller promises.
    unsafe {
        let io = &raw mut (*c).rtls;
        let n = (*io).len.min(len);
        if n == 0 {
            return MG_IO_WAIT.into();
        }
        bytes::slice_mut(buf.cast(), n).copy_from_slice(&(*io).data()[..n]);
        iobuf::del(io, 0, n) as c_long
    }
}

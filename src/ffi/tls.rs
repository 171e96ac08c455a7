//! TLS, and raw socket I/O.

use crate::abi::*;
use crate::ffi_util::{bytes, iobuf};
#[cfg(feature = "tls")]
use crate::handler::http;
use crate::net::handle::ConnRef;
#[cfg(feature = "tls")]
use crate::net::tls::driver;
use crate::platform::sock::{self, Io};
use core::ffi::{c_long, c_void};

/// Starts TLS on a connection, as a client if `c->is_client`, otherwise as a server. The options may be freed after the call.
/// Call it in MG_EV_ACCEPT and MG_EV_CONNECT, or for a client at any time after mg_connect. Later it upgrades a connection in
/// use (STARTTLS): output already in `c->send` is sent in clear text first, and clear-text input never counts as protected. The
/// handshake runs automatically; `c->is_tls_hs` is 1 until MG_EV_TLS_HS. On a listener it only checks the options: each accepted
/// connection needs its own call. Raises MG_EV_ERROR for invalid options and failures, with the text `OOM` if memory is short or
/// above `max_memory` of struct mgx_limits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tls_init(c: *mut mg_connection, opts: *const mg_tls_opts) {
    enter!(@raw c);
    if c.is_null() || opts.is_null() {
        return;
    }
    // SAFETY: a connection and its options, as the caller promises.
    unsafe {
        let c = ConnRef::new(c);
        #[cfg(feature = "tls")]
        driver::init(
            c,
            &crate::tls::config::Options {
                ca: (*opts).ca.bytes(),
                cert: (*opts).cert.bytes(),
                key: (*opts).key.bytes(),
                name: (*opts).name.bytes(),
                skip_verification: (*opts).skip_verification,
                http: http::is_http(c),
            },
        );
        #[cfg(not(feature = "tls"))]
        crate::net::event::error(c, format_args!("TLS is not enabled"));
    }
}

/// Frees the TLS state of a connection and sets `c->tls` to NULL. No effect without TLS. A connection that has started TLS does
/// not return to clear text: it is closed unless mg_tls_init follows. mg_mgr_poll frees the state of connections it closes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tls_free(c: *mut mg_connection) {
    #[cfg(feature = "tls")]
    if !c.is_null() {
        // SAFETY: a connection, as the caller promises.
        driver::free(unsafe { ConnRef::new(c) });
    }
    #[cfg(not(feature = "tls"))]
    let _ = c;
}

/// A byte count, or the reason why there is none.
#[cfg(feature = "tls")]
fn result(io: Io) -> c_long {
    match io {
        Io::Done(n) => n as c_long,
        Io::Wait => MG_IO_WAIT.into(),
        Io::Failed(_) => MG_IO_ERR.into(),
    }
}

/// Encrypts and sends data, bypassing `c->send`. Returns the number of bytes accepted, at most 64 KiB per call; MG_IO_WAIT before
/// the end of the handshake or if the socket is blocked; MG_IO_ERR on failure. The library sends accepted data that the socket
/// does not take at once. mg_mgr_poll calls it for `c->send`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tls_send(c: *mut mg_connection, buf: *const c_void, len: usize) -> c_long {
    if c.is_null() || buf.is_null() || len == 0 {
        return 0;
    }
    enter!(@raw c, MG_IO_ERR.into());
    // SAFETY: a connection and len bytes, as the caller promises.
    #[cfg(feature = "tls")]
    return unsafe { result(driver::send(ConnRef::new(c), bytes::slice(buf.cast(), len))) };
    #[cfg(not(feature = "tls"))]
    MG_IO_ERR.into()
}

/// Decrypts up to `len` bytes from `c->rtls` to `buf`. Returns the number of bytes, MG_IO_WAIT if more ciphertext is needed, or
/// MG_IO_ERR after a failure or when the peer has ended the session. mg_mgr_poll calls it for `c->recv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tls_recv(c: *mut mg_connection, buf: *mut c_void, len: usize) -> c_long {
    if c.is_null() || buf.is_null() || len == 0 {
        return 0;
    }
    enter!(@raw c, MG_IO_ERR.into());
    // SAFETY: a connection and room for len bytes, as the caller promises.
    #[cfg(feature = "tls")]
    return unsafe { result(driver::recv(ConnRef::new(c), bytes::slice_mut(buf.cast(), len))) };
    #[cfg(not(feature = "tls"))]
    MG_IO_ERR.into()
}

/// Returns the number of decrypted bytes not yet delivered because `c->recv` has no room. 0 without TLS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tls_pending(c: *mut mg_connection) -> usize {
    if c.is_null() {
        return 0;
    }
    enter!(@raw c, 0);
    // SAFETY: a connection, as the caller promises.
    #[cfg(feature = "tls")]
    return unsafe { ConnRef::new(c) }.rec().map_or(0, driver::pending);
    #[cfg(not(feature = "tls"))]
    0
}

/// Sends ciphertext that the socket did not accept at once. mg_mgr_poll calls it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tls_flush(c: *mut mg_connection) {
    enter!(@maybe c);
    #[cfg(feature = "tls")]
    if !c.is_null() {
        // SAFETY: a connection, as the caller promises.
        driver::flush(unsafe { ConnRef::new(c) });
    }
    #[cfg(not(feature = "tls"))]
    let _ = c;
}

/// Sends pending handshake data. mg_mgr_poll runs the handshake, so there is no need to call this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tls_handshake(c: *mut mg_connection) {
    // SAFETY: guaranteed by the caller.
    unsafe { mg_tls_flush(c) }
}

/// Does nothing: mg_mgr_init initialises TLS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tls_ctx_init(mgr: *mut mg_mgr) {
    let _ = mgr;
}

/// Does nothing: mg_mgr_free frees the TLS state.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tls_ctx_free(mgr: *mut mg_mgr) {
    let _ = mgr;
}

/// Sends data on the socket, bypassing `c->send` and TLS; on UDP, one datagram to `c->rem`. Returns the number of bytes sent,
/// MG_IO_WAIT if the socket is blocked, or MG_IO_ERR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_io_send(c: *mut mg_connection, buf: *const c_void, len: usize) -> c_long {
    enter!(@raw c, MG_IO_ERR.into());
    // SAFETY: a connection and len bytes, as the caller promises.
    let sent = unsafe {
        let c = ConnRef::new(c);
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

/// Moves up to `len` received bytes that TLS has not processed from `c->rtls` to `buf`. Returns the number of bytes, or
/// MG_IO_WAIT if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_io_recv(c: *mut mg_connection, buf: *mut c_void, len: usize) -> c_long {
    enter!(@raw c, MG_IO_ERR.into());
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

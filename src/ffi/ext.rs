//! The extension API.

use crate::abi::*;
use crate::net::engine::{Engine, Options};
use core::ffi::{c_char, c_int};
use core::sync::atomic::Ordering;

/// Settings that are compile-time switches in the mg_* API. Zero-initialise: 0 in a member means the library's default.
#[repr(C)]
pub struct mgx_options {
    /// MG_MAX_RECV_SIZE: most bytes of a receive buffer.
    pub max_recv_size: usize,
    /// MG_IO_SIZE: growth step of buffers; values below the default are ignored.
    pub io_size: usize,
    /// MG_SOCK_LISTEN_BACKLOG_SIZE.
    pub listen_backlog: c_int,
    /// MG_IPV6_V6ONLY.
    pub v6only: bool,
    /// MG_ENABLE_DIRLIST 0: directories without an index page are not listed.
    pub no_dirlist: bool,
    /// MG_TLS_SSLKEYLOGFILE: write TLS secrets to the file that the environment variable SSLKEYLOGFILE names.
    pub tls_keylog: bool,
    /// MG_HTTP_INDEX: the name of index pages. Copied.
    pub http_index: *const c_char,
}

/// Sets what is otherwise decided when the library is built. Call it after mg_mgr_init; it holds for what is opened or read from
/// then on. NULL pointers have no effect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_options(mgr: *mut mg_mgr, opts: *const mgx_options) {
    // SAFETY: a manager and options or NULL, as the caller promises.
    let (Some(e), Some(o)) = (unsafe { (Engine::of(mgr), opts.as_ref()) }) else { return };
    let or = |n: usize, default| if n == 0 { default } else { n };
    let defaults = Options::default();
    e.io_size.store(o.io_size.max(MG_IO_SIZE), Ordering::Relaxed);
    *e.options.borrow_mut() = Options {
        max_recv_size: or(o.max_recv_size, defaults.max_recv_size),
        listen_backlog: if o.listen_backlog > 0 { o.listen_backlog } else { defaults.listen_backlog },
        v6only: o.v6only,
        ws_strict: e.options.borrow().ws_strict,
    };
}

/// Makes WebSocket servers and clients of this manager follow RFC 6455 to the letter, from now on: clients must mask their
/// frames, lengths must be in their shortest form, text must be UTF-8, both sides of the handshake are checked in full, and the
/// Host header names the port. Off at the start, because programs written for the mg_* API live with peers that are not so exact.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_mgr_ws_strict(mgr: *mut mg_mgr, on: bool) {
    // SAFETY: a manager or NULL, as the caller promises.
    if let Some(e) = unsafe { Engine::of(mgr) } {
        e.options.borrow_mut().ws_strict = on;
    }
}

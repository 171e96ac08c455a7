//! The extension API.

use crate::abi::*;
use crate::guard::bytes::cstr;
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
        no_dirlist: o.no_dirlist,
        // SAFETY: a C string or NULL, as the caller promises.
        http_index: match unsafe { cstr(o.http_index) } {
            [] => defaults.http_index,
            name => name.to_vec(),
        },
    };
}

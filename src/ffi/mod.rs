//! Functions called from C. One file per area of the API; every export checks its arguments, converts them, calls an inner
//! module, and converts the result back.
//!
//! # Safety, for all exports A pointer is valid for what its C type says, or NULL where the documentation allows NULL. A pointer
//! with a length covers that many bytes. A `const char *` without a length is NUL-terminated. Functions that take a manager or a
//! connection are called from the thread that polls the manager, unless the documentation says otherwise. Those that reach into
//! the engine take its lock anyway (`net/entry.rs`), because applications call them from other threads.

// Exports are public to the linker, not to Rust.
#![allow(unreachable_pub)]

/// Begins a call on a connection, or on a pointer to one: returns when there is none, and when another thread keeps its manager's
/// engine busy.
macro_rules! enter {
    // NULL is allowed.
    (@maybe $c:expr $(, $busy:expr)?) => {
        // SAFETY: NULL or a connection, as the caller of every export promises.
        let Ok(_entry) = (unsafe { $crate::net::entry::enter_conn($c) }) else { return $($busy)? };
    };
    (@raw $c:expr $(, $busy:expr)?) => {
        require!($c $(, $busy)?);
        enter!(@maybe $c $(, $busy)?);
    };
    ($c:expr $(, $busy:expr)?) => {
        require!($c.as_ptr() $(, $busy)?);
        let Ok(_entry) = $c.entry() else { return $($busy)? };
    };
}

/// Returns when the application has passed NULL for what the function works on, such as the result of a function that failed.
macro_rules! require {
    ($p:expr $(, $failed:expr)?) => {
        if $p.is_null() {
            $crate::ffi::log_null();
            return $($failed)?;
        }
    };
}

mod base64;
#[cfg(feature = "dash")]
mod dash;
#[cfg(feature = "dns")]
mod dns;
mod drain;
mod ext;
mod ext_action;
mod ext_const;
mod ext_message;
mod ext_symbols;
mod fs;
#[cfg(feature = "std")]
mod group;
mod hash;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "files")]
mod http_files;
#[cfg(feature = "http")]
mod http_parse;
mod iobuf;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "jwt")]
mod jwt;
mod log;
#[cfg(feature = "modbus")]
mod modbus;
#[cfg(feature = "mqtt")]
mod mqtt;
mod net;
#[cfg(feature = "ota")]
mod ota;
mod printf;
mod queue;
#[cfg(feature = "rpc")]
mod rpc;
#[cfg(feature = "sntp")]
mod sntp;
mod str;
#[cfg(feature = "tcpip")]
mod tcpip;
mod timer;
mod tls;
mod uecc;
mod url;
mod util;
mod variadic;
mod wifi;
#[cfg(feature = "ws")]
mod ws;

#[cold]
fn log_null() {
    crate::sys::log::log_error!("called with NULL instead of a connection, a manager or a message");
}

//! Time from servers.

use crate::abi::*;
use crate::ffi_util::bytes;
use crate::handler::sntp;
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use core::ffi::{c_char, c_void};
use core::ptr;

/// Asks the time server at `url`, such as `udp://pool.ntp.org:123`; NULL asks a public one. The port must be given. Its answer sets
/// `mg_boot_timestamp_ms`, so that mg_now is the time, and `fn` gets MG_EV_SNTP_TIME with a `uint64_t *`, milliseconds since 1970.
/// Then the connection closes, as it does, without MG_EV_ERROR, when the server says that it does not know the time, and 3 seconds
/// after the start when no answer has come. Messages from others, or that do not repeat the random number in our request, are
/// ignored. Returns NULL as mg_connect does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sntp_connect(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    // SAFETY: a manager, and a C string or NULL, as the caller promises.
    unsafe { Engine::enter_mgr(mgr).and_then(|e| sntp::connect(&e, url, r#fn, fn_data)).map_or(ptr::null_mut(), ConnRef::as_ptr) }
}

/// Sends one SNTP request to `c->rem`; mg_sntp_connect does it by itself. Does nothing while the server's address is not known yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sntp_request(c: *mut mg_connection) {
    enter!(@raw c);
    // SAFETY: a connection, as the caller promises.
    sntp::request(unsafe { ConnRef::new(c) });
}

/// Reads a time server's message of `len` bytes. Returns milliseconds since 1970 and sets `mg_boot_timestamp_ms`; -1 when the
/// message is shorter than 48 bytes or no server's, and then sets nothing. Nobody checks here whose message it is and whether it
/// answers a request: mg_sntp_connect does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sntp_parse(buf: *const u8, len: usize) -> i64 {
    // SAFETY: buf covers len bytes.
    sntp::parse(unsafe { bytes::slice(buf, len) }).unwrap_or(-1)
}

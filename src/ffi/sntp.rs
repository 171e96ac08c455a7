//! SNTP client.

use crate::abi::*;
use crate::ffi_util::bytes;
use crate::handler::sntp;
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use core::ffi::{c_char, c_void};
use core::ptr;

/// Requests the time from the SNTP server `url`, such as `udp://pool.ntp.org:123`; the port is required. NULL selects a public
/// server. The response sets `mg_boot_timestamp_ms`, which mg_now uses, and `fn` gets MG_EV_SNTP_TIME with a `uint64_t *`,
/// milliseconds since 1970; then the connection closes. It also closes, without MG_EV_ERROR, if the server reports that it is not
/// synchronised, or after 3 seconds without a response. Ignores messages from other senders and those that do not echo the random
/// number of the request. Returns NULL in the same cases as mg_connect.
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

/// Sends an SNTP request to `c->rem`; mg_sntp_connect calls it. Does nothing until the server's address is resolved.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sntp_request(c: *mut mg_connection) {
    enter!(@raw c);
    // SAFETY: a connection, as the caller promises.
    sntp::request(unsafe { ConnRef::new(c) });
}

/// Parses an SNTP server message of `len` bytes. Sets `mg_boot_timestamp_ms` and returns milliseconds since 1970, or returns -1
/// and sets nothing if the message is shorter than 48 bytes or not from a server. Does not check the sender or match the message
/// to a request; mg_sntp_connect does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_sntp_parse(buf: *const u8, len: usize) -> i64 {
    // SAFETY: buf covers len bytes.
    sntp::parse(unsafe { bytes::slice(buf, len) }).unwrap_or(-1)
}

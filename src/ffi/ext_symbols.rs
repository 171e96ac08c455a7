//! Functions with the names of C macros, for languages that look up symbols by name. Declared in `include/preamble_ext.h`.

use crate::abi::mg_str;
use crate::ffi_util::bytes;
use core::ffi::c_char;

/// Converts a 16-bit integer from host to network byte order.
#[unsafe(no_mangle)]
pub extern "C" fn mg_htons(n: u16) -> u16 {
    n.to_be()
}

/// Converts a 32-bit integer from host to network byte order.
#[unsafe(no_mangle)]
pub extern "C" fn mg_htonl(n: u32) -> u32 {
    n.to_be()
}

/// Converts a 64-bit integer from host to network byte order.
#[unsafe(no_mangle)]
pub extern "C" fn mg_htonll(n: u64) -> u64 {
    n.to_be()
}

/// Returns a view of the NUL-terminated string `s`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_str(s: *const c_char) -> mg_str {
    // SAFETY: a C string or NULL, as the caller promises.
    if s.is_null() { mg_str::NULL } else { mg_str::of(unsafe { bytes::cstr(s) }) }
}

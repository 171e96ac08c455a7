//! Functions of the names that are macros in C, for languages that look symbols up by name. `include/preamble_ext.h` declares them.

use crate::abi::mg_str;
use crate::ffi_util::bytes;
use core::ffi::c_char;

/// Turns a 16-bit number from the machine's byte order into that of the network.
#[unsafe(no_mangle)]
pub extern "C" fn mg_htons(n: u16) -> u16 {
    n.to_be()
}

/// Turns a 32-bit number from the machine's byte order into that of the network.
#[unsafe(no_mangle)]
pub extern "C" fn mg_htonl(n: u32) -> u32 {
    n.to_be()
}

/// Turns a 64-bit number from the machine's byte order into that of the network.
#[unsafe(no_mangle)]
pub extern "C" fn mg_htonll(n: u64) -> u64 {
    n.to_be()
}

/// A view of the NUL-terminated string `s`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_str(s: *const c_char) -> mg_str {
    // SAFETY: a C string or NULL, as the caller promises.
    if s.is_null() { mg_str::NULL } else { mg_str::of(unsafe { bytes::cstr(s) }) }
}

//! Logging. `mg_log` itself and the log level are documented in `variadic.rs`.

use crate::{
    abi::{mg_pfn_t, va_list},
    ffi_util::bytes,
    fmt::{
        VaArgs,
        engine::{Out, format},
    },
    sys::log,
};
use core::ffi::{c_char, c_int, c_void};

/// Redirects log output to `fn(character, param)`, called once per byte. NULL restores output to stdout.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_log_set_fn(r#fn: mg_pfn_t, param: *mut c_void) {
    log::set_function(r#fn, param);
}

/// Logs `len` bytes at `buf` in hex and as text, 16 bytes per line, at any log level.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_hexdump(buf: *const c_void, len: usize) {
    // SAFETY: buf covers len bytes.
    log::hexdump(unsafe { bytes::slice(buf.cast(), len) });
}

/// The library's implementation of mg_log.
#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_log(fmt: *const c_char, ap: *mut va_list) {
    log::output(|out| {
        // SAFETY: the arguments match fmt.
        unsafe { format(out, bytes::cstr(fmt), &mut VaArgs::new(ap)) };
        out.bytes(b"\r\n");
    });
}

/// The library's implementation of mg_log_prefix.
#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_log_prefix(level: c_int, file: *const c_char, line: c_int, function: *const c_char) {
    // SAFETY: C strings of the caller.
    unsafe { log::prefix(level, bytes::cstr(file), line, bytes::cstr(function)) };
}

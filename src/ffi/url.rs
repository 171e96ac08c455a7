//! The parts of a URL. All functions take a NUL-terminated string, which must not be NULL, and never fail; the strings
//! they return are views of it.

use crate::abi::mg_str;
use crate::ffi_util::bytes::cstr;
use crate::proto::url;
use core::ffi::{c_char, c_ushort};

/// The host of a URL, with the brackets of an IPv6 address; a view of `url`. Without a `//` the host is at the start.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_host(url: *const c_char) -> mg_str {
    // SAFETY: url is a C string.
    mg_str::of(url::host(unsafe { cstr(url) }))
}

/// The port of a URL, or the usual one of its scheme (`http`, `https`, `ws`, `wss`, `mqtt`, `mqtts`), or 0. A port that is no
/// number up to 65535 gives 0, too. Blanks and a plus sign before the number are skipped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_port(url: *const c_char) -> c_ushort {
    // SAFETY: url is a C string.
    url::port(unsafe { cstr(url) })
}

/// Whether the scheme of a URL calls for TLS: `https`, `wss`, `mqtts`, `ssl`, `tls` or `tcps`, in any case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_is_ssl(url: *const c_char) -> bool {
    // SAFETY: url is a C string.
    url::is_ssl(unsafe { cstr(url) })
}

/// The user name in a URL such as `http://user:password@host/`; empty when there is none. A view of `url`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_user(url: *const c_char) -> mg_str {
    // SAFETY: url is a C string.
    mg_str::of(url::user(unsafe { cstr(url) }))
}

/// The password in a URL such as `http://user:password@host/`; empty when there is none. A view of `url`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_pass(url: *const c_char) -> mg_str {
    // SAFETY: url is a C string.
    mg_str::of(url::password(unsafe { cstr(url) }))
}

/// The path of a URL with everything behind it: a pointer into `url`, or to the constant "/" when there is no path.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_uri(url: *const c_char) -> *const c_char {
    // SAFETY: url is a C string.
    match url::uri(unsafe { cstr(url) }) {
        Some(uri) => uri.as_ptr().cast(),
        None => c"/".as_ptr(),
    }
}

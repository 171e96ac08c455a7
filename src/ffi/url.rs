//! Parts of a URL. All functions take a NUL-terminated string, which must not be NULL, and never fail. The strings they return
//! are views of it.

use crate::abi::mg_str;
use crate::ffi_util::bytes::cstr;
use crate::proto::url;
use core::ffi::{c_char, c_ushort};

/// Returns the host of a URL, a view of `url`. An IPv6 address keeps its brackets. Without `//` the URL starts with the host.
/// `url` must not be NULL. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_host(url: *const c_char) -> mg_str {
    // SAFETY: url is a C string.
    mg_str::of(url::host(unsafe { cstr(url) }))
}

/// Returns the port of a URL, the default port of its scheme (`http`, `https`, `ws`, `wss`, `mqtt`, `mqtts`), or 0. Also 0 if the
/// port is not a number up to 65535. Skips white space and a plus sign before the number. `url` must not be NULL. May be called
/// from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_port(url: *const c_char) -> c_ushort {
    // SAFETY: url is a C string.
    url::port(unsafe { cstr(url) })
}

/// Returns true if the scheme of a URL requires TLS: `https`, `wss`, `mqtts`, `ssl`, `tls` or `tcps`, ignoring case. `url` must
/// not be NULL. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_is_ssl(url: *const c_char) -> bool {
    // SAFETY: url is a C string.
    url::is_ssl(unsafe { cstr(url) })
}

/// Returns the user name in a URL such as `http://user:password@host/`, a view of `url`; empty if there is none. `url` must not
/// be NULL. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_user(url: *const c_char) -> mg_str {
    // SAFETY: url is a C string.
    mg_str::of(url::user(unsafe { cstr(url) }))
}

/// Returns the password in a URL such as `http://user:password@host/`, a view of `url`; empty if there is none. `url` must not be
/// NULL. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_pass(url: *const c_char) -> mg_str {
    // SAFETY: url is a C string.
    mg_str::of(url::password(unsafe { cstr(url) }))
}

/// Returns the path of a URL and everything after it: a pointer into `url`, or the constant "/" if there is no path. `url` must
/// not be NULL. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_url_uri(url: *const c_char) -> *const c_char {
    // SAFETY: url is a C string.
    match url::uri(unsafe { cstr(url) }) {
        Some(uri) => uri.as_ptr().cast(),
        None => c"/".as_ptr(),
    }
}

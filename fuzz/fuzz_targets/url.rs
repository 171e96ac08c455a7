//! URLs: every part lies inside the text, and the path is its end.

use core::ffi::{c_char, c_int, c_ushort};
use mongoose::abi::mg_str;
use std::ffi::CString;

unsafe extern "C" {
    fn mg_url_port(url: *const c_char) -> c_ushort;
    fn mg_url_is_ssl(url: *const c_char) -> c_int;
    fn mg_url_host(url: *const c_char) -> mg_str;
    fn mg_url_user(url: *const c_char) -> mg_str;
    fn mg_url_pass(url: *const c_char) -> mg_str;
    fn mg_url_uri(url: *const c_char) -> *const c_char;
}

fuzz_target!(|data: &[u8]| {
    let text = CString::new(data.split(|b| *b == 0).next().unwrap_or_default()).unwrap_or_default();
    let (url, len) = (text.as_ptr(), text.as_bytes().len());
    let inside = |s: mg_str| {
        let at = (s.buf as usize).wrapping_sub(url as usize);
        assert!(s.buf.is_null() && s.len == 0 || at <= len && s.len <= len - at);
    };
    // SAFETY: a C string.
    unsafe {
        inside(mg_url_host(url));
        inside(mg_url_user(url));
        inside(mg_url_pass(url));
        mg_url_port(url);
        mg_url_is_ssl(url);
        let uri = core::ffi::CStr::from_ptr(mg_url_uri(url)).to_bytes();
        assert!(uri == b"/" || text.as_bytes().ends_with(uri));
    }
});

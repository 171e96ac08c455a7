//! The description of a firmware, from an untrusted server: the check ends, and reports to the application once.

use crate::peer::{Peer, view};
use core::cell::Cell;
use core::ffi::{CStr, c_char};
use mongoose::abi::*;
use std::ffi::CString;

#[allow(improper_ctypes)]
unsafe extern "C" {
    fn mg_ota_url_check(mgr: *mut mg_mgr, url: *const c_char, f: Option<unsafe extern "C" fn(*const c_char)>);
    fn mg_json_get_str(json: mg_str, path: *const c_char) -> *mut c_char;
    fn mg_free(p: *mut core::ffi::c_void);
}

thread_local! {
    static PEER: Peer = Peer::new();
    static TOLD: Cell<usize> = const { Cell::new(0) };
}

unsafe extern "C" fn done(_: *const c_char) {
    TOLD.set(TOLD.get() + 1);
}

/// Whether the library would look further than this machine.
fn leads_away(body: &[u8]) -> bool {
    // SAFETY: a view of bytes, and a string of the library's or NULL.
    unsafe {
        let url = mg_json_get_str(view(body), c"$.url".as_ptr());
        let away = !url.is_null() && !CStr::from_ptr(url).to_bytes().starts_with(b"unix:");
        if !url.is_null() {
            mg_free(url.cast());
        }
        away
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (how, data) = input;
    PEER.with(|peer| {
        // `URL` is ours, so that an image is asked for, too.
        let url = CStr::to_bytes(unsafe { CStr::from_ptr(peer.url()) });
        let body = String::from_utf8_lossy(data).replace("URL", core::str::from_utf8(url).unwrap()).into_bytes();
        if leads_away(&body) {
            return;
        }
        let head = match how % 4 {
            0 => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()),
            1 => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_string(),
            2 => format!("HTTP/1.1 {how} X\r\n\r\n"),
            _ => "HTTP/1.1 200 OK\r\n\r\n".to_string(),
        };
        let metadata = [head.as_bytes(), &body].concat();
        TOLD.set(0);
        let address: CString = unsafe { CStr::from_ptr(peer.url()) }.into();
        // SAFETY: the manager and a URL.
        unsafe { mg_ota_url_check(peer.mgr, address.as_ptr(), Some(done)) };
        let mut asked = 0;
        peer.serve(|request| {
            request.ends_with(b"\r\n\r\n").then(|| {
                asked += 1;
                vec![metadata.clone()]
            })
        });
        assert_eq!(TOLD.get(), 1);
        assert!((1..=2).contains(&asked));
    });
});

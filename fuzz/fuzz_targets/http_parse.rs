//! Heads: every string of a parsed message lies inside the input, and every proper prefix of a valid head is incomplete.

use core::ffi::{c_char, c_int, c_uchar};
use mongoose::abi::{mg_http_message, mg_str};

unsafe extern "C" {
    fn mg_http_parse(s: *const c_char, len: usize, hm: *mut mg_http_message) -> c_int;
    fn mg_http_get_request_len(buf: *const c_uchar, len: usize) -> c_int;
    fn mg_http_get_header(hm: *mut mg_http_message, name: *const c_char) -> *mut mg_str;
    fn mg_http_get_header_var(s: mg_str, v: mg_str) -> mg_str;
    fn mg_http_creds(hm: *mut mg_http_message, user: *mut c_char, userlen: usize, pass: *mut c_char, passlen: usize);
    fn mg_http_status(hm: *const mg_http_message) -> c_int;
}

fuzz_target!(|data: &[u8]| {
    let input: Box<[u8]> = data.into();
    let mut hm = core::mem::MaybeUninit::<mg_http_message>::uninit();
    // SAFETY: input is a block of exactly its length; parsing initialises the message before all else.
    let (n, len, mut hm) = unsafe {
        let n = mg_http_parse(input.as_ptr().cast(), input.len(), hm.as_mut_ptr());
        (n, mg_http_get_request_len(input.as_ptr(), input.len()), hm.assume_init())
    };
    assert!(n == len || n == -1);
    if n <= 0 {
        return;
    }
    let head = &input[..n as usize];
    let inside = |s: mg_str| {
        let at = (s.buf as usize).wrapping_sub(head.as_ptr() as usize);
        assert!(s.buf.is_null() && s.len == 0 || at <= head.len() && s.len <= head.len() - at);
    };
    [hm.method, hm.uri, hm.query, hm.proto, hm.head].into_iter().for_each(inside);
    hm.headers.iter().flat_map(|h| [h.name, h.value]).for_each(inside);
    assert!(hm.body.buf as usize == head.as_ptr() as usize + head.len() && hm.message.len >= head.len());

    let (mut user, mut pass) = ([0 as c_char; 8], [0 as c_char; 8]);
    // SAFETY: a parsed message and buffers of their own sizes.
    unsafe {
        mg_http_status(&hm);
        mg_http_creds(&mut hm, user.as_mut_ptr(), user.len(), pass.as_mut_ptr(), pass.len());
        if let Some(cookie) = mg_http_get_header(&mut hm, c"cookie".as_ptr()).as_ref() {
            let name = b"access_token";
            inside(mg_http_get_header_var(*cookie, mg_str { buf: name.as_ptr() as *mut c_char, len: name.len() }));
        }
        let shorter: Box<[u8]> = head[..head.len() - 1].into();
        assert_eq!(mg_http_parse(shorter.as_ptr().cast(), shorter.len(), &mut hm), 0);
    }
});

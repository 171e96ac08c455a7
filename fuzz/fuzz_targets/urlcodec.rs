//! URL coding: decoding reverses encoding, also in place, and variables lie inside their text.

use core::ffi::{c_char, c_int};
use mongoose::abi::mg_str;

unsafe extern "C" {
    fn mg_url_decode(s: *const c_char, n: usize, to: *mut c_char, to_len: usize, form: c_int) -> c_int;
    fn mg_url_encode(s: *const c_char, n: usize, buf: *mut c_char, len: usize) -> usize;
    fn mg_http_var(buf: mg_str, name: mg_str) -> mg_str;
    fn mg_http_get_var(buf: *const mg_str, name: *const c_char, dst: *mut c_char, dst_len: usize) -> c_int;
}

fn str_of(s: &[u8]) -> mg_str {
    mg_str { buf: s.as_ptr() as *mut c_char, len: s.len() }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (room, text): (usize, Box<[u8]>) = (input.0.into(), input.1.into());
    let form = (room & 1) as c_int;
    let mut coded = vec![0u8; text.len() * 3 + 3].into_boxed_slice();
    let mut dst = vec![0u8; room].into_boxed_slice();
    // SAFETY: every block has exactly the length that is passed with it.
    unsafe {
        let n = mg_url_encode(text.as_ptr().cast(), text.len(), coded.as_mut_ptr().cast(), coded.len());
        let len = coded.len();
        let back = mg_url_decode(coded.as_ptr().cast(), n, coded.as_mut_ptr().cast(), len, form);
        assert_eq!(&coded[..back as usize], &*text);

        mg_url_encode(text.as_ptr().cast(), text.len(), dst.as_mut_ptr().cast(), room);
        let n = mg_url_decode(text.as_ptr().cast(), text.len(), dst.as_mut_ptr().cast(), room, form);
        assert!(n < room as c_int && (n < 0 || dst[n as usize] == 0));

        let value = mg_http_var(str_of(&text), str_of(b"a"));
        let at = (value.buf as usize).wrapping_sub(text.as_ptr() as usize);
        assert!(value.buf.is_null() || at <= text.len() && value.len <= text.len() - at);
        let n = mg_http_get_var(&str_of(&text), c"a".as_ptr(), dst.as_mut_ptr().cast(), room);
        assert!(n >= -4 && n < room as c_int && (n < 0 || dst[n as usize] == 0));
    }
});

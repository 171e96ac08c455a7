//! Base64: decoding matches a simple decoder, encoded data decodes to itself, and nothing is written out of bounds.

use core::ffi::c_char;
use mongoose as _; // it has the functions

unsafe extern "C" {
    fn mg_base64_encode(p: *const u8, n: usize, buf: *mut c_char, len: usize) -> usize;
    fn mg_base64_decode(src: *const c_char, n: usize, dst: *mut c_char, len: usize) -> usize;
    fn mg_base64url_encode(p: *const u8, n: usize, buf: *mut c_char, len: usize) -> usize;
    fn mg_base64url_decode(src: *const c_char, n: usize, dst: *mut c_char, len: usize) -> usize;
}

type Code<P> = unsafe extern "C" fn(*const P, usize, *mut c_char, usize) -> usize;

fn call<P>(f: Code<P>, data: &[u8], room: usize) -> Vec<u8> {
    let (data, mut buf): (Box<[u8]>, _) = (data.into(), vec![1u8; room].into_boxed_slice());
    // SAFETY: every block has exactly the length that is passed with it.
    let n = unsafe { f(data.as_ptr().cast(), data.len(), buf.as_mut_ptr().cast(), room) };
    assert!(room == 0 && n == 0 || buf[n] == 0);
    buf[..n].to_vec()
}

fn digit(c: u8, last: [u8; 2]) -> Option<u32> {
    Some(u32::from(match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        _ if c == last[0] => 62,
        _ if c == last[1] => 63,
        _ => return None,
    }))
}

/// Digits without padding.
fn read(text: &[u8], last: [u8; 2]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for group in text.chunks(4) {
        let bits = group.iter().try_fold(0, |n, c| Some(n << 6 | digit(*c, last)?))? << (6 * (4 - group.len()));
        match group.len() {
            1 => return None,
            n => out.extend(&u32::to_be_bytes(bits)[1..n]),
        }
    }
    Some(out)
}

fn reference(text: &[u8]) -> Option<Vec<u8>> {
    let text = &text[..text.len() / 4 * 4];
    let plain = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    read(plain, *b"+/")
}

fn url_reference(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() % 4 == 1 {
        return None;
    }
    read(text.split(|c| *c == b'=').next().unwrap(), *b"-_")
}

fuzz_target!(|input: (u8, &[u8])| {
    let (room, data) = (usize::from(input.0), input.1);
    let enough = data.len() * 2 + 8;
    assert_eq!(call(mg_base64_decode, data, enough), reference(data).unwrap_or_default());
    assert_eq!(call(mg_base64url_decode, data, enough), url_reference(data).unwrap_or_default());
    for f in [mg_base64_decode as Code<c_char>, mg_base64url_decode] {
        let short = call(f, data, room);
        assert!(short.is_empty() || short == call(f, data, enough));
    }
    for (encode, decode) in
        [(mg_base64_encode as Code<u8>, mg_base64_decode as Code<c_char>), (mg_base64url_encode, mg_base64url_decode)]
    {
        let text = call(encode, data, enough);
        assert_eq!(call(decode, &text, enough), data);
        let short = call(encode, data, room);
        assert!(short.is_empty() || short == text);
    }
});

//! Private keys in files: the result is exactly the key encoded in the file, or none.

use core::ffi::{c_char, c_int, c_void};
use mongoose::abi::mg_str;

unsafe extern "C" {
    fn mg_uecc_parse_private_key(key: mg_str, buf: *mut u8, len: usize) -> usize;
    fn mg_base64_encode(p: *const u8, n: usize, buf: *mut c_char, len: usize) -> usize;
    fn mg_uecc_secp256r1() -> *const c_void;
    fn mg_uecc_compute_public_key(private_key: *const u8, public_key: *mut u8, curve: *const c_void) -> c_int;
}

/// Keys in DER and PEM, which the input changes: by itself it would not find its way into them.
const DER: &[u8] = &[
    0x30, 0x31, 2, 1, 1, 4, 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 30, 31, 32, 0xa0, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
];
const PKCS8: &[u8] = &[
    48, 65, 2, 1, 0, 48, 19, 6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 8, 42, 134, 72, 206, 61, 3, 1, 7, 4, 39, 48, 37, 2, 1, 1, 4,
    32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5,
];
const PEM: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAAAAAAAAAAAAAAAA\n\
AAAAAAAAAAAAAAAAAAAAAAAAAAWhRANCAARRWQt6UVFA0teEyFYIZo/f74yC/R9b\n5SQhVUoNw9Az7eDBfaiQSnJ9iuG/Nr+KeSYNAS8A1NgIiNHQu0T9oW2k\n\
-----END PRIVATE KEY-----\n";

fn base64(data: &[u8]) -> Vec<u8> {
    let mut text = vec![0u8; data.len() * 2 + 8];
    // SAFETY: the text has room for what is encoded.
    let n = unsafe { mg_base64_encode(data.as_ptr(), data.len(), text.as_mut_ptr().cast(), text.len()) };
    text.truncate(n);
    text
}

fn parse(key: &[u8], len: usize) -> Option<[u8; 32]> {
    let key: Box<[u8]> = key.into();
    let mut buf = vec![0u8; len].into_boxed_slice();
    // SAFETY: every block has exactly the length that is passed with it.
    let n =
        unsafe { mg_uecc_parse_private_key(mg_str { buf: key.as_ptr() as *mut c_char, len: key.len() }, buf.as_mut_ptr(), len) };
    assert!(n == 0 || n == 32 && len >= 32);
    (n == 32).then(|| buf[..32].try_into().unwrap())
}

fuzz_target!(|input: (u8, Vec<(u16, u8)>, Vec<u8>, u8)| {
    let (kind, changes, more, len) = input;
    let mut key = match kind % 4 {
        0 => DER.to_vec(),
        1 => PEM.to_vec(),
        2 => PKCS8.to_vec(),
        _ => Vec::new(),
    };
    if !key.is_empty() {
        for (at, to) in changes {
            let at = usize::from(at) % key.len();
            key[at] = to;
        }
    }
    key.extend(more);
    let found = parse(&key, 32);
    assert_eq!(parse(&key, len.into()), found.filter(|_| len >= 32));
    if let Some(scalar) = found {
        let mut public = [0; 64];
        // SAFETY: a key of the curve, and room for one.
        assert_eq!(unsafe { mg_uecc_compute_public_key(scalar.as_ptr(), public.as_mut_ptr(), mg_uecc_secp256r1()) }, 1);
    }
    if key.first() == Some(&0x30) && !key.windows(10).any(|w| w == b"-----BEGIN") {
        // What is a key in DER is the same in PEM, and its number stands in it.
        assert!(found.is_none_or(|scalar| key.windows(32).any(|w| w == scalar)));
        for label in ["EC PRIVATE KEY", "PRIVATE KEY"] {
            let [begin, end] = ["BEGIN", "END"].map(|w| format!("-----{w} {label}-----\n").into_bytes());
            assert_eq!(parse(&[&begin[..], &base64(&key), b"\n", &end].concat(), 32), found);
        }
    }
});

//! Private keys in files: what comes out is a key of the curve, and nothing else does.

#![no_main]

use core::ffi::{c_char, c_int, c_void};
use libfuzzer_sys::fuzz_target;
use mongoose::abi::mg_str;

unsafe extern "C" {
    fn mg_uecc_parse_private_key(key: mg_str, buf: *mut u8, len: usize) -> usize;
    fn mg_uecc_secp256r1() -> *const c_void;
    fn mg_uecc_compute_public_key(private_key: *const u8, public_key: *mut u8, curve: *const c_void) -> c_int;
}

/// Keys in DER and PEM, which the input changes: by itself it would not find its way into them.
const DER: &[u8] = &[
    0x30, 0x31, 2, 1, 1, 4, 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
    30, 31, 32, 0xa0, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
];
const PEM: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAAAAAAAAAAAAAAAA\n\
AAAAAAAAAAAAAAAAAAAAAAAAAAWhRANCAARRWQt6UVFA0teEyFYIZo/f74yC/R9b\n5SQhVUoNw9Az7eDBfaiQSnJ9iuG/Nr+KeSYNAS8A1NgIiNHQu0T9oW2k\n\
-----END PRIVATE KEY-----\n";

fuzz_target!(|input: (u8, Vec<(u16, u8)>, Vec<u8>, u8)| {
    let (kind, changes, more, len) = input;
    let mut key = match kind % 3 {
        0 => DER.to_vec(),
        1 => PEM.to_vec(),
        _ => Vec::new(),
    };
    if !key.is_empty() {
        for (at, to) in changes {
            let at = usize::from(at) % key.len();
            key[at] = to;
        }
    }
    key.extend(more);
    let key = key.into_boxed_slice();
    let mut buf = vec![0u8; len.into()].into_boxed_slice();
    // SAFETY: every block has exactly the length that is passed with it.
    unsafe {
        let n = mg_uecc_parse_private_key(mg_str { buf: key.as_ptr() as *mut c_char, len: key.len() }, buf.as_mut_ptr(), buf.len());
        assert!(n == 0 || n == 32 && buf.len() >= 32);
        let mut public = [0; 64];
        if n == 32 {
            assert_eq!(mg_uecc_compute_public_key(buf.as_ptr(), public.as_mut_ptr(), mg_uecc_secp256r1()), 1);
        }
    }
});

//! Tokens: what is signed is verified, what is not is refused, and any change is noticed.

#![no_main]

use core::ffi::c_char;
use libfuzzer_sys::fuzz_target;
use mongoose::abi::{mg_jwt_opts, mg_str};

unsafe extern "C" {
    fn mg_jwt_sign_hs256(opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;
    fn mg_jwt_verify_hs256(jwt: mg_str, opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;
    fn mg_jwt_verify_es256(jwt: mg_str, opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;
}

fn str_of(s: &[u8]) -> mg_str {
    mg_str { buf: s.as_ptr() as *mut c_char, len: s.len() }
}

fuzz_target!(|input: (Box<[u8]>, Box<[u8]>, Box<[u8]>, u16, u8, u8)| {
    let (claims, kid, secret, at, to, room) = input;
    let public_key = [1u8; 64];
    let opts = mg_jwt_opts {
        claims: str_of(&claims),
        header: str_of(b""),
        kid: str_of(&kid),
        secret: str_of(&secret),
        private_key: core::ptr::null(),
        public_key: public_key.as_ptr(),
    };
    let mut token = vec![0u8; (claims.len() + 6 * kid.len()) * 2 + 200].into_boxed_slice();
    let mut out = vec![0u8; token.len()].into_boxed_slice();
    let mut small = vec![0u8; room.into()].into_boxed_slice();
    // SAFETY: every block has exactly the length that is passed with it.
    unsafe {
        // Any text, as a token.
        assert_eq!(mg_jwt_verify_hs256(str_of(&claims), &opts, out.as_mut_ptr().cast(), out.len()), 0);
        assert_eq!(mg_jwt_verify_es256(str_of(&claims), &opts, out.as_mut_ptr().cast(), out.len()), 0);
        let n = mg_jwt_sign_hs256(&opts, token.as_mut_ptr().cast(), token.len());
        assert_eq!(n == 0, claims.is_empty());
        if n == 0 {
            return;
        }
        let short = mg_jwt_sign_hs256(&opts, small.as_mut_ptr().cast(), small.len());
        assert!(short == 0 || short == n && small[..n] == token[..n]);
        let m = mg_jwt_verify_hs256(str_of(&token[..n]), &opts, out.as_mut_ptr().cast(), out.len());
        assert_eq!(&out[..m], &*claims);
        let m = mg_jwt_verify_hs256(str_of(&token[..n]), &opts, small.as_mut_ptr().cast(), small.len());
        assert_eq!(m > 0, small.len() > claims.len());
        let at = usize::from(at) % n;
        let same = token[at] == to;
        token[at] = to;
        assert_eq!(mg_jwt_verify_hs256(str_of(&token[..n]), &opts, out.as_mut_ptr().cast(), out.len()) > 0, same);
    }
});

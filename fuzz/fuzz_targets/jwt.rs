//! Tokens: signed ones verify, with both algorithms, others are refused, and any change is detected.

use core::ffi::{c_char, c_int, c_void};
use mongoose::abi::{mg_jwt_opts, mg_str};
use std::sync::LazyLock;

unsafe extern "C" {
    fn mg_jwt_sign_hs256(opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;
    fn mg_jwt_verify_hs256(jwt: mg_str, opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;
    fn mg_jwt_sign_es256(opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;
    fn mg_jwt_verify_es256(jwt: mg_str, opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;
    fn mg_base64url_encode(p: *const u8, n: usize, buf: *mut c_char, len: usize) -> usize;
    fn mg_hmac_sha256(dst: *mut u8, key: *const u8, keysz: usize, data: *const u8, datasz: usize);
    fn mg_uecc_secp256r1() -> *const c_void;
    fn mg_uecc_compute_public_key(private_key: *const u8, public_key: *mut u8, curve: *const c_void) -> c_int;
}

type Sign = unsafe extern "C" fn(*const mg_jwt_opts, *mut c_char, usize) -> usize;
type Verify = unsafe extern "C" fn(mg_str, *const mg_jwt_opts, *mut c_char, usize) -> usize;

const PRIVATE: [u8; 32] = [7; 32];
static PUBLIC: LazyLock<[u8; 64]> = LazyLock::new(|| {
    let mut key = [0; 64];
    // SAFETY: room for a key.
    assert_eq!(unsafe { mg_uecc_compute_public_key(PRIVATE.as_ptr(), key.as_mut_ptr(), mg_uecc_secp256r1()) }, 1);
    key
});

fn str_of(s: &[u8]) -> mg_str {
    mg_str { buf: s.as_ptr() as *mut c_char, len: s.len() }
}

/// What it says of this token, with room for all of it.
unsafe fn claims_of(verify: Verify, token: &[u8], opts: &mg_jwt_opts) -> Vec<u8> {
    let token: Box<[u8]> = token.into();
    let mut out = vec![1u8; token.len() + 1];
    // SAFETY: every block has exactly the length that is passed with it.
    let n = unsafe { verify(str_of(&token), opts, out.as_mut_ptr().cast(), out.len()) };
    assert!(n == 0 || out[n] == 0);
    out.truncate(n);
    out
}

fn base64url(data: &[u8]) -> Vec<u8> {
    let mut text = vec![0u8; data.len() * 2 + 8];
    // SAFETY: as above.
    let n = unsafe { mg_base64url_encode(data.as_ptr(), data.len(), text.as_mut_ptr().cast(), text.len()) };
    text.truncate(n);
    text
}

fuzz_target!(|input: (Box<[u8]>, Box<[u8]>, Box<[u8]>, Box<[u8]>, u16, u8, u8)| {
    let (claims, kid, secret, header, at, to, room) = input;
    let opts = mg_jwt_opts {
        claims: str_of(&claims),
        header: str_of(b""),
        kid: str_of(&kid),
        secret: str_of(&secret),
        private_key: PRIVATE.as_ptr(),
        public_key: PUBLIC.as_ptr(),
    };
    let pairs: [(Sign, Verify); 2] = [(mg_jwt_sign_hs256, mg_jwt_verify_hs256), (mg_jwt_sign_es256, mg_jwt_verify_es256)];
    // SAFETY: every block has exactly the length that is passed with it.
    unsafe {
        // Any header, signed as it should be.
        let mut signed = [base64url(&header), base64url(&claims)].join(&b'.');
        let mut mac = [0; 32];
        mg_hmac_sha256(mac.as_mut_ptr(), secret.as_ptr(), secret.len(), signed.as_ptr(), signed.len());
        signed.push(b'.');
        signed.extend(base64url(&mac));
        let got = claims_of(mg_jwt_verify_hs256, &signed, &opts);
        assert!(got.is_empty() || got == *claims && header.windows(7).any(|w| w == b"\"HS256\""));
        assert!(claims_of(mg_jwt_verify_es256, &signed, &opts).is_empty());

        // The second takes a thousand times as long, so it is tried with few inputs, which are not like each other.
        for (i, (sign, verify)) in pairs.into_iter().take(if crc32fast::hash(&signed) % 2048 == 0 { 2 } else { 1 }).enumerate() {
            assert!(claims_of(verify, &claims, &opts).is_empty());
            let mut token = vec![0u8; (claims.len() + 6 * kid.len()) * 2 + 200].into_boxed_slice();
            let n = sign(&opts, token.as_mut_ptr().cast(), token.len());
            assert_eq!(n == 0, claims.is_empty());
            if n == 0 {
                return;
            }
            assert_eq!(token[n], 0);
            let mut small = vec![0u8; room.into()].into_boxed_slice();
            let short = sign(&opts, small.as_mut_ptr().cast(), small.len());
            assert!(short == 0 || short == n && small[..n] == token[..n]);
            assert_eq!(claims_of(verify, &token[..n], &opts), *claims);
            assert!(claims_of(pairs[1 - i].1, &token[..n], &opts).is_empty());
            let m = verify(str_of(&token[..n]), &opts, small.as_mut_ptr().cast(), small.len());
            assert_eq!(m, if small.len() > claims.len() { claims.len() } else { 0 });
            let at = usize::from(at) % n;
            let same = token[at] == to;
            token[at] = to;
            assert_eq!(!claims_of(verify, &token[..n], &opts).is_empty(), same);
        }
    }
});

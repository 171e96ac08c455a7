//! JSON Web Tokens (RFC 7519) in the compact form of RFC 7515: `base64url(header).base64url(claims).base64url(signature)`.

use super::{escape, json};
use crate::hash::base64;
use crate::memory;
use crate::memory::prelude::*;

/// Content of the first two parts of a token.
pub(crate) struct Token<'a> {
    /// Signed as is.
    pub(crate) claims: &'a [u8],
    /// Additional header members: JSON without braces.
    pub(crate) header: &'a [u8],
    /// Key id; empty for none.
    pub(crate) kid: &'a [u8],
}

fn header(alg: &str, token: &Token) -> Option<Vec<u8>> {
    // A byte of the key id becomes at most one escape sequence.
    let mut header = memory::room(64 + 6 * token.kid.len() + token.header.len())?;
    header.extend(format!("{{\"alg\":\"{alg}\",\"typ\":\"JWT\"").bytes());
    if !token.kid.is_empty() {
        header.extend(b",\"kid\":");
        escape::json_string(&mut header, token.kid);
    }
    if !token.header.is_empty() {
        header.push(b',');
        header.extend(token.header);
    }
    header.push(b'}');
    Some(header)
}

/// Appends one part. None unless the padded text and a NUL fit into the rest of `size`.
fn add(token: &mut Vec<u8>, data: &[u8], size: usize) -> Option<()> {
    let at = token.len();
    let padded = data.len().div_ceil(3).checked_mul(4)?;
    if size.checked_sub(at)? <= padded {
        return None;
    }
    if !memory::grow(token, padded + 1) {
        return None;
    }
    token.resize(at + padded + 1, 0);
    let n = base64::url_encode(data, &mut token[at..])?;
    token.truncate(at + n);
    Some(())
}

/// A signed token for a buffer of `size` bytes, which must have room for each part with padding. None for empty claims, a small
/// buffer, and when `sign` fails.
pub(crate) fn sign(alg: &str, parts: &Token, size: usize, sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    if parts.claims.is_empty() {
        return None;
    }
    let mut token = Vec::new();
    add(&mut token, &header(alg, parts)?, size)?;
    token.push(b'.');
    add(&mut token, parts.claims, size)?;
    let signature = sign(&token)?;
    token.push(b'.');
    add(&mut token, &signature, size)?;
    Some(token)
}

/// Decodes a part that is written in the one way in which it can be: without padding, blanks and stray bits. Otherwise one
/// signature would be good for several tokens.
fn decode(part: &[u8]) -> Option<Vec<u8>> {
    let mut data = memory::zeroed(part.len() / 4 * 3 + 4)?;
    let n = base64::url_decode(part, &mut data)?;
    data.truncate(n);
    let mut again = Vec::new();
    add(&mut again, &data, usize::MAX)?;
    (again == part).then_some(data)
}

/// The claims of a token whose header names `alg`, if `is_good` accepts the signed text and the signature. The claims are not
/// examined.
pub(crate) fn verify(alg: &str, jwt: &[u8], is_good: impl FnOnce(&[u8], &[u8]) -> bool) -> Option<Vec<u8>> {
    let first = memchr::memchr(b'.', jwt)?;
    let second = first + 1 + memchr::memchr(b'.', &jwt[first + 1..])?;
    let header = decode(&jwt[..first])?;
    let names_alg = json::text(&header, b"$.alg") == Some(alg.as_bytes());
    // RFC 7515, 4.1.11: a token with unknown critical extensions must be refused.
    if !names_alg || json::token(&header, b"$.crit").is_some() {
        return None;
    }
    let signature = decode(&jwt[second + 1..]).filter(|s| !s.is_empty())?;
    if !is_good(&jwt[..second], &signature) {
        return None;
    }
    decode(&jwt[first + 1..second])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn good(signed: &[u8]) -> Option<Vec<u8>> {
        Some(crate::hash::md::hmac_sha256(b"key", signed).to_vec())
    }

    fn make(header: &[u8], claims: &[u8]) -> Vec<u8> {
        sign("HS256", &Token { claims, header, kid: b"" }, usize::MAX, good).unwrap()
    }

    fn check(jwt: &[u8]) -> Option<Vec<u8>> {
        verify("HS256", jwt, |signed, signature| good(signed).unwrap() == signature)
    }

    #[test]
    fn tokens_have_one_encoding() {
        let jwt = make(b"", b"{\"a\":1}");
        assert_eq!(check(&jwt).unwrap(), b"{\"a\":1}");
        let last = *jwt.last().unwrap();
        let (same_bytes, head) = (last ^ 1, &jwt[..jwt.len() - 1]);
        for end in [&[same_bytes][..], &[last, b'='], &[last, b'=', b'x'], &[last, b' '], &[last, b'\n'], &[last, b'.'], b""] {
            assert_eq!(check(&[head, end].concat()), None, "{end:?}");
        }
    }

    #[test]
    fn critical_extensions_are_refused() {
        assert!(check(&make(b"\"x\":[\"crit\"]", b"{}")).is_some());
        assert_eq!(check(&make(b"\"crit\":[\"x\"],\"x\":1", b"{}")), None);
    }

    #[test]
    fn other_algorithms_are_refused() {
        let none = |alg: &str| sign(alg, &Token { claims: b"{}", header: b"", kid: b"" }, 999, good).unwrap();
        assert!(check(&none("HS256")).is_some());
        for alg in ["none", "", "hs256", "HS384", "HS256 ", "ES256", "HS256\\u0000"] {
            assert_eq!(check(&none(alg)), None, "{alg}");
        }
    }

    #[test]
    fn key_ids_are_escaped() {
        let jwt = sign("HS256", &Token { claims: b"{}", header: b"", kid: b"a\"\\\x01\xff" }, 999, good).unwrap();
        let header = decode(&jwt[..memchr::memchr(b'.', &jwt).unwrap()]).unwrap();
        assert_eq!(json::text(&header, b"$.kid").unwrap(), b"a\\\"\\\\\\u0001\xff");
    }

    #[test]
    fn headers_of_any_length_are_signed() {
        let long = "x".repeat(200);
        let signed = |kid: &str, header: &str| {
            let parts = Token { claims: b"{}", header: header.as_bytes(), kid: kid.as_bytes() };
            let jwt = sign("HS256", &parts, 999, good).unwrap();
            String::from_utf8(decode(&jwt[..memchr::memchr(b'.', &jwt).unwrap()]).unwrap()).unwrap()
        };
        assert_eq!(signed(&long, ""), format!("{{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"{long}\"}}"));
        let member = format!("\"a\":\"{long}\"");
        assert_eq!(signed("", &member), format!("{{\"alg\":\"HS256\",\"typ\":\"JWT\",{member}}}"));
    }

    #[test]
    fn a_buffer_has_room_for_padding_and_a_nul() {
        let whole = make(b"", b"{\"a\":1}");
        // 32 bytes of signature take 44 characters with padding.
        let least = memchr::memrchr(b'.', &whole).unwrap() + 1 + 44 + 1;
        let signed = |size| sign("HS256", &Token { claims: b"{\"a\":1}", header: b"", kid: b"" }, size, good);
        assert_eq!((signed(least), signed(least - 1)), (Some(whole), None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 500 }))]
        #[test]
        fn every_change_is_detected(claims in proptest::collection::vec(any::<u8>(), 1..40), at: usize, to: u8) {
            let jwt = make(b"", &claims);
            prop_assert_eq!(check(&jwt), Some(claims));
            let mut other = jwt.clone();
            other[at % jwt.len()] = to;
            prop_assert_eq!(check(&other).is_some(), other == jwt);
        }
        #[test]
        fn arbitrary_bytes_do_not_panic(jwt in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(check(&jwt), None);
        }
    }
}

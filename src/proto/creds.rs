//! HTTP credentials.

use super::{http, url, urlcodec};
use crate::memory::prelude::*;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};

/// Longer Basic credentials are refused.
const MAX_BASIC: usize = 255;

/// Ignores an incomplete last group and unused bits.
static BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Extracts the credentials of a request from its `Authorization` and `Cookie` headers and its query, as C strings, truncated to
/// fit. The first source that applies is used, even if it is empty.
pub(crate) fn creds<'a>(
    authorization: Option<&[u8]>,
    cookies: impl IntoIterator<Item = &'a [u8]>,
    query: &[u8],
    user: &mut [u8],
    pass: &mut [u8],
) {
    let mut cookies = cookies.into_iter().peekable();
    put(user, b"");
    put(pass, b"");
    let authorization = authorization.unwrap_or_default();
    if let Some(coded) = after(authorization, b"Basic ") {
        let mut buf = [0; MAX_BASIC];
        if let Some((u, p)) = basic(coded, &mut buf) {
            put(user, u);
            put(pass, p);
        }
    } else if let Some(token) = after(authorization, b"Bearer ") {
        put(pass, token);
    } else if cookies.peek().is_some() {
        // Several lines form one list (RFC 9113, 8.2.3).
        put(pass, cookies.find_map(|cookie| http::parameter(cookie, b"access_token")).unwrap_or_default());
    } else if let Some(coded) = urlcodec::var(query, b"access_token") {
        match urlcodec::decode(coded, pass, true) {
            Ok(_) => {}
            // The part written so far is the truncated text.
            Err(urlcodec::DecodeError::NoRoom) => {
                if let Some(end) = pass.last_mut() {
                    *end = 0;
                }
            }
            Err(urlcodec::DecodeError::Escape) => put(pass, b""),
        }
    }
}

/// The header line for user and password of a URL, if it has any.
pub(crate) fn authorization(url: &[u8]) -> Option<Vec<u8>> {
    let (user, password) = (url::user(url), url::password(url));
    if user.is_empty() && password.is_empty() {
        return None;
    }
    let mut plain = plain(user);
    plain.push(b':');
    plain.extend(self::plain(password));
    let mut line = b"Authorization: Basic ".to_vec();
    let start = line.len();
    line.resize(start + plain.len().div_ceil(3) * 4, 0);
    // Exactly the size of the padded base64.
    base64::engine::general_purpose::STANDARD.encode_slice(plain, &mut line[start..]).ok()?;
    line.extend(b"\r\n");
    Some(line)
}

/// A part of a URL with percent-encoding decoded; unchanged if that is malformed.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut out = vec![0; text.len() + 1];
    match urlcodec::decode(text, &mut out, false) {
        Ok(len) => out.truncate(len),
        Err(_) => out = text.to_vec(),
    }
    out
}

/// The text after `scheme`, unless it is empty.
fn after<'a>(authorization: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    authorization.strip_prefix(scheme).filter(|rest| !rest.is_empty())
}

/// Name and password.
fn basic<'a>(coded: &[u8], buf: &'a mut [u8; MAX_BASIC]) -> Option<(&'a [u8], &'a [u8])> {
    let groups = &coded[..coded.len() & !3];
    // Refuses what does not fit.
    let len = BASE64.decode_slice(groups, buf).ok()?;
    let text = &buf[..len];
    let colon = memchr::memchr(b':', text)?;
    Some((&text[..colon], &text[colon + 1..]))
}

/// Writes `text` as a C string, as far as it fits.
fn put(dst: &mut [u8], text: &[u8]) {
    let Some(room) = dst.len().checked_sub(1) else { return };
    let text = &text[..room.min(text.len())];
    dst[..text.len()].copy_from_slice(text);
    dst[text.len()] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(authorization: &str, query: &str, room: usize) -> (String, String) {
        let (mut user, mut pass) = (vec![0xff; room], vec![0xff; room]);
        creds(Some(authorization.as_bytes()), [], query.as_bytes(), &mut user, &mut pass);
        let text = |b: Vec<u8>| String::from_utf8(b.split(|&b| b == 0).next().unwrap().to_vec()).unwrap();
        (text(user), text(pass))
    }

    #[test]
    fn results_are_truncated_to_the_buffer() {
        let both = |u: &str, p: &str| (u.to_string(), p.to_string());
        assert_eq!(run("Basic dXNlcjpwYXNz", "", 3), both("us", "pa"));
        assert_eq!(run("Basic dXNlcjpwYXNz", "", 1), both("", ""));
        assert_eq!(run("Basic dXNlcjpwYXNz", "", 0), both("", ""));
        assert_eq!(run("Bearer token", "", 3), both("", "to"));
        // The last character has bits that no byte needs.
        assert_eq!(run("Basic dTpwYXNzMQ==", "", 9), both("u", "pass1"));
        assert_eq!(run("Basic dTpwYXNzMR==", "", 9), both("u", "pass1"));
        assert_eq!(run("", "access_token=a%62cd", 3), both("", "ab"));
        assert_eq!(run("", "access_token=ab%zz", 30), both("", ""));
        assert_eq!(run("", "access_token=a%00b", 30), both("", "a"));
        assert_eq!(run("", "access_token=a", 0), both("", ""));
    }

    #[test]
    fn credentials_of_urls_are_sent() {
        for (url, coded) in [
            // a:b+c:d%
            ("http://a%3Ab+c:d%@h", "YTpiK2M6ZCU="),
            ("http://user:pass@h", "dXNlcjpwYXNz"),
            ("http://a:a-long-enough-password@h", "YTphLWxvbmctZW5vdWdoLXBhc3N3b3Jk"),
        ] {
            assert_eq!(authorization(url.as_bytes()).unwrap(), format!("Authorization: Basic {coded}\r\n").into_bytes(), "{url}");
        }
        assert_eq!(authorization(b"http://h"), None);
    }

    #[test]
    fn long_basic_credentials_are_refused() {
        let coded = |n: usize| {
            let (text, mut out) = ([b"u:".as_slice(), &vec![b'p'; n]].concat(), vec![0; n * 2 + 8]);
            let len = BASE64.encode_slice(text, &mut out).unwrap();
            format!("Basic {}", String::from_utf8_lossy(&out[..len]))
        };
        assert_eq!(run(&coded(253), "", 300).1.len(), 253);
        assert_eq!(run(&coded(254), "", 300), Default::default());
        assert_eq!(run(&coded(100_000), "", 300), Default::default());
    }
}

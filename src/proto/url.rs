//! The parts of a URL.

use super::num;

/// Where the parts begin; 0: the part is not there. (Only the host may begin at the very start, and without a `//` it does.)
#[derive(Default)]
struct Places {
    host: usize,
    port: usize,
    user: usize,
    password: usize,
    path: usize,
}

fn places(url: &[u8]) -> Places {
    let mut p = Places::default();
    let mut before = 0;
    for (i, &c) in url.iter().enumerate() {
        match c {
            // What looked like a port was the scheme's colon.
            b'/' if before == b'/' && p.host == 0 => (p.host, p.port) = (i + 1, 0),
            // Colons inside an IPv6 address.
            b']' => p.port = 0,
            b':' if p.port == 0 && p.path == 0 => p.port = i + 1,
            b'@' if p.user == 0 && p.password == 0 && p.path == 0 => {
                (p.user, p.password, p.host, p.port) = (p.host, p.port, i + 1, 0)
            }
            b'/' if p.host != 0 && p.path == 0 => p.path = i,
            _ => {}
        }
        before = c;
    }
    p
}

/// The text from `from` to `to`, or nothing when the places are in the wrong order.
fn part(url: &[u8], from: usize, to: usize) -> &[u8] {
    url.get(from..to).unwrap_or(&url[..0])
}

pub(crate) fn host(url: &[u8]) -> &[u8] {
    let p = places(url);
    let end = match (p.port, p.path) {
        (0, 0) => url.len(),
        (0, path) => path,
        (port, _) => port - 1,
    };
    part(url, p.host, end)
}

pub(crate) fn user(url: &[u8]) -> &[u8] {
    let p = places(url);
    match (p.user, p.password) {
        (0, _) => &url[..0],
        (user, 0) => part(url, user, p.host - 1),
        (user, password) => part(url, user, password - 1),
    }
}

pub(crate) fn password(url: &[u8]) -> &[u8] {
    let p = places(url);
    if p.password == 0 { &url[..0] } else { part(url, p.password, p.host - 1) }
}

/// The path and what follows it; None when there is no path.
pub(crate) fn uri(url: &[u8]) -> Option<&[u8]> {
    let p = places(url);
    if p.path == 0 { None } else { url.get(p.path..) }
}

/// C's `isspace`.
fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t'..=b'\r')
}

/// The port that the URL names (0 when that is not a port number), or else its scheme's. Blanks and a plus sign may stand before
/// the number, as in C's `atoi`.
pub(crate) fn port(url: &[u8]) -> u16 {
    const SCHEMES: [(&[u8], u16); 6] =
        [(b"http:", 80), (b"ws:", 80), (b"https:", 443), (b"wss:", 443), (b"mqtt:", 1883), (b"mqtts:", 8883)];
    match places(url).port {
        0 => SCHEMES.iter().find(|(scheme, _)| url.starts_with(scheme)).map_or(0, |&(_, port)| port),
        port => {
            let text = part(url, port, url.len());
            let text = &text[text.iter().position(|&c| !is_blank(c)).unwrap_or(text.len())..];
            num::prefix(text.strip_prefix(b"+").unwrap_or(text)).0.try_into().unwrap_or(0)
        }
    }
}

pub(crate) fn is_ssl(url: &[u8]) -> bool {
    const SCHEMES: [&[u8]; 6] = [b"wss:", b"https:", b"mqtts:", b"ssl:", b"tls:", b"tcps:"];
    SCHEMES.iter().any(|scheme| url.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ports_that_are_none() {
        for url in
            ["http://h:65536", "http://h:-1", "http://h:99999999999999999999999", "http://h:++1", "http://h:+ 1", "http://h: "]
        {
            assert_eq!(port(url.as_bytes()), 0, "{url}");
        }
    }

    #[test]
    fn blanks_and_a_plus_sign_before_a_port() {
        for url in ["http://h: 81", "http://h:+81/x", "http://h:\t\n\x0b\x0c\r +81", "h: 81x"] {
            assert_eq!(port(url.as_bytes()), 81, "{url:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 5000 }))]
        #[test]
        fn any_url(url in "[a/:@?0\\]\\[]{0,24}") {
            let url = url.as_bytes();
            let inside = |s: &[u8]| s.is_empty() || url.as_ptr_range().contains(&s.as_ptr());
            prop_assert!(inside(host(url)) && inside(user(url)) && inside(password(url)));
            prop_assert!(uri(url).is_none_or(|s| s.starts_with(b"/")));
            port(url);
        }
    }
}

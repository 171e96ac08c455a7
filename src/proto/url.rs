//! URL parsing.

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
            // The assumed port separator was the scheme's colon.
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

/// The path and everything after it; None if there is no path.
pub(crate) fn uri(url: &[u8]) -> Option<&[u8]> {
    let p = places(url);
    if p.path == 0 { None } else { url.get(p.path..) }
}

/// C's `isspace`.
fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t'..=b'\r')
}

/// The schemes that have a port of their own, TLS or both.
const SCHEMES: [(&[u8], u16, bool); 12] = [
    (b"http", 80, false),
    (b"ws", 80, false),
    (b"https", 443, true),
    (b"wss", 443, true),
    (b"mqtt", 1883, false),
    (b"mqtts", 8883, true),
    (b"tcp", 0, false),
    (b"tcps", 0, true),
    (b"ssl", 0, true),
    (b"tls", 0, true),
    (b"udp", 0, false),
    (b"unix", 0, false),
];

/// The text before the first colon.
fn before_colon(url: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b':', url).map(|at| &url[..at])
}

fn known(scheme: &[u8]) -> Option<&'static (&'static [u8], u16, bool)> {
    SCHEMES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(scheme))
}

/// Whether the URL begins with this scheme, in any case, and a colon.
pub(crate) fn has_scheme(url: &[u8], name: &[u8]) -> bool {
    before_colon(url).is_some_and(|scheme| scheme.eq_ignore_ascii_case(name))
}

pub(crate) fn is_udp(url: &[u8]) -> bool {
    has_scheme(url, b"udp")
}

pub(crate) fn is_unix(url: &[u8]) -> bool {
    has_scheme(url, b"unix")
}

/// See `mg_url_port`: the port in the URL (0 if it is not a port number), otherwise the default port of its lower-case scheme.
/// Blanks and a plus sign may stand before the number, as in C's `atoi`.
pub(crate) fn port(url: &[u8]) -> u16 {
    match places(url).port {
        0 => before_colon(url).and_then(|s| SCHEMES.iter().find(|(name, ..)| *name == s)).map_or(0, |&(_, port, _)| port),
        port => {
            let text = part(url, port, url.len());
            let text = &text[text.iter().position(|&c| !is_blank(c)).unwrap_or(text.len())..];
            num::prefix(text.strip_prefix(b"+").unwrap_or(text)).0.try_into().unwrap_or(0)
        }
    }
}

/// The port to connect to: that of the scheme in any case.
pub(crate) fn port_or_default(url: &[u8]) -> u16 {
    if places(url).port == 0 { default_port(url) } else { port(url) }
}

fn default_port(url: &[u8]) -> u16 {
    before_colon(url).and_then(known).map_or(0, |&(_, port, _)| port)
}

pub(crate) fn is_ssl(url: &[u8]) -> bool {
    before_colon(url).and_then(known).is_some_and(|&(.., tls)| tls)
}

/// The path of a Unix socket: `unix:PATH`, `unix:///PATH`. The error names the cause.
pub(crate) fn unix_path(url: &[u8]) -> Result<&[u8], &'static str> {
    let path = before_colon(url).map_or(url, |scheme| &url[scheme.len() + 1..]);
    match path.strip_prefix(b"//") {
        None if path.is_empty() => Err("no path"),
        None => Ok(path),
        Some(path @ [b'/', _, ..]) => Ok(path),
        Some([] | [b'/']) => Err("no path"),
        // unix://run/app.sock lacks a slash.
        Some(_) => Err("a Unix socket has no host: unix:PATH or unix:///PATH"),
    }
}

/// Where to listen. The host is still to be read.
#[derive(Debug, PartialEq)]
pub(crate) enum Listening<'a> {
    Unix(&'a [u8]),
    Inet { host: &'a [u8], port: u16 },
}

/// Parses a listening URL strictly: a server that listens on an unintended address waits forever. The error names the cause.
pub(crate) fn listening(url: &[u8]) -> Result<Listening<'_>, &'static str> {
    if url.is_empty() {
        return Err("it is empty");
    }
    if is_unix(url) {
        return unix_path(url).map(Listening::Unix);
    }
    match memchr::memmem::find(url, b"://") {
        Some(at) if known(&url[..at]).is_none() => return Err("unknown scheme"),
        None if before_colon(url).and_then(known).is_some() => return Err("no // after the scheme"),
        _ => {}
    }
    let port = match places(url).port {
        0 => default_port(url),
        at => {
            let rest = part(url, at, url.len());
            let text = rest.split(|b| matches!(b, b'/' | b'?' | b'#')).next().unwrap_or_default();
            match num::prefix(text) {
                _ if text.is_empty() => return Err("empty port"),
                (_, len) if len < text.len() => return Err("the port is no number"),
                (port, _) => port.try_into().map_err(|_| "port above 65535")?,
            }
        }
    };
    Ok(Listening::Inet { host: host(url), port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn schemes_without_a_default_port() {
        for scheme in ["tcp", "tcps", "ssl", "tls", "udp", "unix"] {
            assert_eq!(port_or_default(format!("{scheme}://h").as_bytes()), 0, "{scheme}");
        }
        assert_eq!((port_or_default(b"localhost"), port_or_default(b"x://h")), (0, 0));
    }

    #[test]
    fn invalid_ports() {
        for url in
            ["http://h:65536", "http://h:-1", "http://h:99999999999999999999999", "http://h:++1", "http://h:+ 1", "http://h: "]
        {
            assert_eq!(port(url.as_bytes()), 0, "{url}");
        }
    }

    #[test]
    fn schemes_are_case_insensitive() {
        for url in ["HTTPS://h", "wSs:", "Mqtts://h:1", "SSL:x", "tls:", "TCPS://"] {
            assert!(is_ssl(url.as_bytes()), "{url}");
        }
        for url in ["http://h", "httpss://h", " https://h", "https", "", "unix:/https:"] {
            assert!(!is_ssl(url.as_bytes()), "{url}");
        }
        assert!(is_udp(b"UDP://:1") && !is_udp(b"udps://:1") && is_unix(b"Unix:x"));
        assert_eq!((port(b"HTTP://h"), port_or_default(b"HTTP://h"), port_or_default(b"Mqtts://h:7")), (0, 80, 7));
    }

    #[test]
    fn listening_urls() {
        let inet = |host: &'static str, port| Ok(Listening::Inet { host: host.as_bytes(), port });
        for (url, want) in [
            ("http://0.0.0.0:8000", inet("0.0.0.0", 8000)),
            ("HTTP://:8000/x:9", inet("", 8000)),
            (":8000", inet("", 8000)),
            ("localhost:1", inet("localhost", 1)),
            ("127.0.0.1:65535", inet("127.0.0.1", 65535)),
            ("https://[::1]", inet("[::1]", 443)),
            ("udp://[fe80::1%25eth0]:05?x", inet("[fe80::1%25eth0]", 5)),
            ("tcp://1.2.3.4", inet("1.2.3.4", 0)),
            ("unix:a.sock", Ok(Listening::Unix(b"a.sock"))),
            ("UNIX:/run/a:b", Ok(Listening::Unix(b"/run/a:b"))),
            ("unix:///run/a", Ok(Listening::Unix(b"/run/a"))),
        ] {
            assert_eq!(listening(url.as_bytes()), want, "{url}");
        }
    }

    #[test]
    fn listening_urls_with_errors() {
        for (url, want) in [
            ("", "empty"),
            ("htp://:80", "scheme"),
            ("://:80", "scheme"),
            (" http://:80", "scheme"),
            ("http:127.0.0.1:80", "//"),
            ("http:/127.0.0.1:80", "//"),
            ("TCP::80", "//"),
            ("http://127.0.0.1:", "empty port"),
            ("http://127.0.0.1:/", "empty port"),
            ("http://127.0.0.1:99999", "65535"),
            ("http://127.0.0.1:65536", "65535"),
            ("http://127.0.0.1:99999999999999999999999", "65535"),
            ("http://127.0.0.1: 80", "no number"),
            ("http://127.0.0.1:80 ", "no number"),
            ("http://127.0.0.1:+80", "no number"),
            ("http://127.0.0.1:-1", "no number"),
            ("http://127.0.0.1:http", "no number"),
            ("http://127.0.0.1:80a/", "no number"),
            ("http://::1:80", "no number"),
            ("unix:", "no path"),
            ("unix://", "no path"),
            ("unix:///", "no path"),
            ("unix://run/a", "host"),
        ] {
            let got = listening(url.as_bytes());
            assert!(got.as_ref().is_err_and(|what| what.contains(want)), "{url}: {got:?}");
        }
    }

    #[test]
    fn spaces_and_a_plus_sign_before_a_port() {
        for url in ["http://h: 81", "http://h:+81/x", "http://h:\t\n\x0b\x0c\r +81", "h: 81x"] {
            assert_eq!(port(url.as_bytes()), 81, "{url:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 5000 }))]
        #[test]
        fn arbitrary_urls_do_not_panic(url in "[a/:@?0\\]\\[]{0,24}") {
            let url = url.as_bytes();
            let inside = |s: &[u8]| s.is_empty() || url.as_ptr_range().contains(&s.as_ptr());
            prop_assert!(inside(host(url)) && inside(user(url)) && inside(password(url)));
            prop_assert!(uri(url).is_none_or(|s| s.starts_with(b"/")));
            port(url);
            let _ = listening(url);
        }
    }
}

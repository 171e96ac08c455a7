//! Rejects input that another parser might read differently, and decides which rejected requests get a response.
//!
//! Two parsers that read a stream differently see different requests: that is how requests are smuggled past a proxy. So anything
//! that another parser may well read differently is refused.

/// True if the text is a token, such as a header name (RFC 9110, 5.6.2). Empty text is not.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| is_token_byte(b))
}

#[inline]
pub(crate) fn is_token_byte(b: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut b = 0x21;
        while b < 0x7f {
            table[b as usize] = !matches!(
                b,
                b'"' | b'('
                    | b')'
                    | b','
                    | b'/'
                    | b':'
                    | b';'
                    | b'<'
                    | b'='
                    | b'>'
                    | b'?'
                    | b'@'
                    | b'['
                    | b'\\'
                    | b']'
                    | b'{'
                    | b'}'
            );
            b += 1;
        }
        table
    };
    TOKEN[b as usize]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coding {
    Chunked,
    /// An unknown transfer coding.
    Unknown,
    /// Not a list of codings, or one after which the end of the body is undefined.
    Invalid,
}

/// Parses a Transfer-Encoding.
pub(crate) fn coding(value: &[u8]) -> Coding {
    let is_chunked = |name: &[u8]| name.eq_ignore_ascii_case(b"chunked");
    if is_chunked(value) {
        return Coding::Chunked;
    }
    let mut names = value.split(|b| *b == b',').map(<[u8]>::trim_ascii).rev();
    let last = names.next().is_some_and(is_token);
    // `chunked` must be last and occur once.
    if last && names.all(|name| is_token(name) && !is_chunked(name)) { Coding::Unknown } else { Coding::Invalid }
}

/// True if the head has what HTTP/1.1 requires: the version, in a line that looks like a request line, and a Host. Such a client
/// gets a response when its request is refused. None until enough of the head has arrived. For heads that no parser accepts:
/// lines may end in LF, CRLF or CR, and contain any bytes.
pub(crate) fn expects_answer(data: &[u8]) -> Option<bool> {
    #[cfg(test)]
    crate::proto::meter::add(data.len());
    let first = memchr::memchr(b'\n', data);
    let method = data.iter().position(|&b| !is_token_byte(b)).unwrap_or(data.len());
    if method == 0 && !data.is_empty() || data.get(method).is_some_and(|b| *b != b' ') {
        return Some(false);
    }
    let first = &data[..first?];
    if !says_http11(first) {
        return Some(false);
    }
    end_of_head(data, 0).map(|end| has_host(&data[..end]))
}

/// Like [`expects_answer`], for a head of which no more will arrive.
pub(crate) fn expects_answer_now(data: &[u8]) -> bool {
    expects_answer(data).unwrap_or_else(|| {
        let first = memchr::memchr(b'\n', data).unwrap_or(data.len());
        says_http11(&data[..first]) && has_host(data)
    })
}

/// The end of the first blank line. The first `seen` bytes are known to contain none.
pub(crate) fn end_of_head(data: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(2).min(data.len());
    #[cfg(test)]
    crate::proto::meter::add(data.len() - from);
    memchr::memchr_iter(b'\n', &data[from..]).map(|i| from + i + 1).find_map(|next| match data.get(next..)? {
        [b'\n', ..] => Some(next + 1),
        [b'\r', b'\n', ..] => Some(next + 2),
        _ => None,
    })
}

fn says_http11(line: &[u8]) -> bool {
    let part = line.split(|b| *b == b'\r').next().unwrap_or(line).trim_ascii_end();
    let version = part.len().checked_sub(9).map(|i| &part[i..]);
    version.is_some_and(|v| v[0].is_ascii_whitespace() && v[1..].eq_ignore_ascii_case(b"HTTP/1.1"))
}

fn has_host(lines: &[u8]) -> bool {
    let is_host = |line: &[u8]| {
        memchr::memchr(b':', line).is_some_and(|colon| line[..colon].trim_ascii_end().eq_ignore_ascii_case(b"host"))
    };
    lines.split(|b| matches!(b, b'\r' | b'\n')).any(is_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for b in 0..=255u8 {
            let want = b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            assert_eq!(is_token(&[b'a', b]), want, "{b}");
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn transfer_codings() {
        for (value, want) in [
            ("chunked", Coding::Chunked),
            ("cHUNKED", Coding::Chunked),
            ("gzip", Coding::Unknown),
            ("identity", Coding::Unknown),
            ("gzip, chunked", Coding::Unknown),
            ("", Coding::Invalid),
            (",chunked", Coding::Invalid),
            ("chunked,", Coding::Invalid),
            ("chunked, chunked", Coding::Invalid),
            ("chunked, gzip", Coding::Invalid),
            ("chunked;q=1", Coding::Invalid),
            ("\"chunked\"", Coding::Invalid),
            ("chunked chunked", Coding::Invalid),
            ("chunked\u{a0}", Coding::Invalid),
        ] {
            assert_eq!(coding(value.as_bytes()), want, "{value:?}");
        }
    }

    #[test]
    fn only_http11_with_a_host_gets_a_response() {
        for (head, want) in [
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", Some(true)),
            ("GET / HTTP/1.1\nhOST :\n\n", Some(true)),
            ("GET / HTTP/1.1 \r\nA: \0\r\nHost: h\r\n\r\n", Some(true)),
            ("GET / HTTP/1.1\rA: b\rHost: h\r\n\r\n", Some(true)),
            ("GET /\0 HTTP/1.1\r\r\nHost: h\r\n\n", Some(true)),
            ("M-SEARCH * http/1.1\r\nHost: h\r\n\r\n", Some(true)),
            ("GET / HTTP/1.1\r\nHost: h\r\n", None),
            ("GET / HTTP/1.1", None),
            ("GET", None),
            ("", None),
            ("GET / HTTP/1.1\r\nHosts: h\r\nHost\r\n: h\r\n\r\n", Some(false)),
            ("GET / HTTP/1.1\r\n\r\nHost: h\r\n\r\n", Some(false)),
            ("GET / HTTP/1.0\r\n", Some(false)),
            ("GET /HTTP/1.1\r\n", Some(false)),
            ("HTTP/1.1 200 HTTP/1.1\r\n", Some(false)),
            ("GE\0T / HTTP/1.1\r\nHost: h\r\n\r\n", Some(false)),
            ("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", Some(false)),
            ("\x16\x03\x01", Some(false)),
        ] {
            assert_eq!(expects_answer(head.as_bytes()), want, "{head:?}");
            // An early decision equals the final one.
            for n in 0..head.len() {
                let early = expects_answer(&head.as_bytes()[..n]);
                assert!(early.is_none() || early == want, "{head:?} cut at {n}");
            }
        }
        assert!(expects_answer_now(b"GET / HTTP/1.1\r\nHost: h\r\nX: y"));
        assert!(!expects_answer_now(b"GET / HTTP/1.1\r\nX: Host: h"));
        assert!(!expects_answer_now(b"GET /aaaa"));
    }

    #[test]
    fn the_end_of_a_head_is_found_however_it_is_split() {
        for (head, end) in [("a\n\nb", Some(3)), ("a\r\n\r\nb", Some(5)), ("a\n\r\n", Some(4)), ("a\r\n\r\r\n", None)] {
            assert_eq!(end_of_head(head.as_bytes(), 0), end, "{head:?}");
            let mut seen = 0;
            let found = (0..=head.len()).find_map(|n| {
                let found = end_of_head(&head.as_bytes()[..n], seen);
                seen = n;
                found
            });
            assert_eq!(found, end, "{head:?}");
        }
    }
}

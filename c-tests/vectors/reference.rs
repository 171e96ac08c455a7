//! An independent implementation of HTTP/1.1: how RFC 9112 delimits a stream of requests, for the tests to compare with.
//! Written for readability, not for speed, and without regard to the library's parsers.
//!
//! It takes what the library has to go on taking: LF for CRLF in heads, several blanks in the first line, any method and target,
//! a missing Host.

use libtest_mimic::Failed;

type Request = (Vec<u8>, Vec<u8>);

/// Path and body of each complete request at the start of `input`, up to the first one that is not well-formed.
pub fn requests(input: &[u8]) -> Vec<Request> {
    let mut reader = Reader { input, at: 0 };
    std::iter::from_fn(|| reader.request()).collect()
}

pub fn check() -> Result<(), Failed> {
    let paths = |text: &str| -> Vec<String> {
        let show = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        requests(text.as_bytes()).iter().map(|(path, body)| format!("{} {}", show(path), show(body))).collect()
    };
    assert_eq!(
        paths(
            "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\nPUT /c HTTP/1.1\nContent-Length: 3\n\nxyzPOST  /d HTTP/1.1\r\n\
             Transfer-Encoding: chunked\r\n\r\n2;e\r\nhi\r\n0\r\nA: b\r\n\r\nGET /e HTTP/1.1\r\nA : b\r\n\r\n"
        ),
        ["/a ", "/c xyz", "/d hi"]
    );
    for bad in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nA\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
        "GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\nx",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "GET / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    ] {
        assert!(requests(bad.as_bytes()).is_empty(), "{bad:?}");
    }
    Ok(())
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let part = self.input.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(part)
    }

    /// The text up to the next line end. None also for a line with a byte that none may have.
    fn line(&mut self, bare_lf: bool) -> Option<&'a [u8]> {
        let rest = &self.input[self.at..];
        let line = &rest[..rest.iter().position(|b| *b == b'\n')?];
        self.at += line.len() + 1;
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            None if bare_lf => line,
            None => return None,
        };
        line.iter().all(|b| *b >= b' ' || *b == b'\t').then_some(line)
    }

    fn field(line: &'a [u8]) -> Option<(String, &'a [u8])> {
        let colon = line.iter().position(|b| *b == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        (!name.is_empty() && name.chars().all(is_token)).then(|| (name.to_ascii_lowercase(), line[colon + 1..].trim_ascii()))
    }

    fn request(&mut self) -> Option<Request> {
        let mut line = self.line(true)?;
        for _ in 0..8 {
            if line.is_empty() {
                line = self.line(true)?;
            }
        }
        let word = |text: &'a [u8]| -> Option<(&'a [u8], &'a [u8])> {
            let end = text.iter().position(|b| *b == b' ')?;
            let blanks = text[end..].iter().take_while(|b| **b == b' ').count();
            let plain = text[..end].iter().all(|b| *b > b' ' && *b != 0x7f);
            (end > 0 && plain).then_some((&text[..end], &text[end + blanks..]))
        };
        let (method, rest) = word(line)?;
        let (target, version) = word(rest)?;
        let version = version.to_ascii_uppercase();
        let is_response = method.len() > 5 && method[..5].eq_ignore_ascii_case(b"HTTP/");
        let digits = match &version[..] {
            [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] => (*major, *minor),
            _ if is_response => (b'1', b'1'),
            _ => return None,
        };
        let path = target.split(|b| *b == b'?').next().unwrap();
        if path.is_empty() {
            return None;
        }

        let (mut lengths, mut codings) = (Vec::new(), Vec::new());
        loop {
            let line = self.line(true)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = Self::field(line)?;
            match &name[..] {
                "content-length" => lengths.push(value),
                "transfer-encoding" => codings.push(value),
                _ => {}
            }
        }
        let body = match (&lengths[..], &codings[..]) {
            ([], []) => Vec::new(),
            ([length], []) => {
                let n = std::str::from_utf8(length).ok().filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?;
                self.take(n.parse().ok()?)?.to_vec()
            }
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && (is_response || digits.0 == b'1' && digits.1 > b'0') => {
                self.chunks()?
            }
            _ => return None,
        };
        Some((Self::origin(path)?.to_vec(), body))
    }

    /// The path of an absolute URI; any other target as it is.
    fn origin(target: &[u8]) -> Option<&[u8]> {
        let text = std::str::from_utf8(target).unwrap_or_default();
        let Some((scheme, rest)) = text.split_once("://") else { return Some(target) };
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if !is_scheme {
            return Some(target);
        }
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let host = authority.rsplit('@').next().unwrap();
        (!host.is_empty()).then_some(path.as_bytes())
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line(false)?;
            let digits = line.split(|b| *b == b';').next().unwrap();
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            let size = usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).ok()?;
            if size == 0 {
                break;
            }
            body.extend(self.take(size)?);
            if self.take(2)? != b"\r\n" {
                return None;
            }
        }
        loop {
            let line = self.line(false)?;
            if line.is_empty() {
                return Some(body);
            }
            Self::field(line)?;
        }
    }
}

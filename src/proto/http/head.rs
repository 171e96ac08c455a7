//! HTTP message heads.

use super::strict::is_token;

/// Whose rules apply to a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// An application that calls `mg_http_parse`. Headers that do not fit into the message are ignored.
    Program,
    /// A server: anything that another parser might read differently is malformed, in every header.
    Server,
    /// A client: like a server, but header names may contain non-token characters, and equal Content-Lengths count as one.
    Client,
}

impl Reader {
    /// The headers that must not be repeated.
    fn once(self) -> u8 {
        match self {
            Reader::Program => CONTENT_LENGTH | TRANSFER_ENCODING | AUTHORIZATION | COOKIE | CONNECTION,
            Reader::Server => CONTENT_LENGTH | TRANSFER_ENCODING | AUTHORIZATION,
            Reader::Client => TRANSFER_ENCODING | AUTHORIZATION,
        }
    }
}

/// Headers that the engine acts on, wherever they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) length: Option<usize>,
    pub(crate) coding: Option<&'a [u8]>,
    /// Connection contains `close`, or `keep-alive`, in any of its lines.
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    /// Expect is `100-continue`.
    pub(crate) expects: bool,
    pub(crate) authorized: bool,
}

/// Value of `Head::body_len` and `Head::message_len` if the message lasts until the connection closes.
pub(crate) const UNTIL_CLOSE: usize = usize::MAX;

/// The bytes can never become a message, whatever follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The parts of a complete head, as slices of its bytes.
///
/// In a response `method` is the version, `uri` the status and `proto` the reason phrase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) uri: &'a [u8],
    pub(crate) query: Option<&'a [u8]>,
    pub(crate) proto: &'a [u8],
    /// Length of start line, headers and blank line; the body starts here.
    pub(crate) len: usize,
    pub(crate) body_len: usize,
    pub(crate) message_len: usize,
    pub(crate) fields: Fields<'a>,
}

impl Head<'_> {
    pub(crate) fn is_response(&self) -> bool {
        is_response(self.method)
    }
}

#[inline]
fn is_response(method: &[u8]) -> bool {
    method.len() > 5 && starts_http(method)
}

/// Length of the head at the start of `buf`; None until its blank line has arrived.
#[inline]
pub(crate) fn request_len(buf: &[u8]) -> Result<Option<usize>, Malformed> {
    request_len_after(buf, 0)
}

/// Like [`request_len`], for a head that arrives in pieces: the first `seen` bytes were already examined.
#[inline]
pub(crate) fn request_len_after(buf: &[u8], seen: usize) -> Result<Option<usize>, Malformed> {
    let mut i = seen;
    loop {
        i = next_control(buf, i);
        match buf.get(i) {
            None => return Ok(None),
            Some(b'\n') => {
                let bare = i >= 1 && buf[i - 1] == b'\n';
                if bare || (i >= 4 && buf[i - 1] == b'\r' && buf[i - 2] == b'\n') {
                    return Ok(Some(i + 1));
                }
            }
            Some(b'\r' | b'\t') => {}
            Some(_) => return Err(Malformed),
        }
        i += 1;
    }
}

/// Maximum number of empty lines skipped before a message.
pub(crate) const BLANK_LINES: usize = 8;

/// Empty lines before a message, which a robust reader skips (RFC 9112, 2.2): their length in bytes, and their number. A CR at the
/// end of `buf` may still become one.
pub(crate) fn blank_lines(buf: &[u8]) -> (usize, usize) {
    let (mut len, mut lines) = (0, 0);
    loop {
        len += match buf.get(len..) {
            Some([b'\n', ..]) => 1,
            Some([b'\r', b'\n', ..]) => 2,
            _ => return (len, lines),
        };
        lines += 1;
    }
}

/// Parses the head at the start of `buf`; None while it is incomplete. Calls `header` with index, name and value of each header,
/// at most `max_headers`, even if the head turns out to be incomplete or malformed later.
///
/// Inlined with what it calls: a [`Head`] that is returned through memory is copied in larger pieces than it was written in, which
/// stalls the processor for longer than parsing takes.
#[inline(always)]
pub(crate) fn parse<'a>(
    buf: &'a [u8],
    reader: Reader,
    max_headers: usize,
    header: impl FnMut(usize, &'a [u8], &'a [u8]),
) -> Result<Option<Head<'a>>, Malformed> {
    // In one pass: complete heads are the rule.
    match parts(buf, reader, max_headers, header) {
        Ok(head) => Ok(Some(head)),
        Err(Malformed) => unfinished(buf).map(|()| None),
    }
}

/// What [`parts`] rejects is an error only if it is a whole head.
#[cold]
fn unfinished(buf: &[u8]) -> Result<(), Malformed> {
    request_len(buf)?.map_or(Ok(()), |_| Err(Malformed))
}

/// Parses lines up to the blank one; `head` may extend beyond it. Examines every control character, so the blank line is the one
/// that [`request_len`] finds.
#[inline(always)]
fn parts<'a>(
    head: &'a [u8],
    reader: Reader,
    max_headers: usize,
    mut header: impl FnMut(usize, &'a [u8], &'a [u8]),
) -> Result<Head<'a>, Malformed> {
    let method_end = token_end(head, 0, b' ');
    let uri_start = skip(head, method_end, |b| b == b' ');
    let uri_end = token_end(head, uri_start, b' ');
    let proto_start = skip(head, uri_end, |b| b == b' ');
    let (proto_end, mut at) = line_end(head, proto_start)?;
    let (method, target, proto) = (&head[..method_end], &head[uri_start..uri_end], &head[proto_start..proto_end]);
    let is_response = is_response(method);
    let (uri, query) = match target.iter().position(|&b| b == b'?') {
        Some(i) => (&target[..i], Some(&target[i + 1..])),
        None => (target, None),
    };
    if method.is_empty() || uri.is_empty() || !(is_response || is_version(proto)) {
        return Err(Malformed);
    }
    if is_response && reader == Reader::Client && !(is_version(method) && is_status(target)) {
        return Err(Malformed);
    }

    let once = reader.once();
    let mut count = 0;
    let mut seen = 0u8;
    let mut fields = Fields::default();
    let len = loop {
        match &head[at..] {
            [b'\n', ..] => break at + 1,
            [b'\r', b'\n', ..] => break at + 2,
            [] => return Err(Malformed),
            _ => {}
        }
        if count >= max_headers && reader == Reader::Program {
            let len = request_len(head)?.ok_or(Malformed)?;
            refuse_framing(&head[at..len])?;
            break len;
        }
        let mut name_end = next_unusual(head, at);
        if head.get(name_end) != Some(&b':') {
            name_end = token_end(head, name_end, b':');
            if reader == Reader::Server && !is_token(&head[at..name_end]) {
                return Err(Malformed);
            }
        }
        if name_end == at || head.get(name_end) != Some(&b':') {
            return Err(Malformed);
        }
        let start = skip(head, name_end + 1, is_blank);
        let (end, next) = line_end(head, start)?;
        let (name, value) = (&head[at..name_end], trim_end(&head[start..end]));
        let known = known(name);
        if known != 0 {
            if seen & known & once != 0 {
                return Err(Malformed);
            }
            seen |= known;
            fields.note(known, value, reader)?;
        }
        if count < max_headers {
            header(count, name, value);
        }
        count += 1;
        at = next;
    };

    // Two ways to delimit one body allow request smuggling.
    if seen & CONTENT_LENGTH != 0 && seen & TRANSFER_ENCODING != 0 {
        return Err(Malformed);
    }
    let (body_len, message_len) = match fields.length {
        // The original's result for applications.
        Some(usize::MAX) if !is_response && reader == Reader::Program => (0, len),
        Some(n) => (n, len.checked_add(n).ok_or(Malformed)?),
        None if is_response && uri != b"204" => (UNTIL_CLOSE, UNTIL_CLOSE),
        None => (0, len),
    };
    Ok(Head { method, uri, query, proto, len, body_len, message_len, fields })
}

impl<'a> Fields<'a> {
    /// Records a `known` header.
    #[inline]
    fn note(&mut self, known: u8, value: &'a [u8], reader: Reader) -> Result<(), Malformed> {
        match known {
            CONTENT_LENGTH => {
                let length = if reader == Reader::Client { response_length(value) } else { content_length(value) };
                if self.length.is_some_and(|before| Some(before) != length) {
                    return Err(Malformed);
                }
                self.length = Some(length.ok_or(Malformed)?);
            }
            TRANSFER_ENCODING => self.coding = Some(value),
            CONNECTION => {
                let has = |token: &[u8]| value.split(|b| *b == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(token));
                self.close |= has(b"close");
                self.keep_alive |= has(b"keep-alive");
            }
            AUTHORIZATION => self.authorized = true,
            EXPECT => self.expects |= value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
        Ok(())
    }
}

/// Authority, without user and password, and path of a target in absolute form (RFC 9112, 3.2.2) without its query. An empty path
/// becomes a slash. None for any other form.
pub(crate) fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    if !target.first()?.is_ascii_alphabetic() {
        return None;
    }
    let scheme = target.iter().position(|b| !b.is_ascii_alphanumeric() && !b"+-.".contains(b))?;
    let rest = target[scheme..].strip_prefix(b"://")?;
    let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority.iter().rposition(|b| *b == b'@').map_or(0, |at| at + 1);
    let path = if end < rest.len() { &rest[end..] } else { &target[scheme + 1..scheme + 2] };
    Some((&authority[host..], path))
}

/// The number at the start of a status or URI, by the rules of C's `atoi`, clamped to an `int`.
pub(crate) fn status(uri: &[u8]) -> i32 {
    let text = uri.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0i32, |n, &b| {
        let d = i32::from(b - b'0');
        let n = n.saturating_mul(10);
        if negative { n.saturating_sub(d) } else { n.saturating_add(d) }
    })
}

/// The value of parameter `name` in a header value such as `form-data; name="x"`, without its quotes.
///
/// The name must start a word, so that `name` does not match in `filename`.
pub(crate) fn parameter<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if name.is_empty() {
        return None;
    }
    let starts_word = |i: usize| i == 0 || matches!(value[i - 1], b';' | b',' | b' ' | b'\t');
    let found = |i: usize| value[i..].strip_prefix(name)?.strip_prefix(b"=");
    let text = (0..value.len()).filter(|&i| starts_word(i)).find_map(found)?;
    if let Some(quoted) = text.strip_prefix(b"\"") {
        return Some(memchr::memchr(b'"', quoted).map_or(text, |n| &quoted[..n]));
    }
    Some(&text[..memchr::memchr3(b';', b',', b' ', text).unwrap_or(text.len())])
}

/// Each byte of a word.
const ONES: u64 = u64::MAX / 255;
const TOP_BITS: u64 = ONES * 0x80;

/// The first byte at or after `from` for which `hit` holds; `buf.len()` if there is none. `hits` tests eight bytes at once and
/// sets the top bit of each hit. Borrows and carries may corrupt the bits above the first hit, never those below.
#[inline(always)]
fn find(buf: &[u8], from: usize, hits: impl Fn(u64) -> u64, hit: impl Fn(u8) -> bool) -> usize {
    let found = 'found: {
        let mut i = from;
        while let Some(word) = buf.get(i..).and_then(<[u8]>::first_chunk) {
            let hits = hits(u64::from_le_bytes(*word)) & TOP_BITS;
            if hits != 0 {
                break 'found i + (hits.trailing_zeros() / 8) as usize;
            }
            i += 8;
        }
        let rest = buf.len().saturating_sub(i);
        match buf.last_chunk() {
            // The last bytes, padded with zeros, which stop every caller.
            Some(word) if rest > 0 => {
                let hits = hits(u64::from_le_bytes(*word) >> (64 - 8 * rest)) & TOP_BITS;
                i + (hits.trailing_zeros() / 8) as usize
            }
            _ => skip(buf, i, |b| !hit(b)),
        }
    };
    #[cfg(test)]
    crate::proto::meter::add(found - from + 1);
    found
}

/// The first byte below SP at or after `from`.
#[inline]
fn next_control(buf: &[u8], from: usize) -> usize {
    find(buf, from, |w| w.wrapping_sub(ONES * 0x20) & !w, |b| b < b' ')
}

/// Where the line after the one at `from` starts; beyond the end of `lines` if there is none.
#[inline]
pub(crate) fn next_line(lines: &[u8], from: usize) -> usize {
    let mut i = from;
    loop {
        i = next_control(lines, i) + 1;
        if lines.get(i - 1).is_none_or(|b| *b == b'\n') {
            return i;
        }
    }
}

/// The first byte at or after `from` that is not printable ASCII, or is `stop`.
#[inline]
fn next_odd(buf: &[u8], from: usize, stop: u8) -> usize {
    let hits = |w: u64| {
        let is_stop = (w ^ (ONES * u64::from(stop))).wrapping_sub(ONES);
        w.wrapping_sub(ONES * 0x21) | w.wrapping_add(ONES) | w | is_stop
    };
    find(buf, from, hits, |b| !b.is_ascii_graphic() || b == stop)
}

/// The first byte at or after `from` that is neither a letter nor a hyphen.
#[inline]
fn next_unusual(buf: &[u8], from: usize) -> usize {
    let hits = |w: u64| {
        let lower = w | (ONES * 0x20);
        let from_a = lower.wrapping_add(ONES * u64::from(0x80 - b'a'));
        let above_z = lower.wrapping_add(ONES * u64::from(0x7f - b'z'));
        let no_hyphen = (w ^ (ONES * u64::from(b'-'))).wrapping_add(ONES * 0x7f);
        (!from_a | above_z) & no_hyphen | w
    };
    find(buf, from, hits, |b| !b.is_ascii_alphabetic() && b != b'-')
}

#[inline]
fn skip(buf: &[u8], from: usize, want: impl Fn(u8) -> bool) -> usize {
    let mut i = from;
    while buf.get(i).is_some_and(|&b| want(b)) {
        i += 1;
    }
    i
}

#[inline]
fn is_blank(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

#[inline]
fn trim_end(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Where the line that continues at `from` ends, and where the next one starts. A CR alone does not end a line and is not allowed
/// in one.
#[inline]
fn line_end(head: &[u8], from: usize) -> Result<(usize, usize), Malformed> {
    let mut i = from;
    loop {
        i = next_control(head, i);
        match head.get(i..) {
            Some([b'\n', ..]) => return Ok((i, i + 1)),
            Some([b'\r', b'\n', ..]) => return Ok((i, i + 2)),
            Some([b'\t', ..]) => i += 1,
            _ => return Err(Malformed),
        }
    }
}

/// Where the run of token characters at `from` ends: printable ASCII except `stop`, and anything shaped like UTF-8.
#[inline]
fn token_end(head: &[u8], from: usize, stop: u8) -> usize {
    let mut i = from;
    loop {
        i = next_odd(head, i, stop);
        let n = match head.get(i) {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf7) => 4,
            _ => return i,
        };
        if !head.get(i + 1..i + n).is_some_and(|rest| rest.iter().all(|b| b & 0xc0 == 0x80)) {
            return i;
        }
        i += n;
    }
}

#[inline]
pub(crate) fn is_version(proto: &[u8]) -> bool {
    matches!(proto, [_, _, _, _, _, b'0'..=b'9', b'.', b'0'..=b'9']) && starts_http(proto)
}

/// Three digits (RFC 9112, 4). Applications that call `mg_http_parse` get the text unchecked.
fn is_status(text: &[u8]) -> bool {
    text.len() == 3 && text.iter().all(u8::is_ascii_digit)
}

#[inline]
fn starts_http(text: &[u8]) -> bool {
    matches!(text, [b'H' | b'h', b'T' | b't', b'T' | b't', b'P' | b'p', b'/', ..])
}

/// The value of a Content-Length: digits only, and in range.
fn content_length(value: &[u8]) -> Option<usize> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0usize, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(usize::from(b - b'0')),
        _ => None,
    })
}

/// The Content-Length of a response: a number, or a list of equal numbers, because a server or a proxy has repeated it (RFC 9110,
/// 8.6).
pub(crate) fn response_length(value: &[u8]) -> Option<usize> {
    let mut numbers = value.split(|b| *b == b',').map(|n| content_length(n.trim_ascii()));
    let first = numbers.next()??;
    numbers.all(|n| n == Some(first)).then_some(first)
}

const CONTENT_LENGTH: u8 = 1;
const TRANSFER_ENCODING: u8 = 2;
const AUTHORIZATION: u8 = 4;
const COOKIE: u8 = 8;
const CONNECTION: u8 = 16;
const EXPECT: u8 = 32;

/// A bit for each header known here, 0 for all others.
#[inline]
fn known(name: &[u8]) -> u8 {
    let Some(first) = name.first() else { return 0 };
    let (known, bit): (&[u8], u8) = match (name.len(), first | 0x20) {
        (14, b'c') => (b"Content-Length", CONTENT_LENGTH),
        (17, b't') => (b"Transfer-Encoding", TRANSFER_ENCODING),
        (13, b'a') => (b"Authorization", AUTHORIZATION),
        (6, b'e') => (b"Expect", EXPECT),
        (6, b'c') => (b"Cookie", COOKIE),
        (10, b'c') => (b"Connection", CONNECTION),
        _ => return 0,
    };
    if name.eq_ignore_ascii_case(known) { bit } else { 0 }
}

/// Headers that did not fit are ignored, except those that determine where the message ends: a proxy reads them, and would
/// delimit messages differently. Parsed as leniently as any proxy might.
#[cold]
fn refuse_framing(rest: &[u8]) -> Result<(), Malformed> {
    if rest.split(|b| matches!(b, b'\r' | b'\n')).any(framing_name) { Err(Malformed) } else { Ok(()) }
}

/// True if a line, of whatever form, names a header that determines where the message ends.
pub(crate) fn framing_name(line: &[u8]) -> bool {
    let name = line.split(|&b| b == b':').next().unwrap_or(line).trim_ascii();
    known(name) & (CONTENT_LENGTH | TRANSFER_ENCODING) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Headers = Vec<(Vec<u8>, Vec<u8>)>;

    fn parsed(buf: &[u8]) -> Result<Option<(Head<'_>, Headers)>, Malformed> {
        read(buf, Reader::Program)
    }

    fn read(buf: &[u8], reader: Reader) -> Result<Option<(Head<'_>, Headers)>, Malformed> {
        let mut headers = Headers::new();
        let head = parse(buf, reader, 30, |i, name, value| {
            assert_eq!(i, headers.len());
            assert!(inside(buf, name) && inside(buf, value));
            headers.push((name.to_vec(), value.to_vec()));
        })?;
        Ok(head.map(|h| (h, headers)))
    }

    fn inside(buf: &[u8], part: &[u8]) -> bool {
        let (outer, inner) = (buf.as_ptr_range(), part.as_ptr_range());
        outer.start <= inner.start && inner.end <= outer.end
    }

    #[test]
    fn clients_require_a_version_and_a_three_digit_status() {
        for (line, fine) in [
            ("HTTP/1.1 200 OK", true),
            ("HTTP/1.0 999", true),
            ("http/2.0 204 x", true),
            ("HTTP/1.1 20 OK", false),
            ("HTTP/1.1 2000 OK", false),
            ("HTTP/1.1 -20 OK", false),
            ("HTTP/1.1 OK", false),
            ("HTTP/1.1 200?x OK", false),
            ("HTTP/x.y 200 OK", false),
            ("HTTP/1.10 200 OK", false),
        ] {
            let text = format!("{line}\r\n\r\n");
            assert_eq!(read(text.as_bytes(), Reader::Client).is_ok(), fine, "{line}");
            assert!(parsed(text.as_bytes()).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_response_has_more_than_the_name_of_the_protocol() {
        assert!(parsed(b"HTTP/1 x y\r\n\r\n").unwrap().unwrap().0.is_response());
        assert!(parsed(b"HTTP/ x y\r\n\r\n").is_err());
        assert!(!parsed(b"HTTP/ x HTTP/1.1\r\n\r\n").unwrap().unwrap().0.is_response());
    }

    #[test]
    fn head_ends_at_the_first_blank_line_of_either_kind() {
        for (text, want) in [
            ("", Ok(None)),
            ("GET / HTTP/1.1\r\n", Ok(None)),
            ("GET / HTTP/1.1\r\n\r", Ok(None)),
            ("a\r\n\r\nb", Ok(Some(5))),
            ("a\n\nb", Ok(Some(3))),
            ("\n\n", Ok(Some(2))),
            ("\r\n\r\n", Ok(None)),
            ("12345678\n\t1234567\r\n\r\n", Ok(Some(21))),
            ("a\0", Err(Malformed)),
            ("12345678123456781\x1f", Err(Malformed)),
            ("\x7f\n\n\0", Ok(Some(3))),
        ] {
            assert_eq!(request_len(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn word_search_equals_byte_search() {
        // The shorter one holds no word.
        for (byte, len) in (0..=255u8).flat_map(|byte| [(byte, 7), (byte, 17)]) {
            for at in 0..len {
                let with = |other: u8| (0..len).map(|i| if i == at { byte } else { other }).collect::<Vec<_>>();
                let first = |hit: bool| if hit { at } else { len };
                let unusual = !byte.is_ascii_alphabetic() && byte != b'-';
                assert_eq!(next_unusual(&with(b'z'), 0), first(unusual), "{byte} at {at} of {len}");
                assert_eq!(next_control(&with(b'/'), 0), first(byte < 0x20), "{byte} at {at} of {len}");
                let odd = !byte.is_ascii_graphic() || byte == b':';
                assert_eq!(next_odd(&with(b'/'), 0, b':'), first(odd), "{byte} at {at} of {len}");
            }
        }
    }

    #[test]
    fn lines_end_with_a_line_feed() {
        let lines = b"a\nbc\r\n\n\td\re";
        let starts = core::iter::successors(Some(0), |&at| (at < lines.len()).then(|| next_line(lines, at)));
        assert_eq!(starts.collect::<Vec<_>>(), [0, 2, 6, 7, lines.len() + 1]);
    }

    #[test]
    fn targets_may_contain_characters_of_any_length() {
        for character in ["\u{e9}", "\u{20ac}", "\u{1f600}"] {
            let head = format!("GET /{character} HTTP/1.1\r\n\r\n").into_bytes();
            assert_eq!(parsed(&head).unwrap().unwrap().0.uri, format!("/{character}").as_bytes());
            let cut = [&head[..4 + character.len()], &head[5 + character.len()..]].concat();
            assert!(parsed(&cut).is_err(), "{character}");
        }
    }

    #[test]
    fn framing_headers_after_the_limit_are_refused_others_ignored() {
        let head = |last: &str| {
            let mut text = String::from("POST / HTTP/1.1\r\n");
            (0..30).for_each(|i| text.push_str(&format!("H{i}: v\r\n")));
            text + last + "\r\n\r\n"
        };
        for ok in ["X: 1", "no colon at all", "X-Content-Length: 1", "Content-Length-X: 1", "A\rB"] {
            assert!(parsed(head(ok).as_bytes()).unwrap().is_some_and(|(h, _)| h.body_len == 0), "{ok:?}");
        }
        for bad in
            ["Content-Length: 1", "transfer-encoding:chunked", " Content-Length : 1", "A\rContent-Length: 1", "Content-Length"]
        {
            assert!(parsed(head(bad).as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_engine_reads_every_header_by_the_same_rules() {
        let many = "A: b\r\n".repeat(40);
        for front in ["", &many] {
            let server =
                |lines: &str| read(format!("POST / HTTP/1.1\r\n{front}{lines}\r\n\r\n").as_bytes(), Reader::Server).is_ok();
            for ok in ["X: 1", "Content-Length: 1", "Cookie: a\r\nCookie: b", "Connection: a\r\nconnection: b", "Expect: x"] {
                assert!(server(ok), "{ok:?}");
            }
            for bad in ["no colon at all", "A\rB: c", "A/b: c", "Authorization: a\r\nAuthorization: a", "Content-Length: x"] {
                assert!(!server(bad), "{bad:?}");
            }
            assert!(read(format!("HTTP/1.1 200 OK\r\n{front}A/b: c\r\n\r\n").as_bytes(), Reader::Client).is_ok());
        }
    }

    #[test]
    fn empty_lines_are_counted() {
        for (text, want) in [
            ("", (0, 0)),
            ("a", (0, 0)),
            ("\r\n", (2, 1)),
            ("\n\r\n\na\n", (4, 3)),
            ("\r", (0, 0)),
            ("\r\n\r", (2, 1)),
            ("\r\r\n", (0, 0)),
        ] {
            assert_eq!(blank_lines(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn absolute_targets_have_a_host_and_a_path() {
        for (target, want) in [
            ("http://h/a", Some(("h", "/a"))),
            ("HTTPS://u:p@h:8/a/b@c", Some(("h:8", "/a/b@c"))),
            ("a+b-c.1://h", Some(("h", "/"))),
            ("http:///a", Some(("", "/a"))),
            ("http://u@/a", Some(("", "/a"))),
            ("/a", None),
            ("*", None),
            ("h:80", None),
            ("1http://h/", None),
            ("ht/tp://h/", None),
            ("http:/h", None),
            ("", None),
        ] {
            let text = |b| std::str::from_utf8(b).unwrap();
            assert_eq!(absolute(target.as_bytes()).map(|(h, p)| (text(h), text(p))), want, "{target:?}");
        }
    }

    #[test]
    fn status_fits_an_int() {
        assert_eq!(status(b"99999999999"), i32::MAX);
        assert_eq!(status(b"-99999999999"), i32::MIN);
        assert_eq!(status(b"-2147483648"), i32::MIN);
        assert_eq!(status(b" \t+12x"), 12);
        assert_eq!(status(b"-"), 0);
    }

    fn heads() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "[A-Za-z-]{1,12}: ?[ -~]{0,20}[ \t]{0,2}",
            "(Content-Length|Transfer-Encoding|Cookie|Connection): ?[0-9a-z]{0,3}",
            "[\\PC]{0,12}",
        ];
        let end = prop_oneof![Just("\r\n"), Just("\n"), Just("\r")];
        let start = prop_oneof![3 => "(GET|POST|HTTP/1.1) [ -~]{1,9}( HTTP/1.1)?", 1 => "[\\PC]{0,12}"];
        (start, prop::collection::vec((end, line), 0..6)).prop_map(|(start, lines)| {
            let mut text = start;
            lines.iter().for_each(|(end, line)| text.extend([*end, line.as_str()]));
            (text + "\r\n\r\n").into_bytes()
        })
    }

    proptest! {
        #[test]
        fn parts_lie_inside_the_buffer_for_arbitrary_bytes(buf in prop_oneof![heads(), prop::collection::vec(any::<u8>(), 0..80)]) {
            for reader in [Reader::Program, Reader::Server, Reader::Client] {
                if let Ok(Some((h, _))) = read(&buf, reader) {
                    prop_assert!(h.len <= buf.len() && h.message_len >= h.len);
                    prop_assert!([h.method, h.uri, h.query.unwrap_or(h.uri), h.proto].iter().all(|s| inside(&buf[..h.len], s)));
                    absolute(h.uri);
                }
            }
        }

        #[test]
        fn what_follows_a_head_does_not_matter(buf in heads(), tail in prop_oneof![Just(vec![]), heads()], cut in 0usize..200) {
            let whole = [&buf[..], &tail].concat();
            for buf in [&buf[..], &whole, &buf[..cut.min(buf.len())]] {
                for reader in [Reader::Program, Reader::Server, Reader::Client] {
                    for most in [1, 30] {
                        let (mut once, mut twice) = (Vec::new(), Vec::new());
                        let found = parse(buf, reader, most, |_, name, value| once.push((name, value)));
                        // Its end first, then only its own bytes.
                        let wanted = request_len(buf).and_then(|len| match len {
                            Some(len) => parts(&buf[..len], reader, most, |_, name, value| twice.push((name, value))).map(Some),
                            None => Ok(None),
                        });
                        prop_assert_eq!(format!("{:?}", found), format!("{:?}", wanted));
                        prop_assert!(!matches!(found, Ok(Some(_))) || once == twice);
                    }
                }
            }
        }

        #[test]
        fn a_truncated_head_is_incomplete(buf in heads()) {
            if let Ok(Some((h, _))) = parsed(&buf) {
                for n in 0..h.len {
                    prop_assert!(matches!(parsed(&buf[..n]), Ok(None)));
                }
            }
        }

        #[test]
        fn parameters_are_found_inside_the_value(value in "[ab=;, \"]{0,16}", name in "[ab]{0,2}") {
            if let Some(v) = parameter(value.as_bytes(), name.as_bytes()) {
                prop_assert!(inside(value.as_bytes(), v));
            }
        }
    }
}

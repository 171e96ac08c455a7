//! httparse as a second opinion on heads, and the known classes of differences. Apart from those both agree: accepted or not,
//! with the same end, method, target and headers. Shared by the fuzz target `framing` and `c-tests/vectors/smuggling.rs`.

/// What a parser makes of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    Head { len: usize, method: &'a [u8], target: &'a [u8], headers: Vec<(&'a [u8], &'a [u8])> },
    Incomplete,
    Refused,
}

/// What httparse makes of a request.
pub fn request(input: &[u8]) -> Verdict<'_> {
    let mut headers = vec![httparse::EMPTY_HEADER; input.len() / 3 + 1];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(input) {
        Ok(httparse::Status::Complete(len)) => Verdict::Head {
            len,
            method: request.method.unwrap_or_default().as_bytes(),
            target: request.path.unwrap_or_default().as_bytes(),
            headers: request.headers.iter().map(|h| (h.name.as_bytes(), h.value)).collect(),
        },
        Ok(httparse::Status::Partial) => Verdict::Incomplete,
        Err(_) => Verdict::Refused,
    }
}

/// Why the two may differ; None when they may not. `input` begins with no empty line.
pub fn excuse(input: &[u8], ours: &Verdict, theirs: &Verdict) -> Option<&'static str> {
    match (ours, theirs) {
        (Verdict::Head { len, .. }, Verdict::Refused | Verdict::Incomplete) => we_accept(&input[..*len]),
        (Verdict::Refused, Verdict::Head { len, .. }) => they_accept(&input[..*len]),
        // We look at a head when it is complete, and at control bytes before that.
        (Verdict::Incomplete, Verdict::Refused) => Some("refused before the end of the head"),
        (Verdict::Refused, Verdict::Incomplete) => {
            Some("a byte not allowed in a head, or a malformed line after a truncated one")
        }
        _ => None,
    }
}

fn first_line(head: &[u8]) -> &[u8] {
    let line = head.split(|b| *b == b'\n').next().unwrap_or(head);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Only we accept it: what programs written for the C library rely on.
fn we_accept(head: &[u8]) -> Option<&'static str> {
    let line = first_line(head);
    if line.windows(2).any(|w| w == b"  ") {
        return Some("several spaces in the first line");
    }
    if !line.ends_with(b" HTTP/1.1") && !line.ends_with(b" HTTP/1.0") {
        return Some("a version other than HTTP/1.0 and HTTP/1.1, or in other letters");
    }
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    if !line.iter().take_while(|b| **b != b' ').all(is_token) {
        return Some("a method that is not a token");
    }
    if !line.is_ascii() || line.contains(&0x7f) {
        return Some("a target beyond ASCII");
    }
    head.contains(&0x7f).then_some("DEL in a header value")
}

/// Only they accept it: what we refuse because somebody else might read it differently.
fn they_accept(head: &[u8]) -> Option<&'static str> {
    let line = first_line(head);
    let target = line.split(|b| *b == b' ').nth(1).unwrap_or_default();
    if target.is_empty() || target.starts_with(b"?") {
        return Some("a target without a path");
    }
    if !target.iter().all(u8::is_ascii_graphic) {
        return Some("a target that is not UTF-8");
    }
    let mut headers = [httparse::EMPTY_HEADER; 1000];
    let mut request = httparse::Request::new(&mut headers);
    let _ = request.parse(head);
    let all =
        |name: &str| request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value).collect::<Vec<_>>();
    let (lengths, codings) = (all("Content-Length"), all("Transfer-Encoding"));
    if lengths.len() > 1 || codings.len() > 1 || all("Authorization").len() > 1 {
        return Some("a header that may occur once occurs twice");
    }
    if !lengths.is_empty() && !codings.is_empty() {
        return Some("Content-Length beside Transfer-Encoding");
    }
    let is_length = |v: &&[u8]| !v.is_empty() && v.iter().all(u8::is_ascii_digit);
    let fits = |v: &&[u8]| {
        std::str::from_utf8(v).ok().and_then(|v| v.parse::<usize>().ok()).is_some_and(|n| n.checked_add(head.len()).is_some())
    };
    if lengths.iter().any(|v| !is_length(v) || !fits(v)) {
        return Some("a Content-Length that is no number, or too large");
    }
    // Whoever sends it in an older version does not mean what we would read.
    (!codings.is_empty() && !line.ends_with(b"HTTP/1.1")).then_some("Transfer-Encoding before HTTP/1.1")
}

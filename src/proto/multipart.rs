//! Parts of a multipart body (RFC 2046, 5.1; RFC 7578). The boundary is not passed in but detected in the body.

use super::http::{self, strict::is_token_byte};
use memchr::memmem;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) name: Option<&'a [u8]>,
    pub(crate) filename: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
    /// Where the next boundary line starts.
    pub(crate) next: usize,
}

/// Maximum offset of the first boundary line.
const PREAMBLE_MAX: usize = 16 << 10;
/// RFC 2046 allows 70 characters plus the two dashes, but not all clients comply.
const DELIMITER_MAX: usize = 256;

/// The part whose boundary line starts at `ofs`; 0 means the first part, after any preamble. None if there is none, or if it does
/// not end with a boundary line, so that it may be incomplete.
pub(crate) fn next(body: &[u8], ofs: usize) -> Option<Part<'_>> {
    let (first, delimiter) = delimiter(body)?;
    match ofs {
        0 => part(body, first, delimiter),
        _ if ofs < first => None,
        _ => part(body, ofs, delimiter),
    }
}

/// The first boundary line of the body: its position, and its text without padding. Only the first is tried: later candidates
/// may be data.
fn delimiter(body: &[u8]) -> Option<(usize, &[u8])> {
    let preamble = &body[..body.len().min(PREAMBLE_MAX)];
    let lines = memmem::find_iter(preamble, b"\r\n--").map(|i| i + 2);
    preamble.starts_with(b"--").then_some(0).into_iter().chain(lines).find_map(|at| {
        let (text, next) = line(body, at, DELIMITER_MAX)?;
        let text = without_padding(text);
        let is_boundary = text.len() > 2 && text.iter().all(|c| matches!(c, b' '..=b'~'));
        let follows = &body[next..];
        // After a similar line in a preamble, neither headers nor their end follow.
        let opens = match body[..at].iter().all(|c| matches!(c, b'\r' | b'\n')) {
            true => !follows.starts_with(b"--"),
            false => follows.starts_with(b"\r\n") || is_header(follows),
        };
        (is_boundary && opens).then_some((at, text))
    })
}

/// True if a header begins here: a name and a colon.
fn is_header(s: &[u8]) -> bool {
    let name = s.iter().position(|&c| !is_token_byte(c)).unwrap_or(s.len());
    name > 0 && s[name..].starts_with(b":")
}

/// The text from `at` to the next CRLF, which must begin within `most` bytes, and the position after it.
fn line(body: &[u8], at: usize, most: usize) -> Option<(&[u8], usize)> {
    let rest = body.get(at..)?;
    let end = memmem::find(&rest[..rest.len().min(most.saturating_add(2))], b"\r\n")?;
    Some((&rest[..end], at + end + 2))
}

/// Removes the blanks that gateways may append to a boundary.
fn without_padding(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|c| !matches!(c, b' ' | b'\t')).map_or(0, |i| i + 1);
    &line[..end]
}

/// A boundary line.
#[derive(Clone, Copy, PartialEq)]
enum Line {
    /// A part begins at this place.
    Opens(usize),
    /// The last one.
    Closes,
}

impl Line {
    /// Parses the boundary line at `at`: the boundary, optional two dashes, padding, and the end of the line or body. Longer text
    /// with the same beginning is data.
    fn at(body: &[u8], at: usize, delimiter: &[u8]) -> Option<Line> {
        let rest = body.get(at..)?.strip_prefix(delimiter)?;
        let (closes, tail) = rest.strip_prefix(b"--").map_or((false, rest), |tail| (true, tail));
        let padding = tail.iter().position(|c| !matches!(c, b' ' | b'\t')).unwrap_or(tail.len());
        let end = tail.len() == padding || tail[padding..].starts_with(b"\r\n");
        match (end, closes) {
            (false, _) => None,
            (true, true) => Some(Line::Closes),
            (true, false) => Some(Line::Opens((body.len() - tail.len() + padding + 2).min(body.len()))),
        }
    }
}

/// The part whose boundary line is at `at`.
fn part<'a>(body: &'a [u8], at: usize, delimiter: &[u8]) -> Option<Part<'a>> {
    let Some(Line::Opens(mut at)) = Line::at(body, at, delimiter) else { return None };
    let (mut name, mut filename) = (None, None);
    let start = loop {
        if Line::at(body, at, delimiter).is_some() {
            // The headers are incomplete: there is no body.
            return Some(Part { name, filename, body: &body[at..at], next: at });
        }
        let (_, mut end) = line(body, at, usize::MAX)?;
        if end == at + 2 {
            break end;
        }
        // Lines that begin with a space or tab continue the previous header.
        while matches!(body.get(end), Some(b' ' | b'\t')) {
            (_, end) = line(body, end, usize::MAX)?;
        }
        if let Some(value) = disposition(&body[at..end - 2]) {
            (name, filename) = (parameter(value, b"name"), parameter(value, b"filename"));
        }
        at = end;
    };
    // The empty line before a boundary may belong to the boundary.
    let first = Line::at(body, start, delimiter).map(|_| (start, start));
    let mut needle = [0; DELIMITER_MAX + 2];
    let needle = &mut needle[..delimiter.len() + 2];
    needle[..2].copy_from_slice(b"\r\n");
    needle[2..].copy_from_slice(delimiter);
    let places = || memmem::find_iter(&body[start..], needle).map(|i| (start + i, start + i + 2));
    let (end, next) = first.or_else(|| places().find(|&(_, next)| Line::at(body, next, delimiter).is_some()))?;
    Some(Part { name, filename, body: &body[start..end], next })
}

/// A parameter of a header that may have several lines. Text inside the quotes of another parameter is ignored.
fn parameter<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (mut quoted, mut escaped, mut starts_word) = (false, false, true);
    let at = value.iter().enumerate().position(|(i, &c)| {
        let begins = |rest: &[u8]| rest.get(name.len()) == Some(&b'=') && rest[..name.len()].eq_ignore_ascii_case(name);
        let found = !quoted && starts_word && begins(&value[i..]);
        quoted ^= c == b'"' && !escaped;
        escaped = quoted && c == b'\\' && !escaped;
        starts_word = matches!(c, b';' | b',' | b' ' | b'\t');
        found
    });
    let text = match at {
        Some(at) => http::parameter(&value[at..], &value[at..at + name.len()])?,
        // Unterminated quotes, or a stray backslash: parse as if there were no quotes.
        None if quoted => http::parameter(value, name)?,
        None => return None,
    };
    let quoted = value[..text.as_ptr() as usize - value.as_ptr() as usize].ends_with(b"\"");
    // An unquoted value ends with its line.
    Some(if quoted { text } else { text.split(|&c| c == b'\r').next().unwrap_or_default() })
}

fn disposition(header: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"Content-Disposition";
    let (name, value) = header.split_at_checked(NAME.len())?;
    let named = name.eq_ignore_ascii_case(NAME) && value.starts_with(b":");
    // The byte after the colon is taken for a space.
    named.then(|| value.get(2..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Found<'a> = Vec<(Option<&'a str>, Option<&'a str>, &'a str)>;

    fn all(body: &str) -> Found<'_> {
        let text = |s: &[u8]| {
            let start = s.as_ptr() as usize - body.as_ptr() as usize;
            &body[start..start + s.len()]
        };
        let (mut found, mut ofs) = (Vec::new(), 0);
        while let Some(p) = next(body.as_bytes(), ofs) {
            found.push((p.name.map(text), p.filename.map(text), text(p.body)));
            ofs = p.next;
        }
        found
    }

    const HEAD: &str = "Content-Disposition: form-data; name=\"a\"\r\n\r\n";

    fn one(text: &str) -> Found<'_> {
        vec![(Some("a"), None, text)]
    }

    #[test]
    fn text_before_the_first_boundary_is_skipped() {
        for before in [
            "",
            "\r\n",
            "\r\n\r\n",
            "This is a message.\r\n",
            "x\r\n-- \r\nMe\r\n",
            "--- note ---\r\n",
            "a\r\n--x--\r\nno header\r\n",
            "a\r\n--x--\r\n: no header\r\n",
            "--\r\n",
            "x--B\r\n",
        ] {
            for (opens, closes) in [
                ("--B\r\n", "--B--\r\n"),
                ("--B \t\r\n", "--B-- \t\r\n"),
                ("--B\r\n", "--B--"),
                ("--B\r\n", "--B-- \r\nepilogue\r\n--B\r\nX: y\r\n\r\nz\r\n--B--"),
            ] {
                let body = format!("{before}{opens}{HEAD}v\r\n{closes}");
                assert_eq!(all(&body), one("v"), "{body:?}");
            }
        }
        let body = format!("x\r\n--B\r\n{HEAD}v\r\n--B--");
        assert!(next(body.as_bytes(), 3).is_some() && next(body.as_bytes(), 2).is_none());
        assert_eq!(all("x\r\n--B\r\nA: b\r\n\r\nv\r\n--B--"), [(None, None, "v")]);
        for (size, want) in [(16380, one("v")), (16381, vec![])] {
            let body = format!("{}\r\n--B\r\n{HEAD}v\r\n--B--", "x".repeat(size));
            assert_eq!(all(&body), want, "{size}");
        }
    }

    #[test]
    fn quoted_text_is_not_parsed_as_parameters() {
        for (header, name, filename) in [
            ("form-data; filename=\"x; name=evil\"; name=\"a\"", Some("a"), Some("x; name=evil")),
            ("form-data; name=\"x filename=evil\"", Some("x filename=evil"), None),
            ("form-data; name=\"a\\\"b\"; filename=\"f\"", Some("a\\"), Some("f")),
            ("form-data; NAME=\"a\"; FileName=f", Some("a"), Some("f")),
            ("form-data; filename=\"C:\\\"; name=\"a\"", Some("a"), Some("C:\\")),
            ("form-data; name=\"a", Some("\"a"), None),
            ("form-data; xname=\"b\"; name=a", Some("a"), None),
            ("name=a; filename=f", Some("a"), Some("f")),
            ("form-data; name=\"a\\\"; filename=evil; \\\"\"", Some("a\\"), None),
            ("\"; name=evil\"; name=a", Some("a"), None),
        ] {
            let body = format!("--B\r\nContent-Disposition: {header}\r\n\r\nv\r\n--B--");
            assert_eq!(all(&body), [(name, filename, "v")], "{header}");
        }
    }

    #[test]
    fn other_headers_have_no_names() {
        for header in ["Content-Description: x; name=a", "Content-Disposition; name=a", "Content-Dispositions: x; name=a"] {
            let body = format!("--B\r\n{header}\r\n\r\nv\r\n--B--");
            assert_eq!(all(&body), [(None, None, "v")], "{header}");
        }
    }

    #[test]
    fn boundaries_have_a_maximum_length() {
        for (size, want) in [(256, one("v")), (257, vec![])] {
            let delimiter = format!("{:B<size$}", "--");
            assert_eq!(all(&format!("{delimiter}\r\n{HEAD}v\r\n{delimiter}--")), want, "{size}");
        }
    }

    #[test]
    fn text_that_only_begins_like_a_boundary_is_data() {
        for data in [
            "--Bx",
            "x\r\n--Bx\r\ny",
            "x\r\n--B x",
            "x\r\n--B--x",
            "x\r\n--B-",
            "\r\n-B",
            "--",
            "x\n--B\ny",
            "x\r--B\r",
            "x\r\n\r\n--b",
        ] {
            let body = format!("--B\r\n{HEAD}{data}\r\n--B--\r\n");
            assert_eq!(all(&body), one(data), "{body:?}");
        }
    }

    #[test]
    fn a_part_without_a_closing_boundary_is_not_reported() {
        let whole = format!("\r\n--B \r\n{HEAD}v\r\n--B--");
        for n in 0..whole.len() - 2 {
            // A boundary at the end of the input may be incomplete.
            if !whole[..n].ends_with("v\r\n--B") {
                assert_eq!(all(&whole[..n]), [], "{:?}", &whole[..n]);
            }
        }
        // No part of the data is taken for a boundary instead.
        assert_eq!(all(&format!("--B\r\n{HEAD}x\r\n--C\r\n{HEAD}y\r\n--C--\r\n")), []);
    }

    #[test]
    fn lines_that_resemble_a_boundary() {
        for body in
            ["B\r\n\r\nv\r\nB--", "--\r\n\r\nv\r\n----\r\n", "--B\n\nv\n--B--\n", "no line", "--\x07\r\n\r\nv\r\n--\x07--"]
        {
            assert_eq!(all(body), [], "{body:?}");
        }
    }

    #[test]
    fn parts_without_a_body_or_headers() {
        assert_eq!(all("--B\r\n\r\n\r\n--B--"), [(None, None, "")]);
        assert_eq!(all("--B\r\n\r\n--B--"), [(None, None, "")]);
        assert_eq!(all("--B\r\nX: y\r\n--B--"), [(None, None, "")]);
        assert_eq!(all("--B\r\nX: y\r\n\r\n--B\r\n\r\nz\r\n--B--"), [(None, None, ""), (None, None, "z")]);
        assert_eq!(all("--B\r\n--B--\r\n"), []);
    }

    #[test]
    fn headers_on_several_lines() {
        let body = "--B\r\nContent-Disposition: form-data;\r\n name=\"a\";\r\n\tfilename=b\r\n\r\nv\r\n--B--";
        assert_eq!(all(body), [(Some("a"), Some("b"), "v")]);
        let body = "--B\r\nContent-Disposition: form-data; name=a\r\n ; x=y\r\n\r\nv\r\n--B--";
        assert_eq!(all(body), one("v"));
    }

    #[test]
    fn boundaries_that_end_in_dashes() {
        assert_eq!(all(&format!("--B--\r\n{HEAD}v\r\n--B\r\n--B----")), one("v\r\n--B"));
    }

    #[test]
    fn near_matches_of_a_long_boundary_take_linear_time() {
        let n = 1 << 20;
        let body = [vec![b'a'; n], b"\r\n\r\n".to_vec(), vec![b'a'; 2 * n]].concat();
        assert_eq!(next(&body, 0), None);
        let lines =
            [b"--".to_vec(), vec![b'a'; 200], b"\r\n\r\n".to_vec(), [&b"--"[..], &[b'a'; 199], b"\r\n"].concat().repeat(n / 200)]
                .concat();
        assert_eq!(next(&lines, 0), None);
        // The preamble is read again for each part.
        let many = ["x\r\n".repeat(1000).into_bytes(), b"--B\r\n\r\n\r\n".repeat(n / 10)].concat();
        let (mut ofs, mut parts) = (0, 0);
        while let Some(part) = next(&many, ofs) {
            (ofs, parts) = (part.next, parts + 1);
        }
        assert_eq!(parts, n / 10 - 1);
    }

    /// Another way to the same parts, when the boundary is known: cut the body at all delimiters first.
    fn by_lines<'a>(body: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
        let (mut at, mut starts) = (0, Vec::new());
        let mut parts = Vec::new();
        for text in body.split_inclusive(|&c| c == b'\n') {
            let end = at + text.len();
            let begins = at == 0 || body[..at].ends_with(b"\r\n");
            let tail = text.strip_prefix(delimiter).filter(|_| begins);
            let whole = |t: &[u8]| {
                let padding = t.strip_suffix(b"\r\n").or((end == body.len()).then_some(t));
                padding.is_some_and(|p| p.iter().all(|c| b" \t".contains(c)))
            };
            let closes = tail.and_then(|t| t.strip_prefix(b"--")).is_some_and(whole);
            if closes || tail.is_some_and(whole) {
                if let Some(start) = starts.pop() {
                    parts.push(&body[start..at.max(start)]);
                }
                if closes {
                    return parts;
                }
                starts.push(end);
            }
            at = end;
        }
        parts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 5000 }))]
        #[test]
        fn arbitrary_bodies_are_iterated_to_the_end(body in "(\r\n|\r|\n|--|B|a| |:|content-disposition: |name=|\"){0,40}", at in 0usize..60) {
            next(body.as_bytes(), at);
            let mut ofs = 0;
            while let Some(part) = next(body.as_bytes(), ofs) {
                prop_assert!(part.next > ofs && part.next <= body.len());
                ofs = part.next;
            }
        }

        #[test]
        fn equals_splitting_at_all_delimiters(tail in "(\r\n|\r\n--B|--B|--|\r|B|a| |\t|X: y\r\n|\r\n\r\n){0,30}") {
            let body = format!("--B\r\nX: y\r\n{tail}");
            let mut ofs = 0;
            let mut got = Vec::new();
            while let Some(part) = next(body.as_bytes(), ofs) {
                got.push(part.body);
                ofs = part.next;
            }
            let want: Vec<&[u8]> = by_lines(body.as_bytes(), b"--B").into_iter().map_while(|part| {
                // Without the CRLF that belongs to the delimiter, and without headers.
                let content = match memmem::find(part, b"\r\n\r\n") {
                    _ if part.starts_with(b"\r\n") => &part[2..],
                    Some(i) => &part[i + 4..],
                    // Headers only, with or without the empty line.
                    None => b"",
                };
                Some(content.strip_suffix(b"\r\n").unwrap_or(content))
            }).collect();
            prop_assert_eq!(got, want, "{:?}", body);
        }

        #[test]
        fn encoded_parts_parse_back(
            parts in prop::collection::vec(("[a-z]{1,5}", prop::collection::vec(any::<u8>(), 0..40), "[ \t]{0,2}"), 0..5),
            preamble in "([a-z ]{0,9}\r\n){0,3}",
        ) {
            let mut body = preamble.into_bytes();
            for (name, data, padding) in &parts {
                body.extend(format!("--0123456789{padding}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes());
                body.extend(data);
                body.extend(b"\r\n");
            }
            body.extend(b"--0123456789--\r\n");
            let mut ofs = 0;
            for (name, data, _) in &parts {
                let part = next(&body, ofs).unwrap();
                prop_assert_eq!((part.name, part.filename, part.body), (Some(name.as_bytes()), None, data.as_slice()));
                ofs = part.next;
            }
            prop_assert_eq!(next(&body, ofs), None);
        }
    }
}

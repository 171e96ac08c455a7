//! Finds values in JSON text without building a tree.

use super::num;
use core::ops::Range;

const MAX_DEPTH: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Error {
    TooDeep,
    Invalid,
    NotFound,
}

type Result<T> = core::result::Result<T, Error>;

/// Length of the string at the start of `s`, with its quotes.
fn string(s: &[u8]) -> Result<usize> {
    let mut i = 1;
    loop {
        match s.get(i) {
            Some(b'"') => return Ok(i + 1),
            Some(b'\\') if s.get(i + 1) != Some(&0) => i += 2,
            None | Some(0 | b'\\') => return Err(Error::Invalid),
            Some(_) => i += 1,
        }
    }
}

/// Length of the number at the start of `s`. Digits may be missing: `-`, `1.` and `1e` are numbers.
fn number(s: &[u8]) -> usize {
    let digits = |at: usize| at + num::prefix(&s[at..]).1;
    let mut i = digits(usize::from(s.first() == Some(&b'-')));
    if s.get(i) == Some(&b'.') {
        i = digits(i + 1);
    }
    if let Some(b'e' | b'E') = s.get(i) {
        i = digits(i + 1 + usize::from(matches!(s.get(i + 1), Some(b'+' | b'-'))));
    }
    i
}

/// Length of the token at the start of `s`, unless it is a container.
fn scalar(s: &[u8]) -> Result<usize> {
    let word = |w: &str| if s.starts_with(w.as_bytes()) { Ok(w.len()) } else { Err(Error::Invalid) };
    match s.first() {
        Some(b'"') => string(s),
        Some(b'-' | b'0'..=b'9') => Ok(number(s)),
        Some(b't') => word("true"),
        Some(b'f') => word("false"),
        Some(b'n') => word("null"),
        _ => Err(Error::Invalid),
    }
}

fn skip_blanks(s: &[u8], at: usize) -> usize {
    let blank = |c: &u8| matches!(c, b' ' | b'\t' | b'\r' | b'\n');
    s.get(at..).and_then(|rest| rest.iter().position(|c| !blank(c))).map_or(s.len(), |n| at + n)
}

/// The rest of `path` after a segment `.name` that equals `key`.
fn after_key<'a>(path: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(b".")?.strip_prefix(key)?;
    matches!(rest, [] | [b'.' | b'[', ..]).then_some(rest)
}

/// The number in a segment `[index]`, and the rest of `path`. A malformed or too large number matches no element; an empty one is
/// 0.
fn index(path: &[u8]) -> Option<(usize, &[u8])> {
    let inner = path.strip_prefix(b"[")?;
    let (text, rest) = match memchr::memchr(b']', inner) {
        Some(end) => (&inner[..end], &inner[end + 1..]),
        None => (inner, &[][..]),
    };
    let n = if text.is_empty() { Some(0) } else { num::digits(text, 10) };
    Some((n.and_then(|n| n.try_into().ok()).unwrap_or(usize::MAX), rest))
}

/// The tokens allowed next.
#[derive(PartialEq)]
enum Expect {
    Value,
    /// A value or the end of an array.
    Element,
    /// A key or the end of an object.
    Member,
    Colon,
    /// A comma or the end of a container.
    Comma,
}

/// Finds the token at `path`: `$`, then `.name` and `[index]` segments. Does not examine the text after the token. Keys are
/// compared without decoding escapes.
pub(crate) fn find(json: &[u8], path: &[u8]) -> Result<Range<usize>> {
    // The rest of the path after entering the containers of the first `matched` levels.
    let mut path = path.strip_prefix(b"$").ok_or(Error::Invalid)?;
    let (mut closers, mut depth, mut matched) = ([0; MAX_DEPTH], 0, 0);
    // Whether the next value is on the path, and the number of elements so far of the array on level `matched`.
    let (mut on_path, mut count) = (true, 0);
    // The start of the token, if it is a container whose end is being searched.
    let mut start = None;
    let mut expect = Expect::Value;
    let mut i = 0;
    loop {
        i = skip_blanks(json, i);
        let Some(&c) = json.get(i) else { return Err(Error::NotFound) };
        match expect {
            Expect::Colon if c == b':' => expect = Expect::Value,
            Expect::Comma if c == b',' && depth > 0 => {
                expect = if closers[depth - 1] == b'}' { Expect::Member } else { Expect::Element };
            }
            Expect::Member if c == b'"' => {
                let end = i + string(&json[i..])?;
                if depth == matched {
                    if let Some(rest) = after_key(path, &json[i + 1..end - 1]) {
                        (path, on_path) = (rest, true);
                    }
                }
                (i, expect) = (end, Expect::Colon);
                continue;
            }
            Expect::Member | Expect::Element | Expect::Comma if depth > 0 && c == closers[depth - 1] => {
                if depth == matched {
                    if let Some(start) = start {
                        return Ok(start..i + 1);
                    }
                    // For an index just past the end, check the rest of the text before giving up.
                    if c != b']' || index(path).is_none_or(|(n, _)| n != count) {
                        return Err(Error::NotFound);
                    }
                    matched = usize::MAX;
                }
                depth -= 1;
                expect = Expect::Comma;
            }
            Expect::Value | Expect::Element => {
                if depth == matched && depth > 0 && closers[depth - 1] == b']' {
                    if let Some((_, rest)) = index(path).filter(|&(n, _)| n == count) {
                        (path, on_path) = (rest, true);
                    }
                    count += 1;
                }
                if c == b'{' || c == b'[' {
                    if depth == MAX_DEPTH {
                        return Err(Error::TooDeep);
                    }
                    (closers[depth], expect) = if c == b'{' { (b'}', Expect::Member) } else { (b']', Expect::Element) };
                    depth += 1;
                    if on_path {
                        (matched, count) = (depth, 0);
                        if path.is_empty() {
                            start = Some(i);
                        }
                    }
                } else {
                    let end = i + scalar(&json[i..])?;
                    match (on_path, path) {
                        (true, []) => return Ok(i..end),
                        (true, _) => return Err(Error::NotFound),
                        _ => (i, expect) = (end, Expect::Comma),
                    }
                    continue;
                }
                on_path = false;
            }
            _ => return Err(Error::Invalid),
        }
        i += 1;
    }
}

/// The token at `path`.
pub(crate) fn token<'a>(json: &'a [u8], path: &[u8]) -> Option<&'a [u8]> {
    find(json, path).ok().map(|r| &json[r])
}

/// The text between the quotes of the string at `path`, escapes not decoded.
pub(crate) fn text<'a>(json: &'a [u8], path: &[u8]) -> Option<&'a [u8]> {
    token(json, path)?.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// The number token at `path`.
fn number_token<'a>(json: &'a [u8], path: &[u8]) -> Option<&'a str> {
    let token = token(json, path).filter(|t| matches!(t, [b'-' | b'0'..=b'9', ..]))?;
    core::str::from_utf8(token).ok()
}

/// The number at `path`, correctly rounded.
pub(crate) fn number_at(json: &[u8], path: &[u8]) -> Option<f64> {
    let token = number_token(json, path)?;
    // Plain arithmetic handles missing digits and huge exponents.
    Some(token.parse().ok().filter(|v: &f64| v.is_finite()).unwrap_or_else(|| plain(token)))
}

/// The number at `path`, truncated, exact. Saturates.
pub(crate) fn integer_at(json: &[u8], path: &[u8]) -> Option<i64> {
    number_token(json, path).map(integer)
}

/// A number token, truncated.
fn integer(token: &str) -> i64 {
    let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, ""));
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let scale = |digits: &str| i64::try_from(num::prefix(digits.as_bytes()).0).unwrap_or(i64::MAX);
    let exponent = match exponent.strip_prefix('-') {
        Some(digits) => -scale(digits),
        None => scale(exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    let mut digits = whole.bytes().chain(fraction.bytes());
    // Number of digits before the point, without leading zeros.
    let zeros = digits.clone().take_while(|&c| c == b'0').count();
    let places = exponent.saturating_add(whole.len() as i64).saturating_sub(zeros as i64);
    let Some(first) = digits.nth(zeros) else { return 0 };
    let count = usize::try_from(places.max(0)).unwrap_or(usize::MAX);
    let mut n = 0u64;
    // The loop ends when the number overflows.
    for c in core::iter::once(first).chain(digits).chain(core::iter::repeat(b'0')).take(count) {
        match n.checked_mul(10).and_then(|n| n.checked_add((c - b'0').into())) {
            Some(next) => n = next,
            None => return if negative { i64::MIN } else { i64::MAX },
        }
    }
    match i64::try_from(n) {
        Ok(n) if negative => -n,
        Ok(n) => n,
        Err(_) => {
            if negative {
                i64::MIN
            } else {
                i64::MAX
            }
        }
    }
}

/// The value of a number token in plain arithmetic. Exponents are limited to 308.
fn plain(token: &str) -> f64 {
    let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, ""));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let sum = |digits: &str| digits.bytes().fold(0.0, |n, c| n * 10.0 + f64::from(c - b'0'));
    let power = |n| (0..n).fold(1.0, |p, _| p * 10.0);
    // Digits beyond a double's exponent range make no difference.
    let fraction = &fraction[..fraction.len().min(300)];
    let v = sum(whole.trim_start_matches('-')) + sum(fraction) / power(fraction.len() as u64);
    let scale = |digits: &str| power(num::prefix(digits.as_bytes()).0.min(308));
    let v = match exponent.strip_prefix('-') {
        Some(digits) => v / scale(digits),
        None => v * scale(exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    if whole.starts_with('-') { -v } else { v }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Unescape {
    /// The whole text is decoded: so many bytes.
    Done(usize),
    /// The rest does not fit; the number of bytes written.
    Full(usize),
    /// An escape sequence is malformed.
    Bad,
}

/// How `\u` escapes are decoded.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Escapes {
    /// `\u00XX` yields one byte. Others cannot be expressed as bytes and end the text.
    Bytes,
    /// UTF-8. Lone surrogates become U+FFFD. A malformed escape ends the text.
    Utf8,
}

/// The number in the four digits after `\u`, and the rest.
fn hex4(s: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = s.split_at_checked(4)?;
    Some((num::digits(digits, 16)?.try_into().ok()?, rest))
}

/// The character of a `\u` escape, starting after the `\u`, and the rest.
fn character(s: &[u8]) -> Option<(char, &[u8])> {
    let (unit, rest) = hex4(s)?;
    let second = if unit & 0xfc00 == 0xd800 { rest.strip_prefix(b"\\u").and_then(hex4) } else { None };
    let pair = second.and_then(|(second, rest)| Some((char::decode_utf16([unit, second]).next()?.ok()?, rest)));
    Some(pair.unwrap_or((char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER), rest)))
}

/// Decodes the escapes of `text` into `to`, leaving room for one more byte.
pub(crate) fn unescape(text: &[u8], to: &mut [u8], escapes: Escapes) -> Unescape {
    let (mut from, mut n) = (text, 0);
    while let [c, rest @ ..] = from {
        let mut encoded = [0; 4];
        let mut len = 1;
        (encoded[0], from) = match (c, rest) {
            (b'\\', [b'u', rest @ ..]) if rest.len() >= 4 => match escapes {
                Escapes::Bytes => match hex4(rest) {
                    Some((n @ 0..=0xff, rest)) => (n as u8, rest),
                    _ => break,
                },
                Escapes::Utf8 => {
                    let Some((c, rest)) = character(rest) else { break };
                    len = c.encode_utf8(&mut encoded).len();
                    (encoded[0], rest)
                }
            },
            (b'\\', [c, rest @ ..]) => match c {
                b'b' => (8, rest),
                b'f' => (12, rest),
                b'n' => (b'\n', rest),
                b'r' => (b'\r', rest),
                b't' => (b'\t', rest),
                b'\\' | b'"' | b'/' => (*c, rest),
                _ => return Unescape::Bad,
            },
            (b'\\', []) => return Unescape::Bad,
            _ => (*c, rest),
        };
        match to.get_mut(n..n + len + 1) {
            Some(room) => room[..len].copy_from_slice(&encoded[..len]),
            None => return Unescape::Full(n),
        }
        n += len;
    }
    Unescape::Done(n)
}

/// Decodes pairs of hexadecimal digits into `to`. Returns the number of bytes.
pub(crate) fn unhex(text: &[u8], to: &mut [u8]) -> Option<usize> {
    if text.len() % 2 != 0 {
        return None;
    }
    for (to, pair) in to.iter_mut().zip(text.chunks(2)) {
        *to = num::digits(pair, 16)?.try_into().ok()?;
    }
    Some(text.len() / 2)
}

/// One step of an iteration: where to continue, the key (none in an array) and the value.
pub(crate) type Item = (usize, Option<Range<usize>>, Range<usize>);

/// The element of an object or array at `ofs`: 0, or the end of the previous step.
pub(crate) fn next(json: &[u8], ofs: usize) -> Option<Item> {
    let token = |at: usize| find(json.get(at..)?, b"$").ok().map(|r| at + r.start..at + r.end);
    let first = token(ofs.max(1));
    let (key, value) = match json.first()? {
        b'[' => (None, first?),
        b'{' => {
            let key = first?;
            let colon = key.end + memchr::memchr(b':', &json[key.end..])?;
            (Some(key), token(colon + 1)?)
        }
        _ => return None,
    };
    let end = skip_blanks(json, value.end);
    Some((end + usize::from(json.get(end) == Some(&b',')), key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at<'a>(json: &'a str, path: &str) -> std::result::Result<&'a str, Error> {
        find(json.as_bytes(), path.as_bytes()).map(|r| &json[r])
    }

    #[test]
    fn the_first_match_wins() {
        assert_eq!(at(r#"{"a":{"b":1},"a.b":2}"#, "$.a.b"), Ok("1"));
        assert_eq!(at(r#"{"a":{"c":1},"a.b":2}"#, "$.a.b"), Err(Error::NotFound));
        assert_eq!(at(r#"{"a":1,"a":2}"#, "$.a"), Ok("1"));
    }

    #[test]
    fn odd_paths() {
        for path in ["$.", "$[x]", "$[99999999999999999999]", "$x", "$[0"] {
            assert_eq!(at(r#"{"a":[1]}"#, path), Err(Error::NotFound), "{path}");
        }
        assert_eq!(at("[1]", "$["), Ok("1"));
        assert_eq!(at("[1]", "$[0"), Ok("1"));
        assert_eq!(at("[1]", "$[0x"), Err(Error::NotFound));
        assert_eq!(at(r#"{"":1}"#, "$."), Ok("1"));
        assert_eq!(at("1", "a"), Err(Error::Invalid));
        assert_eq!(at("[0,1,2,3,4,5,6,7,8,9,10]", "$[a]"), Err(Error::NotFound));
    }

    #[test]
    fn nul_ends_a_string_even_when_escaped() {
        assert_eq!(at("\"a\\\0b\"", "$"), Err(Error::Invalid));
        assert_eq!(at("\"a\0b\"", "$"), Err(Error::Invalid));
        assert_eq!(at("\"a\\\u{1}b\"", "$"), Ok("\"a\\\u{1}b\""));
    }

    #[test]
    fn depth_is_bounded() {
        let nest = |n: usize| ["[".repeat(n), "]".repeat(n)].concat();
        assert_eq!(at(&nest(30), "$"), Ok(&*nest(30)));
        assert_eq!(at(&nest(31), "$"), Err(Error::TooDeep));
        assert_eq!(at(&nest(1_000_000 / if cfg!(miri) { 1000 } else { 1 }), "$"), Err(Error::TooDeep));
    }

    #[test]
    fn an_index_past_the_end_scans_the_rest() {
        assert_eq!(at("[[1],x]", "$[0][1]"), Err(Error::Invalid));
        assert_eq!(at("[[1],[2,3]]", "$[0][1]"), Err(Error::NotFound));
        assert_eq!(at("[[1],x]", "$[0][2]"), Err(Error::NotFound));
    }

    #[test]
    fn numbers() {
        for (text, v) in
            [("-", 0.0), ("1.", 1.0), ("1e", 1.0), ("1e+", 1.0), ("2.5e-", 2.5), ("1e-400", 0.0), ("1E2", 100.0), ("1e0", 1.0)]
        {
            assert_eq!(number_at(text.as_bytes(), b"$"), Some(v), "{text}");
        }
        assert_eq!(number_at(b"\"1\"", b"$"), None);
        let huge = number_at(b"1e400", b"$").unwrap();
        assert!((huge / 1e308 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn integers_are_exact() {
        for (text, v) in [
            ("-1.9e0", -1),
            ("0.9", 0),
            ("-0.9", 0),
            ("4.35e2", 435),
            ("1e3", 1000),
            ("1.5e1", 15),
            ("1.55e1", 15),
            ("1000000e-3", 1000),
            ("1999999e-6", 1),
            ("9007199254740993", 9_007_199_254_740_993),
            ("9007199254740993.0e0", 9_007_199_254_740_993),
            ("9.223372036854775807e18", i64::MAX),
            ("9223372036854775807", i64::MAX),
            ("9223372036854775808", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("-9223372036854775807.9", -i64::MAX),
            ("-9223372036854775809", i64::MIN),
            ("18446744073709551616", i64::MAX),
            ("-1e99", i64::MIN),
            ("1e999", i64::MAX),
            ("1e99999999999999999999999", i64::MAX),
            ("1e-99999999999999999999999", 0),
            ("0e99999999999999999999999", 0),
            ("-0.000e9", 0),
            ("000012", 12),
            ("0.0000000000000000000000012345e24", 1),
            ("-", 0),
            ("1.", 1),
            ("1e", 1),
            ("1e+", 1),
            ("12e-1", 1),
            (&format!("0.{}", "9".repeat(1000)), 0),
            (&format!("0.{}12e1002", "0".repeat(1000)), 12),
            (&format!("12{}e-1000", "0".repeat(1000)), 12),
        ] {
            assert_eq!(integer_at(text.as_bytes(), b"$"), Some(v), "{text}");
        }
        assert_eq!(integer_at(b"\"1\"", b"$"), None);
    }

    fn unescaped(text: &str, escapes: Escapes) -> Option<Vec<u8>> {
        let mut to = vec![0; text.len() + 1];
        match unescape(text.as_bytes(), &mut to, escapes) {
            Unescape::Done(n) => Some(to[..n].to_vec()),
            _ => None,
        }
    }

    #[test]
    fn slashes_may_be_escaped() {
        for escapes in [Escapes::Bytes, Escapes::Utf8] {
            assert_eq!(unescaped(r"a\/b", escapes).unwrap(), b"a/b");
            assert_eq!(unescaped(r"a\", escapes), None);
            assert_eq!(unescaped(r"\u12", escapes), None);
        }
    }

    #[test]
    fn non_ascii_characters() {
        for (text, want) in [
            (r"caf\u00e9", "café"),
            (r"\u0416\u20AC\uffff", "Ж€\u{ffff}"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\uD83D\uDE00", "😀"),
            (r"\ud83d", "\u{fffd}"),
            (r"\ude00", "\u{fffd}"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83dx", "\u{fffd}x"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\udbff\udfff", "\u{10ffff}"),
            ("é\u{ff}", "é\u{ff}"),
            (r"a\u00zzb", "a"),
            (r"\ud83d\uzzzz", "\u{fffd}"),
        ] {
            assert_eq!(unescaped(text, Escapes::Utf8).unwrap(), want.as_bytes(), "{text}");
        }
        assert_eq!(unescaped(r"\u00ff\u0041\u0100x", Escapes::Bytes).unwrap(), b"\xffA");
        let mut to = [b'!'; 4];
        assert_eq!(unescape(br"a\u20ac", &mut to, Escapes::Utf8), Unescape::Full(1));
        assert_eq!(&to, b"a!!!");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 16 } else { 5000 }))]
        #[test]
        fn values_lie_inside_arbitrary_text(json in r#"[\[\]{},:"\\a0 .u-]{0,30}"#, path in r"\$[\[\].a0]{0,8}") {
            let json = json.as_bytes();
            if let Ok(r) = find(json, path.as_bytes()) {
                prop_assert_eq!(find(&json[r.clone()], b"$"), Ok(0..r.len()));
            }
            let (mut ofs, mut steps) = (0, 0);
            while let Some((end, key, value)) = next(json, ofs) {
                prop_assert!(end > ofs && end >= value.end && key.is_none_or(|k| k.end < value.start));
                (ofs, steps) = (end, steps + 1);
                prop_assert!(steps <= json.len());
            }
            let mut to = [0; 16];
            unescape(json, &mut to, Escapes::Bytes);
            unescape(json, &mut to, Escapes::Utf8);
        }

        #[test]
        fn arbitrary_numbers(whole in "-?[0-9]{0,25}", fraction in "(\\.[0-9]{0,25})?", exponent in -30i32..30) {
            let text = format!("{whole}{fraction}e{exponent}");
            prop_assume!(number_token(text.as_bytes(), b"$").is_some());
            // Computed by shifting the decimal text.
            let (negative, digits) = (text.starts_with('-'), [&whole, &fraction].map(|s| s.replace(['-', '.'], "")).concat());
            let before = whole.trim_start_matches('-').len() as i32 + exponent;
            let shifted = format!("{:0<width$}", digits, width = before.max(0) as usize);
            let n: i128 = shifted[..before.max(0) as usize].parse().unwrap_or(if before > 38 && digits.contains(|c| c != '0') { i128::MAX } else { 0 });
            let n = if negative { -n } else { n };
            prop_assert_eq!(integer(&text), n.clamp(i64::MIN.into(), i64::MAX.into()) as i64, "{}", text);
        }

        #[test]
        fn arbitrary_utf16_escapes(units in prop::collection::vec(prop_oneof![any::<u16>(), 0xd700u16..0xe100], 0..8)) {
            let text: String = units.iter().map(|u| format!("\\u{u:04x}")).collect();
            prop_assert_eq!(unescaped(&text, Escapes::Utf8).unwrap(), String::from_utf16_lossy(&units).into_bytes());
        }
    }
}

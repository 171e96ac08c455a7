//! The `%M` printers: each writes its value and returns the number of characters.

#![forbid(unsafe_code)]

use super::text::{Digits, Out};
use crate::proto::escape;
use base64::{Engine, engine::general_purpose::STANDARD};
use core::fmt::{Display, Write};

pub(crate) fn hex(out: &mut impl Out, data: &[u8]) -> usize {
    pairs(out, data, 2)
}

/// `xx:xx:xx`.
pub(crate) fn colon_hex(out: &mut impl Out, data: &[u8]) -> usize {
    pairs(out, data, 3).saturating_sub(1)
}

/// Two hex digits per byte; with a `step` of 3 also a colon between bytes. Returns `step` times the number of bytes.
fn pairs(out: &mut impl Out, data: &[u8], step: usize) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b':'; 96];
    let mut chunks = data.chunks(text.len() / step).peekable();
    while let Some(chunk) = chunks.next() {
        for (to, &byte) in text.chunks_exact_mut(step).zip(chunk) {
            to[0] = DIGITS[usize::from(byte >> 4)];
            to[1] = DIGITS[usize::from(byte & 15)];
        }
        let colon = if step == 3 && chunks.peek().is_none() { 1 } else { 0 };
        out.bytes(&text[..chunk.len() * step - colon]);
    }
    data.len() * step
}

/// Standard alphabet, with padding.
pub(crate) fn base64(out: &mut impl Out, data: &[u8]) -> usize {
    let mut text = [0; 256];
    let mut count = 0;
    for chunk in data.chunks(text.len() / 4 * 3) {
        let n = STANDARD.encode_slice(chunk, &mut text).unwrap_or(0);
        out.bytes(&text[..n]);
        count += n;
    }
    count
}

/// Writes `text` with every byte known to `escape` replaced.
fn replaced(out: &mut impl Out, text: &[u8], escape: impl Fn(u8) -> Option<&'static [u8]>) -> usize {
    let (mut count, mut start) = (text.len(), 0);
    for (i, &byte) in text.iter().enumerate() {
        if let Some(s) = escape(byte) {
            out.bytes(&text[start..i]);
            out.bytes(s);
            count += s.len() - 1;
            start = i + 1;
        }
    }
    out.bytes(&text[start..]);
    count
}

/// The inside of a JSON string. Control characters without a short escape are copied.
pub(crate) fn json(out: &mut impl Out, text: &[u8]) -> usize {
    replaced(out, text, escape::json)
}

pub(crate) fn html(out: &mut impl Out, text: &[u8]) -> usize {
    replaced(out, text, escape::html)
}

pub(crate) fn integer(out: &mut impl Out, v: i64) -> usize {
    let digits = Digits::signed(v);
    out.bytes(digits.as_bytes());
    digits.as_bytes().len()
}

/// Writes the output of `core::fmt`.
pub(crate) fn display(out: &mut impl Out, value: impl Display) -> usize {
    struct Counted<'a, O>(&'a mut O, usize);
    impl<O: Out> Write for Counted<'_, O> {
        fn write_str(&mut self, s: &str) -> core::fmt::Result {
            self.0.bytes(s.as_bytes());
            self.1 += s.len();
            Ok(())
        }
    }
    let mut to = Counted(out, 0);
    // Only formatting the value could fail, and it never does.
    let _ = write!(to, "{value}");
    to.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ip::Ip;

    #[track_caller]
    fn check(want: &str, print: impl Fn(&mut Vec<u8>) -> usize) {
        let mut out = Vec::new();
        let n = print(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), want);
        assert_eq!(n, out.len());
    }

    #[test]
    fn bytes() {
        check("", |o| hex(o, b""));
        check("00ff1a", |o| hex(o, &[0, 255, 26]));
        check("", |o| colon_hex(o, b""));
        check("01:02:ff", |o| colon_hex(o, &[1, 2, 255]));
        check(&"61".repeat(1000), |o| hex(o, &[b'a'; 1000]));
        check(&"61:".repeat(64)[..191], |o| colon_hex(o, &[b'a'; 64]));
        check("YWI=", |o| base64(o, b"ab"));
        check(&("YWFh".repeat(333) + "YQ=="), |o| base64(o, &[b'a'; 1000]));
    }

    #[test]
    fn escapes() {
        check("a\\\"b\\\\\\n\\r\\t\\b\\f\x01/", |o| json(o, b"a\"b\\\n\r\t\x08\x0c\x01/"));
        check("&lt;a&gt; &amp; &quot;'", |o| html(o, b"<a> & \"'"));
        check("", |o| html(o, b""));
    }

    #[test]
    fn addresses() {
        check("1.20.255.0", |o| display(o, Ip::V4([1, 20, 255, 0])));
        check("[1:0:0:0:0:0:0:ff02]", |o| display(o, Ip::V6([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 2], 0)));
        check("-9223372036854775808", |o| integer(o, i64::MIN));
    }
}

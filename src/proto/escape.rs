//! Escaping of text in JSON strings and HTML.

use crate::memory::prelude::*;

/// The escape of a byte in a JSON string; None: itself, or `\\u00XX`.
pub(crate) fn json(c: u8) -> Option<&'static [u8]> {
    match c {
        8 => Some(b"\\b"),
        12 => Some(b"\\f"),
        b'\n' => Some(b"\\n"),
        b'\r' => Some(b"\\r"),
        b'\t' => Some(b"\\t"),
        b'\\' => Some(b"\\\\"),
        b'"' => Some(b"\\\""),
        _ => None,
    }
}

/// The entity of a byte in HTML text or in a double-quoted value; None: itself.
pub(crate) fn html(c: u8) -> Option<&'static [u8]> {
    match c {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'>' => Some(b"&gt;"),
        b'"' => Some(b"&quot;"),
        _ => None,
    }
}

/// Appends a quoted JSON string.
pub(crate) fn json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &c in text {
        match json(c) {
            Some(escape) => out.extend_from_slice(escape),
            None if c < b' ' => out.extend_from_slice(format!("\\u{c:04x}").as_bytes()),
            None => out.push(c),
        }
    }
    out.push(b'"');
}

/// Appends escaped HTML text.
pub(crate) fn html_text(out: &mut Vec<u8>, text: &[u8]) {
    for &c in text {
        match html(c) {
            Some(escape) => out.extend_from_slice(escape),
            None => out.push(c),
        }
    }
}

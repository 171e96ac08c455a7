//! PEM and DER: extracts the DER elements from the bytes of an option.

use super::x509::element;
use crate::hash::base64;
use crate::memory;
use crate::memory::prelude::*;
use memchr::memmem::find;
use zeroize::Zeroizing;

const DASHES: &[u8] = b"-----";

/// A PEM block: the label in its first line, and the text up to its last line.
pub(super) struct Block<'a> {
    pub(super) label: &'a [u8],
    body: &'a [u8],
}

impl Block<'_> {
    /// The decoded bytes. Lines may be indented and use any line ending. None if this is not base64.
    pub(super) fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        // Allocated at the maximum size, because growing would leave copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(self.body.len()));
        text.extend(self.body.iter().filter(|c| !c.is_ascii_whitespace()));
        let mut der = Zeroizing::new(vec![0; text.len() / 4 * 3 + 1]);
        let n = if text.len() % 4 == 0 { base64::decode(&text, &mut der)? } else { return None };
        der.truncate(n);
        Some(der)
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.label == b"ENCRYPTED PRIVATE KEY" || find(self.body, b"ENCRYPTED").is_some()
    }
}

/// The complete blocks of a text; other text is ignored.
pub(super) fn blocks(mut text: &[u8]) -> impl Iterator<Item = Block<'_>> {
    core::iter::from_fn(move || {
        loop {
            let start = find(text, b"-----BEGIN ")? + b"-----BEGIN ".len();
            text = &text[start..];
            let end = find(text, DASHES)?;
            let (label, rest) = (&text[..end], &text[end + DASHES.len()..]);
            let end = find(rest, DASHES)?;
            text = &rest[end..];
            let last = text.strip_prefix(b"-----END ").and_then(|t| t.strip_prefix(label));
            if last.is_some_and(|t| t.starts_with(DASHES)) {
                return Some(Block { label, body: &rest[..end] });
            }
        }
    })
}

/// The consecutive DER elements; trailing zeros are allowed. None if this is not DER, for example PEM.
pub(super) fn elements(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while rest.first().is_some_and(|&tag| tag != 0) {
        let (first, after) = element(rest)?;
        if first.tag != 0x30 {
            return None;
        }
        found.push(first.whole);
        rest = after;
    }
    (!found.is_empty() && rest.iter().all(|&b| b == 0)).then_some(found)
}

/// The certificates in PEM or DER, and the number of certificate blocks that could not be decoded.
pub(super) fn certificates(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
    if let Some(found) = elements(bytes) {
        return (found.into_iter().map(<[u8]>::to_vec).collect(), 0);
    }
    let is_certificate = |b: &Block| [&b"CERTIFICATE"[..], b"X509 CERTIFICATE"].contains(&b.label);
    // Stop if memory is short; the result is then discarded: see `kept` in config.rs.
    let blocks: Vec<_> = blocks(bytes).filter(is_certificate).take_while(|_| !memory::is_low()).map(|b| b.decode()).collect();
    let all = blocks.len();
    let found: Vec<_> = blocks.into_iter().flatten().take_while(|_| !memory::is_low()).map(|der| der.to_vec()).collect();
    let damaged = all - found.len();
    (found, damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Vec<String> {
        blocks(text.as_bytes()).map(|b| String::from_utf8_lossy(b.label).into_owned()).collect()
    }

    #[test]
    fn blocks_are_found() {
        let text =
            "note\n-----BEGIN A-----\nAAAA\n-----END A-----\n\r\n-----BEGIN B C-----\r\n  QUJD\r\n  RA==\r\n-----END B C-----";
        assert_eq!(labels(text), ["A", "B C"]);
        let last = blocks(text.as_bytes()).last().unwrap();
        assert_eq!(**last.decode().unwrap(), *b"ABCD");
    }

    #[test]
    fn incomplete_blocks_are_skipped() {
        for text in
            ["", "-----BEGIN A", "-----BEGIN A-----", "-----BEGIN A-----\nAAAA", "-----BEGIN A-----\nAAAA\n-----END B-----"]
        {
            assert_eq!(labels(text), [""; 0], "{text}");
        }
        assert_eq!(labels("-----BEGIN A-----\nAA\n-----BEGIN B-----\nAAAA\n-----END B-----\n"), ["B"]);
    }

    #[test]
    fn malformed_base64_is_not_a_block() {
        for body in ["A", "AAA", "AA*A", "A=AA", "Proc-Type: 4,ENCRYPTED\n\nAAAA"] {
            assert!(Block { label: b"X", body: body.as_bytes() }.decode().is_none(), "{body}");
        }
    }

    #[test]
    fn der_is_distinguished_from_text() {
        assert_eq!(elements(&[0x30, 1, 7, 0x30, 0, 0, 0]), Some(vec![&[0x30, 1, 7][..], &[0x30, 0]]));
        for bytes in [&b""[..], b"\0\0", b"0 s:CN = x\n", &[0x30, 1], &[0x30, 0, 1], &[2, 1, 7]] {
            assert_eq!(elements(bytes), None, "{bytes:?}");
        }
    }
}

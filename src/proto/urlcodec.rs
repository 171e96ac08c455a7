//! Percent encoding and form variables.

use core::ops::Range;

/// Why decoding stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// A `%` without two hex digits.
    Escape,
    /// The result and its NUL do not fit; the part that fits is written, without a NUL.
    NoRoom,
}

/// Decodes `src` to `dst`, followed by a NUL, and returns the length without the NUL. `form`: a `+` is a space.
pub(crate) fn decode(src: &[u8], dst: &mut [u8], form: bool) -> Result<usize, DecodeError> {
    let len = decode_with(src.len(), dst.len(), |from, to| {
        let (byte, n) = character(&src[from..], form)?;
        dst[to] = byte;
        Some(n)
    })?;
    dst[len] = 0;
    Ok(len)
}

/// Like [`decode`], with source and destination in one buffer, where they may overlap.
pub(crate) fn decode_within(buf: &mut [u8], src: Range<usize>, dst: Range<usize>, form: bool) -> Result<usize, DecodeError> {
    let len = decode_with(src.len(), dst.len(), |from, to| {
        let (byte, n) = character(&buf[src.start + from..src.end], form)?;
        buf[dst.start + to] = byte;
        Some(n)
    })?;
    buf[dst.start + len] = 0;
    Ok(len)
}

/// Calls `step` with the places to read from and write to until `len` bytes are read; it says how many it read.
fn decode_with(len: usize, room: usize, mut step: impl FnMut(usize, usize) -> Option<usize>) -> Result<usize, DecodeError> {
    let last = room.checked_sub(1).ok_or(DecodeError::NoRoom)?;
    let (mut from, mut to) = (0, 0);
    while from < len {
        if to == last {
            return Err(DecodeError::NoRoom);
        }
        from += step(from, to).ok_or(DecodeError::Escape)?;
        to += 1;
    }
    Ok(to)
}

/// The byte that a text starts with and the length of its encoding.
#[inline]
fn character(text: &[u8], form: bool) -> Option<(u8, usize)> {
    match *text {
        [b'%', high, low, ..] => Some((hex(high)? << 4 | hex(low)?, 3)),
        [b'+', ..] if form => Some((b' ', 1)),
        [b'%', ..] | [] => None,
        [byte, ..] => Some((byte, 1)),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|d| d as u8)
}

/// Encodes `src` to `dst`, followed by a NUL, and returns the length without the NUL; None if `dst` is too small. Each character
/// requires room for the longest encoding plus one byte, whatever it is: callers have sized their buffers accordingly.
pub(crate) fn encode(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut len = 0;
    for &b in src {
        let room = dst.get_mut(len..).filter(|room| room.len() > 4)?;
        if b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~') {
            room[0] = b;
            len += 1;
        } else {
            room[..3].copy_from_slice(&[b'%', DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
            len += 3;
        }
    }
    *dst.get_mut(len)? = 0;
    Some(len)
}

/// The value, still encoded, of the first variable called `name` (ignoring case) in `a=1&b=2`.
pub(crate) fn var<'a>(vars: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    vars.split(|&b| b == b'&').filter(|entry| !entry.is_empty()).find_map(|entry| {
        let end = memchr::memchr(b'=', entry).unwrap_or(entry.len());
        entry[..end].eq_ignore_ascii_case(name).then(|| entry.get(end + 1..).unwrap_or(&entry[end..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decoding_reverses_encoding(text in prop::collection::vec(any::<u8>(), 0..60), form: bool) {
            let mut coded = vec![0xff; text.len() * 3 + 5];
            let n = encode(&text, &mut coded).unwrap();
            prop_assert_eq!(coded[n], 0);
            let mut out = vec![0xff; text.len() + 1];
            prop_assert_eq!(decode(&coded[..n], &mut out, form), Ok(text.len()));
            prop_assert_eq!(&out[..text.len()], &text);
            let whole = coded.len();
            prop_assert_eq!(decode_within(&mut coded, 0..n, 0..whole, form), Ok(text.len()));
            prop_assert_eq!(&coded[..text.len()], text);
        }

        #[test]
        fn arbitrary_text_and_buffer_sizes(text in "[%+a0-9&=]{0,20}", room in 0usize..24) {
            let (mut apart, mut within) = (vec![1; room], vec![1; room.max(text.len())]);
            within[..text.len()].copy_from_slice(text.as_bytes());
            let result = decode(text.as_bytes(), &mut apart, true);
            prop_assert_eq!(decode_within(&mut within, 0..text.len(), 0..room, true), result);
            if let Ok(n) = result {
                prop_assert_eq!(&within[..=n], &apart[..=n]);
            }
            encode(text.as_bytes(), &mut apart);
            var(text.as_bytes(), b"a");
        }
    }
}

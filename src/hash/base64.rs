//! Base64.

use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, encoded_len};

/// Ignores unused bits of the last character.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const URL: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, CONFIG.with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::RequireNone));

/// Encodes with one of two engines. None unless `to` has room for the padded text and one more byte.
fn encode_with(engine: &GeneralPurpose, data: &[u8], to: &mut [u8]) -> Option<usize> {
    if to.len() <= encoded_len(data.len(), true)? {
        return None;
    }
    engine.encode_slice(data, to).ok()
}

/// Encodes with padding. Returns the length of the text.
pub(crate) fn encode(data: &[u8], to: &mut [u8]) -> Option<usize> {
    encode_with(&PLAIN, data, to)
}

/// Encodes with `-` and `_`, without padding. Returns the length of the text.
pub(crate) fn url_encode(data: &[u8], to: &mut [u8]) -> Option<usize> {
    encode_with(&URL, data, to)
}

/// Decodes complete groups of four characters and ignores the rest. None if malformed, or unless `to` has room for three bytes
/// per group and one more.
pub(crate) fn decode(text: &[u8], to: &mut [u8]) -> Option<usize> {
    let groups = text.len() / 4;
    if to.len() <= groups * 3 {
        return None;
    }
    PLAIN.decode_slice(&text[..groups * 4], to).ok()
}

/// Decodes text with `-` and `_` that ends at the first `=`. None if malformed, or if the result and one more byte do not fit.
pub(crate) fn url_decode(text: &[u8], to: &mut [u8]) -> Option<usize> {
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    if text.len() % 4 == 1 {
        return None;
    }
    let room = to.len().checked_sub(1)?;
    URL.decode_slice(&text[..end], &mut to[..room]).ok()
}

/// Adds a byte to text of `len` characters. `carry` is the byte after the text: bits of the previous byte. Returns the number of
/// new characters, and the bytes to store after the text: those characters and the new carry.
pub(crate) fn update(byte: u8, carry: u8, len: usize) -> (usize, [u8; 2]) {
    match len % 4 {
        0 => (1, [letter(byte >> 2), byte << 4 & 63]),
        1 => (1, [letter(carry | byte >> 4), byte << 2 & 63]),
        _ => (2, [letter(carry | byte >> 6), letter(byte & 63)]),
    }
}

/// Completes text of `len` characters: the character of the carry, and padding to a multiple of four.
pub(crate) fn finish(carry: u8, len: usize) -> impl Iterator<Item = u8> {
    let padding = core::iter::repeat_n(b'=', 4 - len % 4);
    (len % 4 != 0).then_some(letter(carry)).into_iter().chain(padding).take((4 - len % 4) % 4)
}

fn letter(bits: u8) -> u8 {
    STANDARD.as_str().as_bytes()[usize::from(bits & 63)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn malformed_padding_is_refused() {
        let mut to = [0; 32];
        for text in ["AA==AAAA", "AA=A", "A===", "====", "AAA-"] {
            assert_eq!(decode(text.as_bytes(), &mut to), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1000 }))]
        #[test]
        fn round_trip(data in proptest::collection::vec(any::<u8>(), 0..50)) {
            let (mut text, mut back) = ([0; 80], [0; 80]);
            let n = encode(&data, &mut text).unwrap();
            let m = decode(&text[..n], &mut back).unwrap();
            prop_assert_eq!(&back[..m], &data);
            let n = url_encode(&data, &mut text).unwrap();
            let m = url_decode(&text[..n], &mut back).unwrap();
            prop_assert_eq!(&back[..m], &data);
        }
        #[test]
        fn streaming_encodes_like_one_call(data in proptest::collection::vec(any::<u8>(), 0..50)) {
            let (mut text, mut out, mut len) = ([0; 80], [0; 80], 0);
            for &byte in &data {
                let (n, put) = update(byte, out[len], len);
                out[len..len + 2].copy_from_slice(&put);
                len += n;
            }
            let end: Vec<u8> = finish(out[len], len).collect();
            out[len..len + end.len()].copy_from_slice(&end);
            let n = encode(&data, &mut text).unwrap();
            prop_assert_eq!(&out[..len + end.len()], &text[..n]);
        }
        #[test]
        fn arbitrary_text(text in proptest::collection::vec(any::<u8>(), 0..50), size in 0usize..50) {
            let mut to = vec![0; size];
            decode(&text, &mut to);
            url_decode(&text, &mut to);
        }
    }
}

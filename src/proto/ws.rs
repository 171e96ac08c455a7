//! WebSocket frames (RFC 6455).

use crate::hash::{base64, md};
use core::str::from_utf8;

pub(crate) const CONTINUE: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
pub(crate) const FIN: u8 = 0x80;

pub(crate) const PROTOCOL_ERROR: u16 = 1002;
pub(crate) const BAD_DATA: u16 = 1007;
pub(crate) const TOO_BIG: u16 = 1009;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// FIN, reserved bits and opcode.
    pub(crate) first: u8,
    pub(crate) mask: Option<[u8; 4]>,
    /// Length of the header.
    pub(crate) len: usize,
    pub(crate) payload: u64,
}

impl Header {
    /// The header at the start of `data`; None while it is incomplete.
    #[inline]
    pub(crate) fn parse(data: &[u8]) -> Option<Header> {
        let &[first, second, ref rest @ ..] = data else { return None };
        let (payload, rest) = match second & 127 {
            126 => rest.split_first_chunk().map(|(n, rest)| (u16::from_be_bytes(*n).into(), rest))?,
            127 => rest.split_first_chunk().map(|(n, rest)| (u64::from_be_bytes(*n), rest))?,
            n => (n.into(), rest),
        };
        let mask = if second & 128 != 0 { Some(*rest.first_chunk()?) } else { None };
        let len = data.len() - rest.len() + if mask.is_some() { 4 } else { 0 };
        Some(Header { first, mask, len, payload })
    }

    pub(crate) fn opcode(&self) -> u8 {
        self.first & 15
    }

    pub(crate) fn is_final(&self) -> bool {
        self.first & FIN != 0
    }

    fn is_shortest(&self) -> bool {
        match self.len - if self.mask.is_some() { 4 } else { 0 } {
            2 => true,
            4 => self.payload > 125,
            _ => self.payload > 0xffff,
        }
    }
}

/// How strictly received frames are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The frames come from a server, which does not mask them.
    pub(crate) from_server: bool,
    /// Frames from clients must be masked, lengths must use the shortest form, and continuations must continue a message.
    pub(crate) strict: bool,
    /// Text from a client need not be UTF-8.
    pub(crate) any_text: bool,
}

impl Rules {
    /// The error in a frame header, if any. `open`: a fragmented message has begun.
    pub(crate) fn fault(self, h: &Header, open: bool) -> Option<&'static str> {
        let op = h.opcode();
        if h.first & 0x70 != 0 {
            return Some("reserved bits are set");
        }
        if op >= CLOSE && (!h.is_final() || h.payload > 125) {
            return Some("control frame in fragments or above 125 bytes");
        }
        if h.payload > u64::MAX >> 1 {
            return Some("length with its highest bit set");
        }
        if (self.from_server || self.strict) && h.mask.is_some() == self.from_server {
            return Some(if self.from_server { "masked frame from a server" } else { "unmasked frame from a client" });
        }
        if (self.from_server || self.strict) && !h.is_shortest() {
            return Some("length not in its shortest form");
        }
        match op {
            TEXT | BINARY if open => Some("new message inside a fragmented one"),
            // Applications send empty final frames without a started message.
            CONTINUE if !open && (self.strict || !h.is_final() || h.payload > 0) => Some("continuation of nothing"),
            _ => None,
        }
    }

    /// True if text must be UTF-8.
    pub(crate) fn checks_text(self) -> bool {
        self.from_server || self.strict || !self.any_text
    }
}

/// A header to be sent.
pub(crate) struct Head {
    bytes: [u8; 14],
    len: usize,
}

impl Head {
    /// `first` is the first byte: opcode and FIN.
    pub(crate) fn new(first: u8, payload: usize, mask: Option<[u8; 4]>) -> Head {
        let mut head = Head { bytes: [0; 14], len: 0 };
        let masked = if mask.is_some() { 128 } else { 0 };
        match payload {
            0..=125 => head.put(&[first, masked | payload as u8]),
            126..=0xffff => {
                head.put(&[first, masked | 126]);
                head.put(&(payload as u16).to_be_bytes());
            }
            _ => {
                head.put(&[first, masked | 127]);
                head.put(&(payload as u64).to_be_bytes());
            }
        }
        head.put(mask.as_ref().map_or(&[], |m| m.as_slice()));
        head
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Masks or unmasks a payload.
pub(crate) fn apply_mask(data: &mut [u8], mask: [u8; 4]) {
    let wide = [mask; 8];
    for part in data.chunks_mut(32) {
        for (byte, mask) in part.iter_mut().zip(wide.as_flattened()) {
            *byte ^= mask;
        }
    }
}

/// The status code to close with if the payload of a Close frame is malformed.
pub(crate) fn close_fault(payload: &[u8]) -> Option<u16> {
    match payload.split_first_chunk() {
        None if payload.is_empty() => None,
        None => Some(PROTOCOL_ERROR),
        Some((code, _)) if !is_code(u16::from_be_bytes(*code).into()) => Some(PROTOCOL_ERROR),
        Some((_, reason)) => from_utf8(reason).is_err().then_some(BAD_DATA),
    }
}

/// True if a Close frame may carry this status code.
pub(crate) fn is_code(code: i32) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Truncates a reason to fit in a Close frame, without cutting a character: the peer would reject that.
pub(crate) fn clip(reason: &[u8]) -> &[u8] {
    const MOST: usize = 123;
    let is_cut = |n: &usize| reason.get(*n).is_some_and(|b| *b & 0xc0 == 0x80);
    let end = (MOST - 3..=MOST).rev().find(|n| !is_cut(n)).unwrap_or(MOST);
    reason.get(..end).unwrap_or(reason)
}

/// UTF-8 that arrives in pieces: the beginning of an incomplete character.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(crate) struct Utf8 {
    begun: [u8; 3],
    len: usize,
}

impl Utf8 {
    /// False if the text can no longer be UTF-8.
    pub(crate) fn feed(&mut self, mut piece: &[u8]) -> bool {
        while self.len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return true };
            let mut character = [0; 4];
            character[..self.len].copy_from_slice(&self.begun[..self.len]);
            character[self.len] = byte;
            match from_utf8(&character[..=self.len]) {
                Ok(_) => self.len = 0,
                Err(e) if e.error_len().is_none() => self.begin(&character[..=self.len]),
                Err(_) => return false,
            }
            piece = rest;
        }
        match from_utf8(piece) {
            Ok(_) => true,
            Err(e) if e.error_len().is_none() => {
                self.begin(&piece[e.valid_up_to()..]);
                true
            }
            Err(_) => false,
        }
    }

    /// An incomplete character has at most three bytes.
    fn begin(&mut self, bytes: &[u8]) {
        self.begun[..bytes.len()].copy_from_slice(bytes);
        self.len = bytes.len();
    }

    /// True if no character is incomplete.
    pub(crate) fn is_whole(self) -> bool {
        self.len == 0
    }
}

/// The value of Sec-WebSocket-Accept for a Sec-WebSocket-Key.
pub(crate) fn accept(key: &[u8]) -> [u8; 28] {
    let mut text = [0; 29];
    // 20 bytes yield 28 characters, and the encoder needs one more byte.
    base64::encode(&md::sha1_of(&[key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"]), &mut text);
    core::array::from_fn(|i| text[i])
}

/// A new Sec-WebSocket-Key.
pub(crate) fn key(random: [u8; 16]) -> [u8; 24] {
    let mut text = [0; 25];
    base64::encode(&random, &mut text);
    core::array::from_fn(|i| text[i])
}

/// True if `value` could be the Sec-WebSocket-Accept of some key.
pub(crate) fn is_accept(value: &[u8]) -> bool {
    value.len() == 28 && base64::decode(value, &mut [0; 22]) == Some(20)
}

/// True if `value` is a well-formed Sec-WebSocket-Key.
pub(crate) fn is_key(value: &[u8]) -> bool {
    value.len() == 24 && base64::decode(value, &mut [0; 19]) == Some(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masks_are_for_one_direction() {
        let fault = |from_server, strict, mask| {
            let rules = Rules { from_server, strict, any_text: false };
            rules.fault(&Header { first: 0x81, mask, len: if mask.is_some() { 6 } else { 2 }, payload: 1 }, false)
        };
        for strict in [false, true] {
            assert_eq!(fault(true, strict, Some([0; 4])), Some("masked frame from a server"));
            assert_eq!(fault(true, strict, None), None);
            assert_eq!(fault(false, strict, Some([0; 4])), None);
        }
        assert_eq!(fault(false, true, None), Some("unmasked frame from a client"));
        assert_eq!(fault(false, false, None), None);
    }

    #[test]
    fn lengths_have_their_shortest_form() {
        for (from_server, strict, checked) in
            [(true, false, true), (true, true, true), (false, true, true), (false, false, false)]
        {
            let rules = Rules { from_server, strict, any_text: false };
            let mask = (!from_server).then_some([0; 4]);
            for (len, least) in [(2, 0), (4, 126), (10, 65536)] {
                let len = if from_server { len } else { len + 4 };
                let fault = |payload| rules.fault(&Header { first: 0x82, mask, len, payload }, false);
                assert_eq!(fault(least), None);
                let want = (checked && least > 0).then_some("length not in its shortest form");
                assert_eq!(fault(least.saturating_sub(1)), want, "{rules:?} {len}");
            }
        }
    }

    #[test]
    fn lengths_have_63_bits() {
        let rules = Rules { from_server: true, strict: false, any_text: false };
        for (payload, want) in [(u64::MAX / 2, None), (u64::MAX / 2 + 1, Some("length with its highest bit set"))] {
            assert_eq!(rules.fault(&Header { first: 0x82, mask: None, len: 10, payload }, false), want, "{payload}");
        }
    }

    #[test]
    fn only_lenient_servers_may_pass_any_text() {
        for (from_server, strict, any_text, want) in
            [(true, false, true, true), (false, true, true, true), (false, false, true, false), (false, false, false, true)]
        {
            assert_eq!(Rules { from_server, strict, any_text }.checks_text(), want, "{from_server} {strict} {any_text}");
        }
    }

    #[test]
    fn continuations_without_a_start() {
        let rules = Rules { from_server: false, strict: false, any_text: false };
        let fault = |first, payload| rules.fault(&Header { first, mask: Some([0; 4]), len: 6, payload }, false);
        assert_eq!((fault(0x80, 0), fault(0x81, 1)), (None, None));
        for (first, payload) in [(0x80, 1), (0, 0), (0, 1)] {
            assert_eq!(fault(first, payload), Some("continuation of nothing"), "{first} {payload}");
        }
        assert_eq!(Header::parse(&[0x81, 0]).map(|h| h.opcode()), Some(TEXT));
    }

    #[test]
    fn accept_value_of_the_rfc_example() {
        assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_accept(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") && !is_accept(b"xyz=") && !is_accept(b"s3pPLMBiTxaQ9kYGzzhZRbK+x+o*"));
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ==") && !is_key(b"abc") && !is_key(b"s3pPLMBiTxaQ9kYGzzhZRbK+"));
        assert!(is_key(&key([7; 16])));
    }

    #[test]
    fn headers_of_all_lengths() {
        for n in [0, 1, 125, 126, 127, 255, 256, 65535, 65536, 1 << 20] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let head = Head::new(TEXT | FIN, n, mask);
                let parsed = Header::parse(head.bytes()).unwrap();
                assert_eq!(parsed, Header { first: 0x81, mask, len: head.bytes().len(), payload: n as u64 });
                assert!(parsed.is_shortest());
                for cut in 0..head.bytes().len() {
                    assert_eq!(Header::parse(&head.bytes()[..cut]), None);
                }
            }
        }
    }

    #[test]
    fn close_payloads() {
        assert_eq!(close_fault(b""), None);
        assert_eq!(close_fault(b"\x03"), Some(PROTOCOL_ERROR));
        assert_eq!(close_fault(b"\x03\xe8bye"), None);
        assert_eq!(close_fault(b"\x03\xe8\xff"), Some(BAD_DATA));
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert_eq!(close_fault(&u16::to_be_bytes(code)), Some(PROTOCOL_ERROR), "{code}");
        }
        for code in [1000, 1003, 1007, 1011, 1014, 3000, 4999] {
            assert_eq!(close_fault(&u16::to_be_bytes(code)), None, "{code}");
        }
    }

    #[test]
    fn close_reasons_are_truncated_between_characters() {
        assert_eq!(clip(b""), b"");
        assert_eq!(clip(&[b'a'; 123]), [b'a'; 123]);
        assert_eq!(clip(&[b'a'; 124]), [b'a'; 123]);
        for (text, len) in [("\u{e9}", 122), ("\u{20ac}", 123), ("\u{1f600}", 120)] {
            assert_eq!(clip(text.repeat(100).as_bytes()), text.repeat(len / text.len()).as_bytes());
        }
        // No character is that long.
        assert_eq!(clip(&[0x80; 200]).len(), 123);
        assert_eq!(clip(&[&[b'a'; 120][..], &[0x80; 80]].concat()).len(), 123);
    }

    fn cut<'a>(data: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut at: Vec<usize> = cuts.iter().map(|c| c % (data.len() + 1)).chain([0, data.len()]).collect();
        at.sort_unstable();
        at.windows(2).map(|w| &data[w[0]..w[1]]).collect()
    }

    /// Bytes that are often text, or nearly.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let near = proptest::collection::vec(prop_oneof!["a", "\u{e9}", "\u{20ac}", "\u{1f600}", "\u{10ffff}", "\u{d7ff}"], 0..8);
        let broken = (near.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(s, i, b)| {
            let mut s = s.concat().into_bytes();
            if !s.is_empty() {
                let i = i.index(s.len());
                s[i] = b;
            }
            s
        });
        prop_oneof![near.prop_map(|s| s.concat().into_bytes()), broken, proptest::collection::vec(any::<u8>(), 0..12)]
    }

    #[test]
    fn characters_may_arrive_in_pieces() {
        let feed = |pieces: &[&[u8]]| {
            let mut utf8 = Utf8::default();
            pieces.iter().map(|piece| utf8.feed(piece)).collect::<Vec<_>>()
        };
        assert_eq!(feed(&[b"a\xe2", b"\x82", b"\xacb"]), [true, true, true]);
        assert_eq!(feed(&[b"a\xe2", b"\x82", b"b"]), [true, true, false]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 16 } else { 5000 }))]
        #[test]
        fn encoded_frames_decode(first in any::<u8>(), data in proptest::collection::vec(any::<u8>(), 0..300), mask in any::<Option<[u8; 4]>>()) {
            let mut frame = [Head::new(first, data.len(), mask).bytes(), &data[..]].concat();
            let at = frame.len() - data.len();
            if let Some(mask) = mask {
                apply_mask(&mut frame[at..], mask);
                for (i, byte) in data.iter().enumerate() {
                    prop_assert_eq!(frame[at + i], byte ^ mask[i % 4]);
                }
            }
            let h = Header::parse(&frame).unwrap();
            prop_assert_eq!((h.first, h.mask, h.len, h.payload), (first, mask, at, data.len() as u64));
            if let Some(mask) = h.mask {
                apply_mask(&mut frame[h.len..], mask);
            }
            prop_assert_eq!(&frame[h.len..], &data[..]);
        }
        #[test]
        fn arbitrary_headers(data in proptest::collection::vec(any::<u8>(), 0..20), from_server: bool, strict: bool, open: bool) {
            if let Some(h) = Header::parse(&data) {
                prop_assert!(h.len <= data.len());
                let passes = |strict| Rules { from_server, strict, any_text: false }.fault(&h, open).is_none();
                prop_assert!(passes(false) || !passes(strict), "only the strict rules let it pass");
            }
            close_fault(&data);
            is_accept(&data);
            is_key(&data);
        }
        #[test]
        fn utf8_is_checked_across_fragments(data in text(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
            let mut utf8 = Utf8::default();
            let mut before = Vec::new();
            let mut good = true;
            for piece in cut(&data, &cuts) {
                before.extend_from_slice(piece);
                good = good && utf8.feed(piece);
                // Invalid text is detected at the first invalid byte.
                prop_assert_eq!(good, from_utf8(&before).err().is_none_or(|e| e.error_len().is_none()));
            }
            prop_assert_eq!(good && utf8.is_whole(), from_utf8(&data).is_ok());
        }
    }
}

//! Chunked transfer coding.
//!
//! A chunked body stays in the receive buffer until it is complete. [`Scanner`] examines each byte once, however it arrives;
//! [`compact`] then joins the data.

use super::strict::is_token_byte;

/// Maximum chunk size, exclusive.
const MAX_CHUNK: usize = 1 << 31;
/// More digits than any size needs, to limit leading zeros.
const MAX_DIGITS: u8 = 16;
/// Maximum number of bytes of extensions and trailers, in addition to the data they come with.
const MAX_EXTRA: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    NeedMore,
    /// The body ends after `consumed` bytes, trailers included; its data is `decoded` bytes long.
    Complete {
        consumed: usize,
        decoded: usize,
    },
    Invalid,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size { digits: u8 },
    Extension,
    SizeLf,
    Data { left: usize },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
    Invalid,
}

/// Progress in a chunked body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanner {
    state: State,
    /// Number of bytes examined.
    pos: usize,
    /// Size of the current chunk.
    size: usize,
    /// Total size of all chunks so far.
    decoded: usize,
    extra: usize,
}

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner::new()
    }
}

impl Scanner {
    pub(crate) fn new() -> Scanner {
        Scanner { state: State::Size { digits: 0 }, pos: 0, size: 0, decoded: 0, extra: 0 }
    }

    /// Continues where the last call stopped. `body` is everything received after the head; the part already examined must not
    /// have changed.
    pub(crate) fn scan(&mut self, body: &[u8]) -> Scan {
        self.scan_with(body, |_| {})
    }

    /// Discards the bytes examined: the next call gets the bytes after them.
    pub(crate) fn advance(&mut self) -> usize {
        core::mem::take(&mut self.pos)
    }

    /// Like [`Self::scan`], passing on new data.
    pub(crate) fn scan_with(&mut self, body: &[u8], mut data: impl FnMut(&[u8])) -> Scan {
        #[cfg(test)]
        crate::proto::meter::add(body.len() - self.pos.min(body.len()));
        while let Some(&b) = body.get(self.pos) {
            let mut used = 1;
            self.state = match (self.state, b) {
                (State::Data { left }, _) => {
                    used = left.min(body.len() - self.pos);
                    data(&body[self.pos..self.pos + used]);
                    if used < left { State::Data { left: left - used } } else { State::DataCr }
                }
                (State::DataCr, b'\r') => State::DataLf,
                (State::DataLf, b'\n') => {
                    self.extra = self.extra.saturating_sub(self.size);
                    self.size = 0;
                    State::Size { digits: 0 }
                }
                (State::Size { digits: 1.. } | State::Extension, b'\r') => State::SizeLf,
                (State::Size { digits: 1.. }, b';') => self.spend(State::Extension),
                (State::Size { digits: 0..MAX_DIGITS }, _) => self.digit(b),
                (State::SizeLf, b'\n') if self.size == 0 => State::TrailerStart,
                (State::SizeLf, b'\n') => {
                    self.decoded = self.decoded.saturating_add(self.size);
                    State::Data { left: self.size }
                }
                (State::TrailerStart, b'\r') => State::EndLf,
                // A space before the colon is malformed: the line might be the next request instead of a trailer.
                (State::TrailerStart | State::TrailerName, _) if is_token_byte(b) => self.spend(State::TrailerName),
                (State::TrailerName, b':') => self.spend(State::TrailerValue),
                (State::TrailerValue, b'\r') => State::TrailerLf,
                (State::TrailerLf, b'\n') => State::TrailerStart,
                (State::EndLf, b'\n') => State::Done,
                (state @ (State::Extension | State::TrailerValue), b'\t' | b' '..=b'~' | 0x80..) => self.spend(state),
                (State::Done, _) => break,
                _ => State::Invalid,
            };
            if let State::Invalid = self.state {
                break;
            }
            self.pos += used;
        }
        match self.state {
            State::Done => Scan::Complete { consumed: self.pos, decoded: self.decoded },
            State::Invalid => Scan::Invalid,
            _ => Scan::NeedMore,
        }
    }

    fn digit(&mut self, b: u8) -> State {
        let State::Size { digits } = self.state else { return State::Invalid };
        let Some(digit) = char::from(b).to_digit(16) else { return State::Invalid };
        if self.size >= MAX_CHUNK / 16 {
            return State::Invalid;
        }
        self.size = self.size * 16 + digit as usize;
        State::Size { digits: digits + 1 }
    }

    /// Accounts for a byte that is not data; goes to `next` unless there were too many.
    fn spend(&mut self, next: State) -> State {
        self.extra += 1;
        if self.extra <= MAX_EXTRA { next } else { State::Invalid }
    }
}

/// Moves the data of a complete chunked body to its start and returns its length. `body` is the part covered by
/// [`Scan::Complete`].
pub(crate) fn compact(body: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some((line, size)) = size_line(&body[from..]) {
        from += line;
        let size = size.min(body.len() - from);
        body.copy_within(from..from + size, to);
        (from, to) = ((from + size + 2).min(body.len()), to + size);
    }
    to
}

/// Length of the line that starts a chunk, and the chunk's size; None for the last chunk.
fn size_line(chunk: &[u8]) -> Option<(usize, usize)> {
    let line = memchr::memchr(b'\n', chunk)? + 1;
    let digits = chunk.iter().map_while(|&b| char::from(b).to_digit(16));
    let size = digits.fold(0usize, |n, d| n.saturating_mul(16).saturating_add(d as usize));
    (size > 0).then_some((line, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(body: &[u8]) -> Scan {
        Scanner::new().scan(body)
    }

    fn complete(consumed: usize, decoded: usize) -> Scan {
        Scan::Complete { consumed, decoded }
    }

    const GOOD: [(&str, &str); 8] = [
        ("0\r\n\r\n", ""),
        ("00000000\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\nA\r\n0\r\n\r\n56789\r\n000b\r\n, wonderful\r\n0\r\n\r\n", "hello0\r\n\r\n56789, wonderful"),
        ("3;a=\"b;c\";d\r\n\r\n\n\r\n0;last\r\n\r\n", "\r\n\n"),
        ("1\r\nx\r\n0\r\nA: b\r\nC:\t\u{e9}\r\n\r\n", "x"),
        ("0000000000000001\r\n\0\r\n0\r\n\r\n", "\0"),
        ("1;\r\nx\r\n0\r\n\r\n", "x"),
    ];

    #[test]
    fn every_split_gives_the_same_result() {
        for (text, data) in GOOD {
            let body = [text.as_bytes(), b"next"].concat();
            let want = complete(text.len(), data.len());
            assert_eq!(whole(&body), want, "{text:?}");
            for first in 0..=body.len() {
                for second in first..=body.len() {
                    let mut scanner = Scanner::new();
                    for n in [first, second] {
                        let got = scanner.scan(&body[..n]);
                        assert_eq!(got, if n < text.len() { Scan::NeedMore } else { want }, "{text:?} cut at {n}");
                    }
                    assert_eq!(scanner.scan(&body), want, "{text:?} cut at {first} and {second}");
                }
            }
            let mut moved = text.as_bytes().to_vec();
            let n = compact(&mut moved);
            assert_eq!(&moved[..n], data.as_bytes());
        }
    }

    #[test]
    fn malformed_chunks_are_refused_at_the_first_bad_byte() {
        for (start, bad) in [
            ("", "?"),
            ("", "\r"),
            ("", "\n"),
            ("", ";"),
            ("", " "),
            ("", "+"),
            ("", "-"),
            ("0", "x"),
            ("5", "\n"),
            ("5", " "),
            ("5", "g"),
            ("5\r", "x"),
            ("5;a", "\n"),
            ("5;a", "\0"),
            ("5;a", "\x7f"),
            ("5;a\r", ";"),
            ("8000000", "0"),
            ("FFFFFFF", "F"),
            ("0000000000000000", "0"),
            ("1\r\nx", "y"),
            ("1\r\nx", "\n"),
            ("1\r\nx\r", "\r"),
            ("1\r\nx\r\n", "\r"),
            ("0\r\n", "\n"),
            ("0\r\n", ":"),
            ("0\r\n", " "),
            ("0\r\nGET", " "),
            ("0\r\nA", "("),
            ("0\r\nA", "\r"),
            ("0\r\nA: b", "\n"),
            ("0\r\nA: b\r", "C"),
            ("0\r\n\r", "x"),
        ] {
            let mut scanner = Scanner::new();
            assert_eq!(scanner.scan(start.as_bytes()), Scan::NeedMore, "{start:?}");
            let body = [start, bad].concat();
            assert_eq!(scanner.scan(body.as_bytes()), Scan::Invalid, "{body:?}");
            assert_eq!(scanner.scan((body + "\r\n\r\n").as_bytes()), Scan::Invalid);
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded_relative_to_the_data() {
        let extension = "e".repeat(MAX_EXTRA - 1);
        let one = |e: &str| format!("1;{e}\r\nx\r\n0\r\n\r\n");
        assert_eq!(whole(one(&extension).as_bytes()), complete(extension.len() + 12, 1));
        assert_eq!(whole(one(&(extension.clone() + "e")).as_bytes()), Scan::Invalid);
        assert_eq!(whole(format!("0\r\nA:{extension}").as_bytes()), Scan::Invalid);
        assert_eq!(whole(format!("0\r\n{}", "A: b\r\n".repeat(MAX_EXTRA)).as_bytes()), Scan::Invalid);
        let signed = "64;signature=0123456789012345678901234567890123456789012345678901234567890123\r\n";
        let body = (signed.to_string() + &"x".repeat(100) + "\r\n").repeat(1000) + "0\r\n\r\n";
        assert_eq!(whole(body.as_bytes()), complete(body.len(), 100_000));
    }

    #[test]
    fn the_largest_chunk_size_is_accepted() {
        assert_eq!(whole(b"7fffFFFF\r\nabc"), Scan::NeedMore);
    }

    #[test]
    fn data_is_passed_on_in_the_pieces_that_arrive() {
        let mut scanner = Scanner::new();
        let mut pieces = Vec::new();
        for arrived in ["5\r\nhe", "llo\r\n3\r\nyou\r\n", "0\r\n\r\n"] {
            scanner.scan_with(arrived.as_bytes(), |piece| pieces.push(piece.to_vec()));
            scanner.advance();
        }
        assert_eq!(pieces, [&b"he"[..], b"llo", b"you"]);
    }

    proptest! {
        #[test]
        fn decoding_reverses_encoding(
            chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..40), "(;[a-z=]{0,5})?"), 0..8),
            step in 1usize..9,
        ) {
            let (mut body, mut data) = (Vec::new(), Vec::<u8>::new());
            for (chunk, extension) in &chunks {
                body.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
                data.extend(chunk);
            }
            body.extend(b"0\r\n\r\n");
            let mut scanner = Scanner::new();
            for n in (0..body.len()).step_by(step) {
                prop_assert_eq!(scanner.scan(&body[..n]), Scan::NeedMore);
            }
            prop_assert_eq!(scanner.scan(&body), complete(body.len(), data.len()));
            let n = compact(&mut body);
            prop_assert_eq!(&body[..n], data);
        }

        #[test]
        fn arbitrary_bytes_scan_the_same_at_once_and_one_by_one(body in "[0-3a;:x\r\n]{0,12}|(1\r\nx\r\n|0\r\n|\r\n|\r|2|;a|a:){0,8}") {
            let mut body = body.into_bytes();
            let mut scanner = Scanner::new();
            (0..body.len()).for_each(|n| { scanner.scan(&body[..n]); });
            prop_assert_eq!(scanner.scan(&body), whole(&body));
            if let Scan::Complete { consumed, decoded } = whole(&body) {
                prop_assert_eq!(compact(&mut body[..consumed]), decoded);
            }
            prop_assert!(compact(&mut body) <= body.len());
        }
    }
}

//! The `Range` header: a single range of bytes.

use super::num;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// To the end.
    From(u64),
    Between(u64, u64),
    /// So many bytes before the end.
    Last(u64),
}

/// None if not understood or several ranges; the whole file is sent then. `bytes=5` means `bytes=5-`, as in the original.
pub(crate) fn parse(value: &[u8]) -> Option<Range> {
    let (unit, specs) = value.trim_ascii().split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let mut specs = specs.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|s| !s.is_empty());
    let (Some(spec), None) = (specs.next(), specs.next()) else { return None };
    let Some(dash) = memchr::memchr(b'-', spec) else { return number(spec).map(Range::From) };
    let (first, last) = (spec[..dash].trim_ascii(), spec[dash + 1..].trim_ascii());
    match (first, last) {
        ([], last) => number(last).map(Range::Last),
        (first, []) => number(first).map(Range::From),
        (first, last) => Some(Range::Between(number(first)?, number(last)?)),
    }
}

/// Digits only. Saturates.
fn number(s: &[u8]) -> Option<u64> {
    let (n, len) = num::prefix(s);
    (len > 0 && len == s.len()).then_some(n)
}

impl Range {
    /// First and last byte in a file of `size` bytes; ranges that end after it are shortened. None if the range cannot be
    /// satisfied.
    pub(crate) fn within(self, size: u64) -> Option<(u64, u64)> {
        let end = size.checked_sub(1)?;
        let (first, last) = match self {
            Range::From(first) => (first, end),
            Range::Between(first, last) => (first, last.min(end)),
            Range::Last(n) => (size.saturating_sub(n), end),
        };
        (first <= last).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_of_a_forty_byte_file() {
        let all = Some((0, 39));
        for (value, want) in [
            ("bytes=0-", all),
            ("bytes=0-39", all),
            ("bytes=5-10", Some((5, 10))),
            ("bytes= 5 - 10 ", Some((5, 10))),
            ("bytes=5", Some((5, 39))),
            ("bytes=-5", Some((35, 39))),
            ("bytes=-1", Some((39, 39))),
            ("bytes=-40", all),
            ("bytes=-100", all),
            ("bytes=-0", None),
            ("bytes=40-", None),
            ("bytes=0-40", all),
            ("bytes=39-40", Some((39, 39))),
            ("bytes=40-40", None),
            ("Bytes=5-10", Some((5, 10))),
            ("bytes=,5-10, ", Some((5, 10))),
            ("bytes=10-5", None),
            ("bytes=50-45", None),
            ("bytes=0-99999999999999999999", all),
            ("bytes=99999999999999999999-1", None),
        ] {
            assert_eq!(parse(value.as_bytes()).unwrap().within(40), want, "{value}");
        }
    }

    #[test]
    fn invalid_ranges_are_ignored() {
        for value in [
            "",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=1-2,4-5",
            "bytes=1-2-3",
            "bytes=+1-2",
            "items=1-2",
            "x bytes=1-2",
            "bytes=--1",
            "bytes 1-2",
        ] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn an_empty_file_satisfies_no_range() {
        for range in [Range::From(0), Range::Between(0, 0), Range::Last(1)] {
            assert_eq!(range.within(0), None);
        }
    }

    proptest! {
        #[test]
        fn ranges_stay_inside_the_file(value in "bytes=[0-9 ,a-]{0,24}", size: u64) {
            if let Some((first, last)) = parse(value.as_bytes()).and_then(|r| r.within(size)) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}

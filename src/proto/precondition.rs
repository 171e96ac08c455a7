//! Conditional requests (RFC 9110, section 13): entity tags and modification dates.

use super::date;
use crate::memory::prelude::*;

/// The conditions of a request.
#[derive(Default)]
pub(crate) struct Preconditions {
    pub(crate) if_match: Option<Vec<u8>>,
    pub(crate) if_none_match: Option<Vec<u8>>,
    pub(crate) if_modified_since: Option<Vec<u8>>,
    pub(crate) if_unmodified_since: Option<Vec<u8>>,
    pub(crate) if_range: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Send,
    /// 304
    NotModified,
    /// 412
    Failed,
}

/// The tags of a list: whether each is weak, and its text without quotation marks. Ends where the list is malformed.
fn tags(list: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    let mut rest = list;
    core::iter::from_fn(move || {
        rest = &rest[rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b',')).count()..];
        let (weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let text = quoted.strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', text)?;
        rest = &text[end + 1..];
        Some((weak, &text[..end]))
    })
}

fn is_any(list: &[u8]) -> bool {
    list.trim_ascii() == b"*"
}

impl Preconditions {
    /// Evaluates them for a file with this (strong) tag and modification time, in the order of RFC 9110, 13.2.2. Dates are ignored if
    /// the time is unknown; If-Modified-Since also unless the request reads the file.
    pub(crate) fn evaluate(&self, etag: &[u8], modified: Option<i64>, reads: bool) -> Outcome {
        let own = etag.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")).unwrap_or(etag);
        let changed_after = |date: &Option<Vec<u8>>| Some(modified? > date::parse_http(date.as_ref()?)?);
        let failed = match &self.if_match {
            Some(list) => !is_any(list) && !tags(list).any(|tag| tag == (false, own)),
            None => changed_after(&self.if_unmodified_since) == Some(true),
        };
        if failed {
            return Outcome::Failed;
        }
        let known = match &self.if_none_match {
            Some(list) => is_any(list) || tags(list).any(|(_, tag)| tag == own),
            None => reads && changed_after(&self.if_modified_since) == Some(false),
        };
        if known { Outcome::NotModified } else { Outcome::Send }
    }

    /// Whether a range may be sent: the rest of another version would not fit.
    pub(crate) fn allow_range(&self, etag: &[u8], modified: Option<i64>) -> bool {
        let Some(value) = &self.if_range else { return true };
        let value = value.trim_ascii();
        value == etag || modified.is_some() && date::parse_http(value) == modified
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAG: &[u8] = b"\"5.12\"";
    /// Tue, 14 Nov 2023 22:13:20 GMT
    const TIME: Option<i64> = Some(1_700_000_000);
    const THEN: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const BEFORE: &str = "Tue, 14 Nov 2023 22:13:19 GMT";
    const AFTER: &str = "Tue, 14 Nov 2023 22:13:21 GMT";

    fn conditions(headers: &[(&str, &str)]) -> Preconditions {
        let of = |name| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_bytes().to_vec());
        Preconditions {
            if_match: of("if-match"),
            if_none_match: of("if-none-match"),
            if_modified_since: of("if-modified-since"),
            if_unmodified_since: of("if-unmodified-since"),
            if_range: of("if-range"),
        }
    }

    #[test]
    fn entity_tags_are_compared() {
        for (list, weak, strong) in [
            ("\"5.12\"", true, true),
            ("W/\"5.12\"", true, false),
            ("\"x\", \"5.12\"", true, true),
            ("\"x\",W/\"5.12\" , \"y\"", true, false),
            (" , ,\"5.12\"", true, true),
            ("\"a,b\", \"5.12\"", true, true),
            ("*", true, true),
            (" * ", true, true),
            ("", false, false),
            ("5.12", false, false),
            ("\"5.1\"", false, false),
            ("\"5.12", false, false),
            ("w/\"5.12\"", false, false),
            ("\"x, 5.12\"", false, false),
            ("x, \"5.12\"", false, false),
        ] {
            let none = conditions(&[("if-none-match", list)]).evaluate(TAG, TIME, true);
            assert_eq!(none, if weak { Outcome::NotModified } else { Outcome::Send }, "{list}");
            let all = conditions(&[("if-match", list)]).evaluate(TAG, TIME, true);
            assert_eq!(all, if strong { Outcome::Send } else { Outcome::Failed }, "{list}");
        }
    }

    #[test]
    fn dates_are_ignored_if_tags_are_given() {
        use Outcome::*;
        for (headers, want) in [
            (&[("if-modified-since", THEN)][..], NotModified),
            (&[("if-modified-since", AFTER)], NotModified),
            (&[("if-modified-since", BEFORE)], Send),
            (&[("if-modified-since", "x")], Send),
            (&[("if-unmodified-since", THEN)], Send),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-unmodified-since", "x")], Send),
            (&[("if-none-match", "\"x\""), ("if-modified-since", AFTER)], Send),
            (&[("if-none-match", "\"5.12\""), ("if-modified-since", BEFORE)], NotModified),
            (&[("if-match", "\"5.12\""), ("if-unmodified-since", BEFORE)], Send),
            (&[("if-match", "\"x\""), ("if-none-match", "\"5.12\"")], Failed),
            (&[("if-match", "\"5.12\""), ("if-none-match", "\"5.12\"")], NotModified),
            (&[("if-unmodified-since", BEFORE), ("if-modified-since", THEN)], Failed),
        ] {
            assert_eq!(conditions(headers).evaluate(TAG, TIME, true), want, "{headers:?}");
        }
        let since = conditions(&[("if-modified-since", AFTER)]);
        assert_eq!((since.evaluate(TAG, None, true), since.evaluate(TAG, TIME, false)), (Send, Send));
    }

    #[test]
    fn if_range_matches_the_same_version_only() {
        for (value, want) in [
            ("\"5.12\"", true),
            ("W/\"5.12\"", false),
            ("\"x\"", false),
            (THEN, true),
            (BEFORE, false),
            (AFTER, false),
            ("", false),
        ] {
            assert_eq!(conditions(&[("if-range", value)]).allow_range(TAG, TIME), want, "{value}");
        }
        assert!(conditions(&[]).allow_range(TAG, TIME) && !conditions(&[("if-range", THEN)]).allow_range(TAG, None));
    }

    proptest! {
        #[test]
        fn arbitrary_lists_do_not_panic(list in "[W/\", *5.12]{0,20}") {
            let _ = conditions(&[("if-match", &list), ("if-none-match", &list), ("if-range", &list)]).evaluate(TAG, TIME, true);
        }
    }
}

//! The few certificate fields that webpki does not expose, for certificates that it rejects.

use crate::memory::prelude::*;
use crate::proto::date::unix_time;
use core::time::Duration;
use rustls::pki_types::UnixTime;

/// A DER element.
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    pub(super) whole: &'a [u8],
}

/// The first element, and the rest. Lengths must use the shortest form.
pub(super) fn element(input: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&[tag, first], mut rest) = input.split_first_chunk()?;
    let mut len = usize::from(first);
    if first >= 0x80 {
        let octets = len - 0x80;
        len = rest
            .get(..octets)
            .filter(|b| (1..=3).contains(&b.len()) && b[0] != 0)?
            .iter()
            .fold(0, |n, &b| n << 8 | usize::from(b));
        rest = &rest[octets..];
        if len < 0x80 {
            return None;
        }
    }
    let content = rest.get(..len)?;
    let whole = &input[..input.len() - rest.len() + len];
    (tag & 0x1f != 0x1f).then_some((Element { tag, content, whole }, &rest[len..]))
}

/// Encodes an element.
pub(super) fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len().to_be_bytes();
    let len = &len[content.len().leading_zeros() as usize / 8..];
    let mut whole = Vec::with_capacity(2 + len.len() + content.len());
    whole.push(tag);
    if content.len() >= 0x80 {
        whole.push(0x80 | len.len() as u8);
    }
    whole.extend(if content.is_empty() { &[0] } else { len });
    whole.extend(content);
    whole
}

/// All elements, or None if the bytes are not DER.
pub(super) fn elements(mut input: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut found = Vec::new();
    while !input.is_empty() {
        let (next, rest) = element(input)?;
        found.push(next);
        input = rest;
    }
    Some(found)
}

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const BIT_STRING: u8 = 3;
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 37, 0];

/// Purpose of a certificate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Usage {
    Server,
    Client,
}

impl Usage {
    fn oid(self) -> &'static [u8] {
        match self {
            Self::Server => &[0x2b, 6, 1, 5, 5, 7, 3, 1],
            Self::Client => &[0x2b, 6, 1, 5, 5, 7, 3, 2],
        }
    }
}

/// Parts of a certificate, without tags unless noted.
pub(super) struct Certificate<'a> {
    /// The signed part, with its tag.
    pub(super) tbs: &'a [u8],
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    /// With its tag: algorithm and public key.
    pub(super) key_info: &'a [u8],
    is_v1: bool,
    extensions: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Certificate<'a> {
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let (outer, []) = element(der)? else { return None };
        let [tbs, algorithm, signature] = &elements(outer.content)?[..] else { return None };
        let fields = elements(tbs.content)?;
        // Version 1 has no field for its version.
        let is_v1 = fields.first()?.tag != 0xa0;
        let fields = if is_v1 { &fields[..] } else { &fields[1..] };
        let [_serial, inner, issuer, validity, subject, key_info, more @ ..] = fields else { return None };
        let [not_before, not_after] = &elements(validity.content)?[..] else { return None };
        let sequences = [&outer, tbs, algorithm, inner, issuer, validity, subject, key_info];
        if sequences.iter().any(|e| e.tag != SEQUENCE) || inner.content != algorithm.content || signature.tag != BIT_STRING {
            return None;
        }
        Some(Self {
            tbs: tbs.whole,
            algorithm: algorithm.content,
            signature: signature.content.strip_prefix(&[0])?,
            issuer: issuer.content,
            subject: subject.content,
            not_before: time(not_before)?,
            not_after: time(not_after)?,
            key_info: key_info.whole,
            is_v1,
            extensions: match more.iter().find(|e| e.tag == 0xa3) {
                Some(e) => extensions(e.content)?,
                None => Vec::new(),
            },
        })
    }

    fn extension(&self, oid: &[u8]) -> Option<&'a [u8]> {
        self.extensions.iter().find(|e| e.0 == oid).map(|e| e.1)
    }

    /// True if the certificate permits this use.
    pub(super) fn allows(&self, usage: Usage) -> bool {
        let Some(listed) = self.extension(EXTENDED_KEY_USAGE) else { return true };
        let listed = element(listed).and_then(|(list, _)| elements(list.content)).unwrap_or_default();
        listed.iter().any(|e| e.content == usage.oid() || e.content == ANY_USAGE)
    }

    /// True if it can be a trust anchor: marked as a CA, too old for that mark, or self-signed.
    pub(super) fn is_anchor(&self) -> bool {
        let constraints = self.extension(BASIC_CONSTRAINTS).and_then(element).and_then(|(e, _)| elements(e.content));
        self.is_v1
            || self.issuer == self.subject
            || constraints.is_some_and(|c| c.first().is_some_and(|first| first.tag == 1 && first.content != [0]))
    }

    /// True if the subject's name is this host name. Ignored if the extension for host names contains any.
    pub(super) fn common_name_is(&self, host: &str) -> bool {
        let names = self.extension(ALTERNATIVE_NAME).map(|ext| element(ext).and_then(|(list, _)| elements(list.content)));
        let has_host = match names {
            None => false,
            Some(Some(names)) => names.iter().any(|n| n.tag == 0x82),
            Some(None) => true,
        };
        !has_host && self.common_names().iter().any(|name| matches(name, host))
    }

    fn common_names(&self) -> Vec<&'a [u8]> {
        let sets = elements(self.subject).unwrap_or_default();
        let pairs = sets.iter().flat_map(|set| elements(set.content).unwrap_or_default());
        let name = |pair: Element<'a>| match &elements(pair.content)?[..] {
            [oid, text] if oid.content == COMMON_NAME => Some(text.content),
            _ => None,
        };
        pairs.filter_map(name).collect()
    }

    /// The bits of the public key.
    pub(super) fn key_bits(&self) -> Option<&'a [u8]> {
        key_bits(self.key_info)
    }
}

/// The bits in an algorithm with a public key.
pub(super) fn key_bits(key_info: &[u8]) -> Option<&[u8]> {
    match &elements(element(key_info)?.0.content)?[..] {
        [_algorithm, bits] if bits.tag == BIT_STRING => Some(bits.content),
        _ => None,
    }
}

/// Pairs of object identifier and value.
fn extensions(content: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut found = Vec::new();
    for extension in elements(element(content)?.0.content)? {
        let parts = elements(extension.content)?;
        found.push((parts.first()?.content, parts.last()?.content));
    }
    Some(found)
}

/// Matches a certificate name with a host name. `*` may stand for the whole first label if at least two more follow.
fn matches(name: &[u8], host: &str) -> bool {
    match name.strip_prefix(b"*.") {
        Some(domain) if domain.contains(&b'.') => {
            host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.as_bytes().eq_ignore_ascii_case(domain))
        }
        _ => name.eq_ignore_ascii_case(host.as_bytes()),
    }
}

/// UTCTime (two-digit year) or GeneralizedTime, to the second and in UTC, as required in certificates.
fn time(e: &Element<'_>) -> Option<UnixTime> {
    let digits = e.content.strip_suffix(b"Z").filter(|d| d.iter().all(u8::is_ascii_digit))?;
    let pair = |at: usize| u32::from(digits[at] - b'0') * 10 + u32::from(digits[at + 1] - b'0');
    let (year, rest) = match (e.tag, digits.len()) {
        (0x17, 12) => (if pair(0) < 50 { 2000 } else { 1900 } + pair(0), 2),
        (0x18, 14) => (pair(0) * 100 + pair(2), 4),
        _ => return None,
    };
    let [month, day, hour, min, sec] = [0, 2, 4, 6, 8].map(|n| pair(rest + n));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || min > 59 || sec > 59 {
        return None;
    }
    Some(UnixTime::since_unix_epoch(Duration::from_secs(unix_time(year, month, day, hour, min, sec))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_encoding() {
        let long = [&[0x30, 0x82, 1, 0][..], &[7; 256]].concat();
        assert_eq!(element(&long).unwrap().0.content.len(), 256);
        for bad in [
            &[0x30, 0x80, 0][..],
            &[0x30, 0x81, 1, 0],
            &[0x30, 0x82, 0, 1, 0],
            &[0x30, 1],
            &[0x30],
            &[0x1f, 1, 0],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
        ] {
            assert!(element(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn encoded_values_parse_back() {
        for len in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000] {
            let (content, whole) = (vec![7; len], wrap(0x30, &vec![7; len]));
            let (e, rest) = element(&whole).unwrap();
            assert!(e.tag == 0x30 && e.content == content && e.whole == whole && rest.is_empty(), "{len}");
        }
    }

    #[test]
    fn host_names_match() {
        for (name, host) in [("a.b", "a.b"), ("A.B", "a.b"), ("*.wild.test", "X.wild.test"), ("localhost", "localhost")] {
            assert!(matches(name.as_bytes(), host), "{name} {host}");
        }
        for (name, host) in [
            ("*.wild.test", "wild.test"),
            ("*.wild.test", "a.b.wild.test"),
            ("*.wild.test", ".wild.test"),
            ("*.test", "a.test"),
            ("a*.wild.test", "ab.wild.test"),
            ("*", "a"),
            ("a.b\0", "a.b"),
            ("", "a"),
        ] {
            assert!(!matches(name.as_bytes(), host), "{name} {host}");
        }
    }

    #[test]
    fn validity_times() {
        let seconds = |tag, text: &str| time(&Element { tag, content: text.as_bytes(), whole: &[] }).map(|t| t.as_secs());
        assert_eq!(seconds(0x17, "700101000000Z"), Some(0));
        assert_eq!(seconds(0x17, "000229123001Z"), Some(951_827_401));
        assert_eq!(seconds(0x18, "20000229123001Z"), Some(951_827_401));
        assert!(seconds(0x18, "99991231235959Z") > Some(250_000_000_000));
        for bad in ["", "Z", "700101000000", "7001010000Z", "701301000000Z", "700100000000Z", "70010100000xZ", "700101240000Z"] {
            assert_eq!(seconds(0x17, bad), None, "{bad}");
        }
    }
}

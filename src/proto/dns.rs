//! DNS messages. There are two parsers of names: a lenient one, as specified for the C parsers and mDNS, and a strict one for the
//! replies that the resolver trusts.

use crate::memory;
use crate::memory::prelude::*;
use core::net::IpAddr;

pub(crate) const A: u16 = 1;
pub(crate) const CNAME: u16 = 5;
pub(crate) const AAAA: u16 = 28;
pub(crate) const IN: u16 = 1;

pub(crate) const HEADER: usize = 12;
/// Maximum size of a UDP message without extensions.
pub(crate) const UDP_MAX: usize = 512;
/// Maximum length of a name as text in the C API.
pub(crate) const NAME_MAX: usize = 255;
/// Maximum length of a name on the wire.
const WIRE_MAX: usize = 255;

fn be16(buf: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*buf.get(at..)?.first_chunk()?))
}

/// Word `i` of the header; 0 if there is none.
pub(crate) fn header(buf: &[u8], i: usize) -> u16 {
    be16(buf, i * 2).unwrap_or(0)
}

// ---- lenient

/// A name as text, cut to NAME_MAX bytes.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    bytes: [u8; NAME_MAX],
    len: usize,
}

impl Text {
    pub(crate) const EMPTY: Text = Text { bytes: [0; NAME_MAX], len: 0 };

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, label: &[u8]) {
        let dot: &[u8] = if self.len > 0 { b"." } else { b"" };
        for part in [dot, label] {
            let part = &part[..part.len().min(NAME_MAX - self.len)];
            self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
            self.len += part.len();
        }
    }
}

/// Maximum depth of nested pointers.
const NESTING: u32 = 5;

/// Appends the name at `at` to `to`. Returns its encoded length; a pointer counts two bytes. A pointer out of the message or to
/// another pointer ends the name. None if pointers are nested too deeply.
fn labels(buf: &[u8], mut at: usize, depth: u32, to: &mut Text) -> Option<usize> {
    let start = at;
    loop {
        let n = usize::from(*buf.get(at)?);
        match n {
            0 => return Some(at + 1 - start),
            0x40.. => {
                let target = (n & 0x3f) << 8 | usize::from(*buf.get(at + 1)?);
                if buf.get(target).is_some_and(|b| b & 0xc0 == 0) {
                    if depth >= NESTING {
                        return None;
                    }
                    labels(buf, target, depth + 1, to)?;
                }
                return Some(at + 2 - start);
            }
            _ => {
                to.push(buf.get(at + 1..at + 1 + n)?);
                at += n + 1;
            }
        }
    }
}

/// The name at `at`, and its encoded length.
pub(crate) fn name(buf: &[u8], at: usize) -> Option<(Text, usize)> {
    let mut text = Text::EMPTY;
    let len = labels(buf, at, 0, &mut text)?;
    Some((text, len))
}

/// A question, or a record with `data_len` bytes of data at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) name_len: usize,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) data_len: usize,
    /// Of all of it.
    pub(crate) len: usize,
}

/// The question or record at `at`.
pub(crate) fn record(buf: &[u8], at: usize, is_question: bool) -> Option<Record> {
    if buf.len() < HEADER {
        return None;
    }
    let name_len = labels(buf, at, 0, &mut Text::EMPTY.clone())?;
    let fixed = at + name_len;
    let (rtype, class) = (be16(buf, fixed)?, be16(buf, fixed + 2)?);
    if is_question {
        return Some(Record { name_len, rtype, class, data_len: 0, len: name_len + 4 });
    }
    let data_len = usize::from(be16(buf, fixed + 8)?);
    let len = name_len + 10 + data_len;
    (at + len <= buf.len()).then_some(Record { name_len, rtype, class, data_len, len })
}

impl Record {
    /// The data of the record that was read at `at`.
    pub(crate) fn data<'a>(&self, buf: &'a [u8], at: usize) -> &'a [u8] {
        buf.get(at + self.len - self.data_len..at + self.len).unwrap_or_default()
    }

    /// The address, if it is one.
    pub(crate) fn address(&self, buf: &[u8], at: usize) -> Option<IpAddr> {
        address(self.rtype, self.class, self.data(buf, at))
    }
}

fn address(rtype: u16, class: u16, data: &[u8]) -> Option<IpAddr> {
    match rtype {
        A if class == IN => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
        AAAA if class == IN => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
        _ => None,
    }
}

pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) name: Text,
    pub(crate) address: Option<IpAddr>,
}

/// See `mg_dns_parse`.
pub(crate) fn message(buf: &[u8]) -> Option<Message> {
    const ANSWERS: u16 = 10;
    if !(HEADER..=UDP_MAX).contains(&buf.len()) || header(buf, 2) > 1 {
        return None;
    }
    let mut found = Message { id: header(buf, 0), name: Text::EMPTY, address: None };
    let mut at = HEADER;
    if header(buf, 2) == 1 {
        let question = record(buf, at, true)?;
        found.name = name(buf, at)?.0;
        at += question.len;
    }
    if header(buf, 1) & RESPONSE == 0 {
        return Some(found);
    }
    for _ in 0..header(buf, 3).min(ANSWERS) {
        let answer = record(buf, at, false)?;
        found.name = name(buf, at)?.0;
        found.address = answer.address(buf, at);
        if found.address.is_some() {
            break;
        }
        at += answer.len;
    }
    Some(found)
}

// ---- queries

/// The wire form of a host name; None when it has none. One dot at the end is ignored.
pub(crate) fn encode(name: &[u8]) -> Option<Vec<u8>> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let mut wire = Vec::with_capacity(name.len() + 2);
    for (i, label) in name.split(|b| *b == b'.').enumerate() {
        // A leading dot is encoded as an empty label, as in the original. No server resolves it.
        if label.len() > 63 || label.is_empty() && (i > 0 || name.is_empty()) {
            return None;
        }
        wire.push(label.len() as u8);
        wire.extend_from_slice(label);
    }
    wire.push(0);
    (wire.len() <= WIRE_MAX).then_some(wire)
}

pub(crate) const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
pub(crate) const RECURSION_DESIRED: u16 = 0x0100;

/// A message with one question.
pub(crate) fn query(id: u16, flags: u16, wire_name: &[u8], rtype: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + wire_name.len() + 4);
    for word in [id, flags, 1, 0, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(wire_name);
    for word in [rtype, IN] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out
}

// ---- replies, strict

#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// At least one.
    Addresses(Vec<IpAddr>),
    /// The name does not exist, or has no address of this kind.
    Nothing,
    /// The server failed to answer.
    Failed,
    /// Does not fit a datagram.
    Truncated,
}

/// The answer of `reply` to `query`; None unless it is a well-formed reply to exactly this question.
pub(crate) fn reply(query: &[u8], reply: &[u8]) -> Option<Reply> {
    const NO_SUCH_NAME: u16 = 3;
    let flags = header(reply, 1);
    let question = query.get(HEADER..)?;
    let same_id = query.get(..2) == reply.get(..2);
    // The question comes first, so it cannot contain compression pointers and can be compared bytewise.
    let asked = reply.get(HEADER..HEADER + question.len())?;
    if !same_id || flags & (RESPONSE | OPCODE) != RESPONSE || header(reply, 2) != 1 || !asked.eq_ignore_ascii_case(question) {
        return None;
    }
    if flags & TRUNCATED != 0 {
        return Some(Reply::Truncated);
    }
    match flags & 15 {
        0 => {
            let found = find(reply, HEADER + question.len(), wire_name(reply, HEADER)?.0)?;
            Some(if found.is_empty() { Reply::Nothing } else { Reply::Addresses(found) })
        }
        NO_SUCH_NAME => Some(Reply::Nothing),
        _ => Some(Reply::Failed),
    }
}

/// Follows aliases from `want` to the addresses among the answers that begin at `at`. None: they are malformed.
fn find(buf: &[u8], mut at: usize, mut want: Vec<u8>) -> Option<Vec<IpAddr>> {
    const ALIASES: usize = 16;
    let mut addresses = Vec::new();
    let mut aliases = Vec::new();
    for _ in 0..header(buf, 3) {
        let (owner, name_len) = wire_name(buf, at)?;
        let fixed = at + name_len;
        let (rtype, class) = (be16(buf, fixed)?, be16(buf, fixed + 2)?);
        let data_at = fixed + 10;
        let data = buf.get(data_at..data_at + usize::from(be16(buf, fixed + 8)?))?;
        // Out of memory: ignore the reply.
        if memory::is_low() || !memory::grow(&mut addresses, 1) || !memory::grow(&mut aliases, 1) {
            return None;
        }
        if let Some(ip) = address(rtype, class, data) {
            addresses.push((owner, ip));
        } else if (rtype, class) == (CNAME, IN) {
            aliases.push((owner, wire_name(buf, data_at)?.0));
        }
        at = data_at + data.len();
    }
    for _ in 0..=ALIASES {
        let mut found = Vec::new();
        for (_, ip) in addresses.iter().filter(|(owner, _)| *owner == want) {
            if !found.contains(ip) {
                found.push(*ip);
            }
        }
        if !found.is_empty() {
            return Some(found);
        }
        let Some((_, target)) = aliases.iter().find(|(owner, _)| *owner == want) else { break };
        want.clone_from(target);
    }
    Some(Vec::new())
}

/// The name at `at`, complete and in lower case, and its encoded length. Every pointer must lead further to the front than the
/// previous one, so there are no loops.
fn wire_name(buf: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::new();
    let (mut at, mut front, mut len) = (start, start, None);
    loop {
        let n = usize::from(*buf.get(at)?);
        match n {
            0..0x40 => {
                let label = buf.get(at..=at + n)?;
                name.extend(label.iter().map(u8::to_ascii_lowercase));
                at += n + 1;
                if name.len() > WIRE_MAX {
                    return None;
                }
                if n == 0 {
                    return Some((name, len.unwrap_or_else(|| at - start)));
                }
            }
            0xc0.. => {
                len = len.or_else(|| Some(at + 2 - start));
                let target = (n & 0x3f) << 8 | usize::from(*buf.get(at + 1)?);
                if target >= front {
                    return None;
                }
                (at, front) = (target, target);
            }
            _ => return None,
        }
    }
}

// ---- streams

/// The first message of a TCP stream, once it is complete; each is preceded by its length.
pub(crate) fn frame(stream: &[u8]) -> Option<&[u8]> {
    stream.get(2..2 + usize::from(be16(stream, 0)?))
}

/// A message as it goes over TCP. None: too long.
pub(crate) fn framed(message: &[u8]) -> Option<Vec<u8>> {
    let len = u16::try_from(message.len()).ok()?;
    Some([&len.to_be_bytes(), message].concat())
}

/// Compares names as text, in any case, a dot at the end or not.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let plain = |s: &'_ [u8]| s.len() - usize::from(s.ends_with(b"."));
    a[..plain(a)].eq_ignore_ascii_case(&b[..plain(b)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(name: &str) -> Vec<u8> {
        query(0x1234, RECURSION_DESIRED, &encode(name.as_bytes()).unwrap(), A)
    }

    /// A reply to `query` with these flags and answers.
    fn replied(query: &[u8], flags: u16, answers: &[&[u8]]) -> Vec<u8> {
        let mut r = query.to_vec();
        r[2..4].copy_from_slice(&flags.to_be_bytes());
        r[7] = answers.len() as u8;
        r.extend_from_slice(&answers.concat());
        r
    }

    fn answer(owner: &[u8], rtype: u16, data: &[u8]) -> Vec<u8> {
        let fixed = [&rtype.to_be_bytes()[..], &[0, 1, 0, 0, 0, 60], &(data.len() as u16).to_be_bytes()].concat();
        [owner, &fixed, data].concat()
    }

    const QUESTION: &[u8] = b"\xc0\x0c";
    fn addresses(last: &[u8]) -> Option<Reply> {
        Some(Reply::Addresses(last.iter().map(|d| IpAddr::from([1, 2, 3, *d])).collect()))
    }

    #[test]
    fn wire_format_of_names() {
        assert_eq!(encode(b"a.bc").unwrap(), b"\x01a\x02bc\0");
        assert_eq!(encode(b"a.bc."), encode(b"a.bc"));
        let longest = [[b'x'; 63], [b'x'; 63], [b'x'; 63]].map(|l| l.to_vec()).join(&b'.');
        assert_eq!(encode(&[&longest[..], b".", &[b'x'; 61]].concat()).unwrap().len(), WIRE_MAX);
        assert_eq!(encode(&[&longest[..], b".", &[b'x'; 62]].concat()), None);
        for name in [&b""[..], b".", b"..", b"a..b", b"a..", &[b'x'; 64]] {
            assert_eq!(encode(name), None, "{name:?}");
        }
    }

    #[test]
    fn only_addresses_of_the_alias_chain_count() {
        let q = asked("h.example");
        let ip = answer(QUESTION, A, &[1, 2, 3, 4]);
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&ip])), addresses(&[4]));
        let alias = answer(QUESTION, CNAME, b"\x01C\x01d\0");
        let other = answer(b"\x01c\x01D\0", A, &[1, 2, 3, 4]);
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&other, &alias])), addresses(&[4]));
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&other])), Some(Reply::Nothing));
        let all = [9, 4, 9].map(|last| answer(QUESTION, A, &[1, 2, 3, last]));
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&all[0], &other, &all[1], &all[2]])), addresses(&[9, 4]));
        let circle = answer(b"\x01c\x01d\0", CNAME, QUESTION);
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&alias, &circle])), Some(Reply::Nothing));
        let itself = answer(QUESTION, CNAME, QUESTION);
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&itself])), Some(Reply::Nothing));
        // 16 aliases, and one more.
        let name = |n: u8| [2, b'x', b'a' + n, 0];
        let mut chain = vec![answer(QUESTION, CNAME, &name(0))];
        chain.extend((0..15).map(|n| answer(&name(n), CNAME, &name(n + 1))));
        chain.push(answer(&name(15), A, &[1, 2, 3, 4]));
        let parts: Vec<&[u8]> = chain.iter().map(|a| &a[..]).collect();
        assert_eq!(reply(&q, &replied(&q, 0x8180, &parts)), addresses(&[4]));
        chain[16] = answer(&name(15), CNAME, &name(16));
        chain.push(answer(&name(16), A, &[1, 2, 3, 4]));
        let parts: Vec<&[u8]> = chain.iter().map(|a| &a[..]).collect();
        assert_eq!(reply(&q, &replied(&q, 0x8180, &parts)), Some(Reply::Nothing));
        // Other classes and lengths are not addresses.
        let mut chaos = ip.clone();
        chaos[5] = 3;
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&chaos])), Some(Reply::Nothing));
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&answer(QUESTION, A, &[1, 2, 3])])), Some(Reply::Nothing));
    }

    #[test]
    fn mismatched_replies_are_rejected() {
        let q = asked("h.example");
        let ip = answer(QUESTION, A, &[1, 2, 3, 4]);
        let good = replied(&q, 0x8180, &[&ip]);
        // Id, QR, opcode, number of questions, and each byte of the question.
        for (at, bit) in
            [(0, 1), (1, 0x80), (2, 0x80), (2, 8), (2, 0x40), (5, 1), (5, 2)].into_iter().chain((12..27).map(|n| (n, 1)))
        {
            let mut bad = good.clone();
            bad[at] ^= bit;
            assert_eq!(reply(&q, &bad), None, "byte {at}");
        }
        assert!((0..good.len()).all(|n| reply(&q, &good[..n]).is_none()));
        assert_eq!(reply(&asked("H.EXAMPLE"), &good), addresses(&[4]));
        assert_eq!(reply(&q, &replied(&q, 0x8380, &[])), Some(Reply::Truncated));
        assert_eq!(reply(&q, &replied(&q, 0x8183, &[&ip])), Some(Reply::Nothing));
        assert_eq!(reply(&q, &replied(&q, 0x8182, &[&ip])), Some(Reply::Failed));
    }

    #[test]
    fn compression_pointers_point_backwards_only() {
        let q = asked("h.example");
        let at = q.len() as u8;
        let ip = &[1, 2, 3, 4];
        for owner in [&[0xc0, at][..], &[0xc0, at + 1], &[0xff, 0xff], &[0xc0], &[0x40, 12], &[0x80, 12], &[1, b'x', 0xc0, at]] {
            assert_eq!(reply(&q, &replied(&q, 0x8180, &[&answer(owner, A, ip)])), None, "{owner:?}");
        }
        // A pointer to a pointer, which leads to the question.
        let first = answer(b"\x01x\xc0\x0c", A, ip);
        let second = answer(&[0xc0, at + 2], CNAME, &[0xc0, at + first.len() as u8]);
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&first, &second])), Some(Reply::Nothing));
        // A name of maximum length, and one that exceeds it through pointers.
        let long: Vec<u8> = [&[63u8][..], &[b'x'; 63]].concat().repeat(3);
        let fits = [&long[..], &[51], &[b'x'; 51], QUESTION].concat();
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&answer(&fits, A, ip)])), Some(Reply::Nothing));
        let too_long = [&long[..], &[52], &[b'x'; 52], QUESTION].concat();
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&answer(&too_long, A, ip)])), None);
    }

    #[test]
    fn compression_pointers_have_fourteen_bits() {
        let q = asked("h.example");
        let long: Vec<u8> = [&[63u8][..], &[b'x'; 63]].concat().repeat(3);
        let filler = answer(&[&long[..], QUESTION].concat(), 16, &[0; 1000]);
        let at = (q.len() + filler.len()) as u16;
        assert!(at >= 1024);
        let ip = answer(b"\x01c\0", A, &[1, 2, 3, 4]);
        let alias = answer(QUESTION, CNAME, &(0xc000 | at).to_be_bytes());
        assert_eq!(reply(&q, &replied(&q, 0x8180, &[&filler, &ip, &alias])), addresses(&[4]));
    }

    #[test]
    fn names_of_c_parsers_nest_to_a_limit() {
        // A name at 300 that consists of a label and a pointer to the next such name; the last is "z".
        let nested = |depth: usize| {
            let mut buf = vec![0; 300];
            for n in 0..depth {
                buf.extend([1, b'a' + n as u8, 0xc1, (300 - 256 + 4 * (n + 1)) as u8]);
            }
            buf.extend(b"\x01z\0\0\x01\0\x01");
            buf
        };
        let (text, len) = name(&nested(5), 300).unwrap();
        assert_eq!((text.as_bytes(), len), (&b"a.b.c.d.e.z"[..], 4));
        assert_eq!(record(&nested(5), 300, true).map(|r| r.name_len), Some(4));
        assert!(name(&nested(6), 300).is_none());
        assert_eq!(record(&nested(6), 300, true), None);
        assert_eq!(record(&nested(5), 1000, true), None);
        assert_eq!(header(b"\0", 0), 0);
    }

    #[test]
    fn names_of_c_parsers_are_cut_to_a_limit() {
        for size in [63, 60] {
            let wire = [[&[size as u8][..], &vec![b'x'; size]].concat().repeat(5), vec![0]].concat();
            let whole = vec!["x".repeat(size); 5].join(".");
            let (text, len) = name(&wire, 0).unwrap();
            assert_eq!((text.as_bytes(), len), (&whole.as_bytes()[..255], wire.len()));
        }
    }

    #[test]
    fn names_are_compared_as_text() {
        assert!(same(b"a.b", b"A.b.") && same(b"a.b.", b"a.b") && same(b"", b"."));
        assert!(!same(b"a.b", b"a.c") && !same(b"a.b", b"a.b.."));
    }

    #[test]
    fn tcp_frames() {
        assert_eq!(frame(b"\0\x02ab\0"), Some(&b"ab"[..]));
        assert!([&b""[..], b"\0", b"\0\x01"].iter().all(|s| frame(s).is_none()));
        assert_eq!(framed(b"ab").unwrap(), b"\0\x02ab");
        assert_eq!(framed(&vec![0; 65536]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 2000 }))]
        #[test]
        fn encoded_queries_parse_back(labels in prop::collection::vec("[a-zA-Z0-9_-]{1,63}", 1..4), id: u16, rtype: u16) {
            let name = labels.join(".");
            let q = query(id, 0, &encode(name.as_bytes()).unwrap(), rtype);
            let found = message(&q).unwrap();
            prop_assert_eq!((found.id, found.name.as_bytes()), (id, name.as_bytes()));
            let r = record(&q, HEADER, true).unwrap();
            prop_assert_eq!((r.rtype, r.class, HEADER + r.len), (rtype, IN, q.len()));
        }
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(prop_oneof![Just(0xc0u8), Just(12u8), 0..4u8, any::<u8>()], 0..120)) {
            message(&bytes);
            for at in 0..bytes.len() + 2 {
                record(&bytes, at, false);
                record(&bytes, at, true);
            }
            let q = asked("h");
            reply(&q, &bytes);
            let mut r = replied(&q, 0x8180, &[&bytes]);
            r[7] = 3;
            reply(&q, &r);
        }
    }
}

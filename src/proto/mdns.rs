//! mDNS and DNS-SD messages: queries that may concern us, responses to them, and responses of others.

use super::dns::{self, A, HEADER, RESPONSE, Record, Text, header, record};
use crate::memory::prelude::*;
use core::net::{IpAddr, Ipv4Addr};
use core::ops::Range;

pub(crate) const PTR: u16 = 12;
pub(crate) const TXT: u16 = 16;
pub(crate) const SRV: u16 = 33;
const ANY_CLASS: u16 = 255;
/// In a question's class: unicast response requested. In a record's class: cache flush.
const TOP_BIT: u16 = 0x8000;
const DOMAIN: &[u8] = b".local";

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    Query,
    Response,
}

/// The kind of a datagram, if it is one of these.
pub(crate) fn kind(buf: &[u8]) -> Option<Kind> {
    const OPCODE: u16 = 0x7800;
    match header(buf, 1) & (RESPONSE | OPCODE) {
        _ if buf.len() <= HEADER => None,
        0 => Some(Kind::Query),
        RESPONSE => Some(Kind::Response),
        _ => None,
    }
}

// ---- questions

/// A question for a `.local` name.
pub(crate) struct Question {
    /// The class without its top bit.
    pub(crate) record: Record,
    pub(crate) unicast: bool,
    name: Text,
}

impl Question {
    /// The name without `.local`.
    pub(crate) fn name(&self) -> &[u8] {
        let name = self.name.as_bytes();
        &name[..name.len() - DOMAIN.len()]
    }

    /// The name that a question asks of a host called `host`, or of one that answers to any name. None if it does not concern the
    /// host.
    pub(crate) fn to_host(&self, host: Option<&[u8]>) -> Option<&[u8]> {
        let name = self.name();
        match (self.record.rtype, host) {
            (A, Some(host)) => name.eq_ignore_ascii_case(host).then_some(name),
            (SRV | TXT, Some(host)) => {
                let (instance, service) = name.split_at_checked(host.len())?;
                instance.eq_ignore_ascii_case(host).then(|| service.strip_prefix(b".")).flatten()
            }
            (A | PTR | SRV | TXT, _) => Some(name),
            _ => None,
        }
    }
}

/// Maximum number of questions examined per query.
const QUESTIONS: u16 = 16;

/// The questions of a query that can be answered. There is always a first one, whatever the header says.
pub(crate) fn questions(buf: &[u8]) -> Vec<Question> {
    let mut found = Vec::new();
    // Long queries contain known answers. Ignore them if they contain anything else beyond the usual length.
    if buf.len() > dns::UDP_MAX && end(buf) != Some(buf.len()) {
        return found;
    }
    let mut at = HEADER;
    for _ in 0..header(buf, 2).clamp(1, QUESTIONS) {
        let Some(mut record) = record(buf, at, true) else { break };
        let Some((name, _)) = dns::name(buf, at) else { break };
        at += record.len;
        let unicast = record.class & TOP_BIT != 0;
        record.class &= !TOP_BIT;
        let ours = name.as_bytes().len() > DOMAIN.len() && name.as_bytes().ends_with(DOMAIN);
        if ours && matches!(record.class, dns::IN | ANY_CLASS) {
            found.push(Question { record, unicast, name });
        }
    }
    found
}

/// End of the last record announced by the header.
fn end(buf: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    for section in 2..6 {
        for _ in 0..header(buf, section) {
            at += record(buf, at, section == 2)?.len;
        }
    }
    Some(at)
}

// ---- answers

/// A service described by the application.
pub(crate) struct Service<'a> {
    /// Such as `_http._tcp`.
    pub(crate) srvcproto: &'a [u8],
    pub(crate) txt: &'a [u8],
    pub(crate) port: u16,
}

/// Estimated maximum size of a response.
const ANSWER_MAX: usize = 282;
const TTL: u32 = 120;
const LOCAL: &[u8] = b"\x05local\0";

struct Answer(Vec<u8>);

impl Answer {
    fn new(id: u16, additional: u16) -> Answer {
        let mut a = Answer(Vec::with_capacity(ANSWER_MAX + 64));
        [id, 0x8400, 0, 1, 0, additional].into_iter().for_each(|word| a.word(word));
        a
    }

    fn word(&mut self, word: u16) {
        self.0.extend_from_slice(&word.to_be_bytes());
    }

    fn label(&mut self, label: &[u8]) {
        self.0.push(label.len() as u8);
        self.0.extend_from_slice(label);
    }

    fn pointer(&mut self, to: usize) {
        self.word(0xc000 | to as u16);
    }

    /// Writes the part of a record between owner name and data. Returns where the data begins.
    fn fixed(&mut self, rtype: u16, data_len: usize) -> usize {
        self.word(rtype);
        self.word(dns::IN);
        self.0.extend_from_slice(&TTL.to_be_bytes());
        self.word(data_len as u16);
        self.0.len()
    }

    /// Writes the data of an SRV record. Returns the position of the target name.
    fn srv(&mut self, host: &[u8], port: u16, local: usize) -> usize {
        self.fixed(SRV, 9 + host.len());
        [0, 0, port].into_iter().for_each(|word| self.word(word));
        let target = self.0.len();
        self.label(host);
        self.pointer(local);
        target
    }

    fn txt(&mut self, txt: &[u8]) {
        self.fixed(TXT, txt.len());
        self.0.extend_from_slice(txt);
    }

    fn address(&mut self, ip: Ipv4Addr) {
        self.fixed(A, 4);
        self.0.extend_from_slice(&ip.octets());
    }
}

/// The response to a question of type `rtype`, for the name `host`. None if there is none, or if it would be malformed.
pub(crate) fn answer(id: u16, rtype: u16, host: &[u8], service: &Service<'_>, ip: Ipv4Addr) -> Option<Vec<u8>> {
    let Service { srvcproto, txt, port } = *service;
    let estimate = match rtype {
        A => host.len() + 34,
        PTR => srvcproto.len() + 2 * host.len() + txt.len() + 82,
        TXT => srvcproto.len() + txt.len() + 30,
        _ => srvcproto.len() + host.len() + 55,
    };
    if !(1..=63).contains(&host.len()) || estimate > ANSWER_MAX {
        return None;
    }
    if rtype == A {
        let mut a = Answer::new(id, 0);
        a.label(host);
        a.0.extend_from_slice(LOCAL);
        a.address(ip);
        return Some(a.0);
    }
    // The labels of the service, without the terminator.
    let mut service = dns::encode(srvcproto).filter(|_| !srvcproto.starts_with(b"."))?;
    service.pop();
    let mut a = Answer::new(id, [(PTR, 3), (SRV, 1)].iter().find(|(t, _)| *t == rtype).map_or(0, |(_, n)| *n));
    if rtype != PTR {
        a.label(host);
    }
    a.0.extend_from_slice(&service);
    let local = a.0.len();
    a.0.extend_from_slice(LOCAL);
    if rtype == TXT {
        a.txt(txt);
        return Some(a.0);
    }
    let mut instance = HEADER;
    if rtype == PTR {
        instance = a.fixed(PTR, host.len() + 3);
        a.label(host);
        a.pointer(HEADER);
        a.pointer(instance);
    }
    let target = a.srv(host, port, local);
    if rtype == PTR {
        a.pointer(instance);
        a.txt(txt);
    }
    a.pointer(target);
    a.address(ip);
    Some(a.0)
}

// ---- responses of other hosts

/// A response, condensed from its first record and related ones.
#[derive(Debug, PartialEq)]
pub(crate) struct Response {
    pub(crate) first: Record,
    pub(crate) name: Vec<u8>,
    pub(crate) srvcproto: Option<Vec<u8>>,
    pub(crate) ip: Option<Ipv4Addr>,
    pub(crate) port: Option<u16>,
    /// Where the TXT data lies in the datagram.
    pub(crate) txt: Option<Range<usize>>,
}

/// Maximum number of records examined per datagram.
const RECORDS: usize = 8;

/// The answers and additional records of a response, with their positions. None if one is malformed.
fn records(buf: &[u8], most: usize) -> Option<Vec<(usize, Record)>> {
    let mut at = HEADER;
    let mut found = Vec::new();
    for section in 2..6 {
        for _ in 0..header(buf, section) {
            if found.len() == most {
                return Some(found);
            }
            let r = record(buf, at, section == 2)?;
            if matches!(section, 3 | 5) {
                found.push((at, r));
            }
            at += r.len;
        }
    }
    Some(found)
}

/// The IPv4 addresses in a response, with their names.
pub(crate) fn addresses(buf: &[u8]) -> Vec<(Text, Ipv4Addr)> {
    let all = records(buf, RECORDS).unwrap_or_default();
    let address = |(at, r): &(usize, Record)| Some((dns::name(buf, *at)?.0, ipv4(buf, *at, r)?));
    all.iter().filter_map(address).collect()
}

fn ipv4(buf: &[u8], at: usize, r: &Record) -> Option<Ipv4Addr> {
    match (Record { class: r.class & !TOP_BIT, ..*r }).address(buf, at) {
        Some(IpAddr::V4(ip)) => Some(ip),
        _ => None,
    }
}

/// A name without its last label (the domain) and the dot before it.
fn without_domain(name: &[u8]) -> Option<&[u8]> {
    name.get(..name.len().checked_sub(DOMAIN.len())?).filter(|rest| !rest.is_empty())
}

/// The first label of a name, and the text after its dot.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = memchr::memchr(b'.', name)?;
    Some((&name[..dot], &name[dot + 1..]))
}

/// The name at `at`. None if it extends beyond `end`, or is empty.
fn name_within(buf: &[u8], at: usize, end: usize) -> Option<Text> {
    dns::name(buf, at).filter(|(name, len)| at + len <= end && !name.as_bytes().is_empty()).map(|(name, _)| name)
}

/// True if the data of a record is too short for its type.
fn is_cut_short(r: &Record) -> bool {
    r.class & !TOP_BIT == dns::IN
        && match r.rtype {
            A => r.data_len < 4,
            dns::AAAA => r.data_len < 16,
            // A name takes at least two bytes, unless it is the root. It may be malformed.
            PTR => r.data_len < 2,
            // Priority, weight, port and a name.
            SRV => r.data_len < 7,
            _ => false,
        }
}

/// The content of a response; None if it describes no services or hosts.
pub(crate) fn response(buf: &[u8]) -> Option<Response> {
    if header(buf, 3) == 0 {
        return None;
    }
    let all = records(buf, RECORDS)?;
    let &(at, first) = all.first()?;
    let owner = dns::name(buf, at)?.0;
    let owner = owner.as_bytes();
    let mut found = Response { first, name: Vec::new(), srvcproto: None, ip: None, port: None, txt: None };
    if first.class & !TOP_BIT != dns::IN {
        return None;
    }
    let data_at = |at: usize, r: &Record| at + r.len - r.data_len;
    if all.iter().any(|(_, r)| is_cut_short(r)) {
        return None;
    }
    let instance = match first.rtype {
        A => {
            found.ip = Some(ipv4(buf, at, &first)?);
            found.name = owner.to_vec();
            return Some(found);
        }
        PTR => {
            found.srvcproto = Some(without_domain(owner)?.to_vec());
            dns::name(buf, data_at(at, &first))?.0
        }
        SRV | TXT => {
            let (name, rest) = split(owner)?;
            found.srvcproto = Some(without_domain(rest)?.to_vec());
            found.name = name.to_vec();
            dns::name(buf, at)?.0
        }
        _ => return None,
    };
    let (mut target, mut host) = (None, None);
    for (at, r) in &all {
        if r.class & !TOP_BIT != dns::IN {
            continue;
        }
        let owner = dns::name(buf, *at)?.0;
        let of_instance = dns::same(owner.as_bytes(), instance.as_bytes());
        match r.rtype {
            SRV if of_instance => {
                if found.port.is_some() {
                    break;
                }
                let data = data_at(*at, r);
                found.port = Some(u16::from_be_bytes([buf[data + 4], buf[data + 5]]));
                // If it is malformed, the instance name is used.
                target = name_within(buf, data + 6, *at + r.len);
            }
            TXT if of_instance => {
                if found.txt.is_some() {
                    break;
                }
                found.txt = Some(data_at(*at, r)..at + r.len);
            }
            A => {
                let wanted = target.as_ref().unwrap_or(&instance);
                let Some(ip) = ipv4(buf, *at, r).filter(|_| dns::same(owner.as_bytes(), wanted.as_bytes())) else { continue };
                if found.ip.is_some() {
                    break;
                }
                (found.ip, host) = (Some(ip), Some(owner));
            }
            _ => {}
        }
    }
    if first.rtype == PTR {
        let whole = target.or(host);
        let label = split(instance.as_bytes()).map_or(&b""[..], |(label, _)| label);
        found.name = whole.as_ref().map_or(label, |t| t.as_bytes()).to_vec();
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const HTTP: Service<'_> = Service { srvcproto: b"_http._tcp", txt: b"\x03a=b", port: 8080 };

    fn name_at(buf: &[u8], at: usize) -> Vec<u8> {
        dns::name(buf, at).unwrap().0.as_bytes().to_vec()
    }

    #[test]
    fn responses_about_an_instance_carry_its_name() {
        for rtype in [SRV, TXT] {
            let a = answer(0, rtype, b"dev", &HTTP, IP).unwrap();
            assert_eq!(name_at(&a, HEADER), b"dev._http._tcp.local");
            let r = response(&a).unwrap();
            assert_eq!((&r.name[..], r.srvcproto.as_deref()), (&b"dev"[..], Some(HTTP.srvcproto)));
            if rtype == SRV {
                assert_eq!((r.port, r.ip), (Some(8080), Some(IP)));
                assert_eq!(name_at(&a, 12 + 22 + 10 + 6), b"dev.local");
            } else {
                assert_eq!(&a[r.txt.unwrap()], HTTP.txt);
            }
        }
    }

    #[test]
    fn a_service_is_found_with_its_records() {
        let a = answer(7, PTR, b"dev", &HTTP, IP).unwrap();
        let r = response(&a).unwrap();
        assert_eq!((&r.name[..], r.srvcproto.as_deref()), (&b"dev.local"[..], Some(HTTP.srvcproto)));
        assert_eq!((r.port, r.ip, &a[r.txt.unwrap()]), (Some(8080), Some(IP), HTTP.txt));
        assert_eq!(
            addresses(&a).iter().map(|(n, ip)| (n.as_bytes().to_vec(), *ip)).collect::<Vec<_>>(),
            [(b"dev.local".to_vec(), IP)]
        );
    }

    #[test]
    fn malformed_descriptions_are_not_answered() {
        let of = |srvcproto| Service { srvcproto, ..HTTP };
        for srvcproto in [&b""[..], b".", b"._tcp", b"a..b", &[b'x'; 64]] {
            assert!([PTR, SRV, TXT].iter().all(|t| answer(0, *t, b"dev", &of(srvcproto), IP).is_none()), "{srvcproto:?}");
        }
        for host in [&b""[..], &[b'x'; 64]] {
            assert!([A, PTR, SRV, TXT].iter().all(|t| answer(0, *t, host, &HTTP, IP).is_none()));
        }
    }

    #[test]
    fn descriptions_that_are_too_long_are_not_answered() {
        let text = "x".repeat(ANSWER_MAX);
        let service = ["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(63)].join(".");
        // The longest text for PTR and TXT, with 10 bytes of service and 3 of host; the longest service for SRV.
        for (rtype, most) in [(PTR, 184), (TXT, 242), (SRV, 224)] {
            for (n, fits) in [(most, true), (most + 1, false)] {
                let s = match rtype {
                    SRV => Service { srvcproto: &service.as_bytes()[..n], ..HTTP },
                    _ => Service { txt: &text.as_bytes()[..n], ..HTTP },
                };
                assert_eq!(answer(0, rtype, b"dev", &s, IP).is_some(), fits, "{rtype} {n}");
            }
        }
    }

    #[test]
    fn datagrams_without_content_are_neither_queries_nor_responses() {
        assert_eq!((kind(&[0; HEADER]), kind(&[0; HEADER + 1])), (None, Some(Kind::Query)));
    }

    #[test]
    fn questions_are_for_names_below_the_domain() {
        let names = |wire: &[u8]| questions(&dns::query(0, 0, wire, A)).iter().map(|q| q.name().to_vec()).collect::<Vec<_>>();
        assert_eq!(names(b"\x03dev\x05local\0"), [b"dev"]);
        for other in [&b"\x06.local\0"[..], b"\x05local\0", b"\x03dev\x05lokal\0", b"\0"] {
            assert!(names(other).is_empty(), "{other:?}");
        }
    }

    #[test]
    fn questions_beyond_the_sixteenth_are_ignored() {
        let mut q = dns::query(0, 0, b"\x03dev\x05local\0", A);
        let one = q[HEADER..].to_vec();
        for (count, found) in [(16, 16), (17, 16)] {
            q.truncate(HEADER);
            q.extend(one.repeat(count));
            q[5] = count as u8;
            assert_eq!(questions(&q).len(), found);
        }
    }

    #[test]
    fn long_queries_must_have_exactly_the_announced_records() {
        let known = answer(0, A, b"other", &HTTP, IP).unwrap()[HEADER..].to_vec();
        let mut q = dns::query(0, 0, b"\x03dev\x05local\0", A);
        q[7] = 30;
        q.extend(known.repeat(30));
        assert!(q.len() > dns::UDP_MAX && questions(&q).len() == 1);
        q.push(0);
        assert!(questions(&q).is_empty());
        q.truncate(q.len() - 2);
        assert!(questions(&q).is_empty());
        // Shorter ones need not.
        q.truncate(dns::UDP_MAX);
        assert_eq!(questions(&q).len(), 1);
    }

    /// A response with these answers: type and data of records that belong to `dev._http._tcp.local`.
    fn responded(records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut a = vec![0, 0, 0x84, 0, 0, 0, 0, records.len() as u8, 0, 0, 0, 0];
        for (owner, rtype, data) in records {
            a.extend_from_slice(owner);
            a.extend(rtype.to_be_bytes());
            a.extend([0x80, 1, 0, 0, 0, 120]);
            a.extend((data.len() as u16).to_be_bytes());
            a.extend_from_slice(data);
        }
        a
    }

    const SERVICE: &[u8] = b"\x05_http\x04_tcp\x05local\0";
    const INSTANCE: &[u8] = b"\x03dev\x05_http\x04_tcp\x05local\0";
    const SRV_DATA: &[u8] = b"\0\0\0\0\x1f\x90\x04host\x05local\0";

    #[test]
    fn records_too_short_for_their_type_are_ignored() {
        let wholes: [(u16, &[u8]); 3] = [(A, &[10, 0, 0, 1]), (SRV, &SRV_DATA[..7]), (dns::AAAA, &[0; 16])];
        for (rtype, data) in wholes {
            for n in 0..=data.len() {
                let found = |records: &[(&[u8], u16, &[u8])]| response(&responded(records)).is_some();
                let record = (INSTANCE, rtype, &data[..n]);
                let whole = n == data.len();
                assert_eq!(found(&[record]), whole && rtype != dns::AAAA, "{rtype} {n}");
                assert_eq!(found(&[(SERVICE, PTR, INSTANCE), record]), whole, "{rtype} {n}");
                assert_eq!(found(&[(INSTANCE, TXT, b"\x03a=b"), record]), whole, "{rtype} {n}");
            }
        }
        for data in [&b""[..], b"\xc0", b"\x03"] {
            assert!(response(&responded(&[(SERVICE, PTR, data)])).is_none());
        }
        assert!(response(&responded(&[(SERVICE, PTR, b"\xc0\x0c")])).is_some());
    }

    #[test]
    fn records_beyond_the_eighth_are_ignored() {
        let one = (INSTANCE, A, &[10, 0, 0, 1][..]);
        for (count, found) in [(8, 8), (9, 8)] {
            assert_eq!(addresses(&responded(&vec![one; count])).len(), found);
        }
    }

    #[test]
    fn a_response_may_repeat_the_question() {
        let mut a = responded(&[(INSTANCE, A, &[10, 0, 0, 1])]);
        a[5] = 1;
        a.splice(HEADER..HEADER, [INSTANCE, &[0, 1, 0, 1]].concat());
        assert_eq!(response(&a).and_then(|r| r.ip), Some(IP));
        assert_eq!(addresses(&a).len(), 1);
    }

    #[test]
    fn a_malformed_target_keeps_the_instance_name() {
        for target in [&b"\x04hos"[..], b"\xff\xff", b"\0", b"\x3fhost\x05local\0", b"\x04host"] {
            let srv = [&SRV_DATA[..6], target].concat();
            let a = responded(&[(SERVICE, PTR, INSTANCE), (INSTANCE, SRV, &srv), (INSTANCE, TXT, b"\x03a=b")]);
            let r = response(&a).unwrap_or_else(|| panic!("{target:?}"));
            assert_eq!((&r.name[..], r.port, &a[r.txt.unwrap()]), (&b"dev"[..], Some(8080), &b"\x03a=b"[..]), "{target:?}");
            // The address record may have that name.
            let a = responded(&[(SERVICE, PTR, INSTANCE), (INSTANCE, SRV, &srv), (INSTANCE, A, &[10, 0, 0, 1])]);
            assert_eq!(response(&a).and_then(|r| r.ip), Some(IP));
        }
        let a = responded(&[(SERVICE, PTR, INSTANCE), (INSTANCE, SRV, SRV_DATA)]);
        assert_eq!(response(&a).unwrap().name, b"host.local");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 300 }))]
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(prop_oneof![Just(0xc0u8), Just(12u8), 0..4u8, any::<u8>()], 0..200)) {
            kind(&bytes);
            prop_assert!(questions(&bytes).iter().filter_map(|q| q.to_host(None)).all(|name| !name.is_empty()));
            addresses(&bytes);
            if let Some(r) = response(&bytes) {
                prop_assert!(r.txt.is_none_or(|at| bytes.get(at).is_some()));
            }
        }
    }
}

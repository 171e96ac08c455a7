//! Parses `/etc/hosts` and `/etc/resolv.conf`. The caller parses addresses, because only the system knows the interface names in
//! them.

use super::ip::Ip;
use super::num;
use crate::memory::prelude::*;

/// Lines without comments, split into words.
fn lines(text: &[u8]) -> impl Iterator<Item = impl Iterator<Item = &[u8]>> {
    text.split(|b| *b == b'\n').map(|line| {
        let end = line.iter().position(|b| matches!(b, b'#' | b';')).unwrap_or(line.len());
        line[..end].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
    })
}

/// The addresses of a name in the hosts file, without duplicates, in the order in which to try them.
pub(crate) fn hosts(text: &[u8], name: &[u8], six: bool, parse: impl Fn(&[u8]) -> Option<Ip>) -> Vec<Ip> {
    let mut all = Vec::new();
    for mut words in lines(text) {
        let Some(address) = words.next() else { continue };
        if words.any(|alias| alias.eq_ignore_ascii_case(name)) {
            all.extend(parse(address).filter(|found| !all.contains(found)));
        }
    }
    alternate(&all, six)
}

/// Alternates IPv4 and IPv6 addresses, starting with the preferred family.
fn alternate(all: &[Ip], six: bool) -> Vec<Ip> {
    let of = |wanted: bool| all.iter().copied().filter(move |ip| matches!(ip, Ip::V6(..)) == wanted);
    let (mut one, mut other) = (of(six), of(!six));
    let pairs = core::iter::from_fn(|| match [one.next(), other.next()] {
        [None, None] => None,
        pair => Some(pair),
    });
    pairs.flatten().flatten().collect()
}

/// The part of the system's configuration that the resolver supports.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conf {
    pub(crate) servers: Vec<Ip>,
    /// Domains to try short names in.
    pub(crate) search: Vec<Vec<u8>>,
    /// A name with this many dots is tried as it is first.
    pub(crate) ndots: usize,
    pub(crate) timeout_ms: u64,
    pub(crate) attempts: usize,
}

impl Default for Conf {
    fn default() -> Conf {
        Conf { servers: Vec::new(), search: Vec::new(), ndots: 1, timeout_ms: 5000, attempts: 2 }
    }
}

const SERVERS: usize = 3;
const DOMAINS: usize = 8;

pub(crate) fn conf(text: &[u8], parse: impl Fn(&[u8]) -> Option<Ip>) -> Conf {
    let mut conf = Conf::default();
    for mut words in lines(text) {
        match words.next() {
            Some(b"nameserver") if conf.servers.len() < SERVERS => conf.servers.extend(words.next().and_then(&parse)),
            // The last one wins.
            Some(b"search" | b"domain") => conf.search = words.take(DOMAINS).filter(|d| *d != b".").map(<[u8]>::to_vec).collect(),
            Some(b"options") => words.for_each(|word| option(&mut conf, word)),
            _ => {}
        }
    }
    conf
}

fn option(conf: &mut Conf, word: &[u8]) {
    let Some(colon) = memchr::memchr(b':', word) else { return };
    let (n, len) = num::prefix(&word[colon + 1..]);
    if len == 0 {
        return;
    }
    match &word[..colon] {
        b"ndots" => conf.ndots = n.min(15) as usize,
        b"timeout" => conf.timeout_ms = n.clamp(1, 30) * 1000,
        b"attempts" => conf.attempts = n.clamp(1, 5) as usize,
        _ => {}
    }
}

impl Conf {
    /// The names to query in turn, to find `name` as other programs on this machine do.
    pub(crate) fn candidates(&self, name: &[u8]) -> Vec<Vec<u8>> {
        let plain = name.to_vec();
        if name.ends_with(b".") {
            return vec![plain];
        }
        let mut all: Vec<Vec<u8>> = self.search.iter().map(|domain| [name, b".", domain].concat()).collect();
        let dots = memchr::memchr_iter(b'.', name).count();
        all.insert(if dots >= self.ndots { 0 } else { all.len() }, plain);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::ip::parse;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_files() {
        let text = b"# comment\n\n127.0.0.1 localhost\n ::1\tLocalHost ip6 # trailing\r\n10.0.0.1 a.example a\n10.0.0.2 a\nx y z\n fe80::1 v6only";
        let (v4, v6) = (|last| Ip::V4([10, 0, 0, last]), Ip::V6(core::net::Ipv6Addr::LOCALHOST.octets(), 0));
        assert_eq!(hosts(text, b"LOCALHOST", false, parse), [Ip::V4([127, 0, 0, 1]), v6]);
        assert_eq!(hosts(text, b"localhost", true, parse), [v6, Ip::V4([127, 0, 0, 1])]);
        assert_eq!(hosts(text, b"A", false, parse), [v4(1), v4(2)]);
        assert_eq!(hosts(text, b"a.example", true, parse), [v4(1)]);
        assert!(matches!(hosts(text, b"v6only", false, parse)[..], [Ip::V6(..)]));
        let six = |last| Ip::V6([last; 16], 0);
        assert_eq!(alternate(&[v4(1), v4(2), v4(3), six(1), six(2)], false), [v4(1), six(1), v4(2), six(2), v4(3)]);
        assert_eq!(alternate(&[v4(1), v4(2), six(1)], true), [six(1), v4(1), v4(2)]);
        for name in [&b"10.0.0.1"[..], b"trailing", b"#", b"", b"y", b"a.exam"] {
            assert_eq!(hosts(text, name, false, parse), []);
        }
    }

    #[test]
    fn configuration() {
        let limits = |text: &str| {
            let conf = conf(text.as_bytes(), parse);
            (conf.ndots, conf.timeout_ms, conf.attempts)
        };
        assert_eq!(conf(b"", parse), Conf::default());
        assert_eq!(limits(""), (1, 5000, 2));
        assert_eq!(limits("options ndots:0 timeout:0 attempts:0"), (0, 1000, 1));
        assert_eq!(limits("options ndots:16 timeout:31 attempts:6"), (15, 30000, 5));
        let text = b"; c\nnameserver 10.0.0.1\nnameserver ::1\r\nnameserver bad\nnameserver 10.0.0.2 # x\nnameserver 10.0.0.3\n\
            domain one\nsearch a.b c. .\noptions ndots:5 timeout:0 attempts:99 rotate edns0 x: ndots:\n";
        let got = conf(text, parse);
        assert_eq!(got.servers.len(), 3);
        assert_eq!(got.servers[2], Ip::V4([10, 0, 0, 2]));
        assert_eq!(got.search, [b"a.b".to_vec(), b"c.".to_vec()]);
        assert_eq!((got.ndots, got.timeout_ms, got.attempts), (5, 1000, 5));
        assert_eq!(conf(b"search a b c d e f g h i", parse).search.len(), 8);
    }

    #[test]
    fn short_names_are_tried_in_the_search_domains_first() {
        let conf = Conf { search: vec![b"d".to_vec()], ..Conf::default() };
        assert_eq!(conf.candidates(b"db"), [b"db.d".to_vec(), b"db".to_vec()]);
        assert_eq!(conf.candidates(b"db.x"), [b"db.x".to_vec(), b"db.x.d".to_vec()]);
        assert_eq!(conf.candidates(b"db."), [b"db.".to_vec()]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1000 }))]
        #[test]
        fn arbitrary_text_yields_bounded_lists(text in "[a-z0-9.:#; \n\t]{0,200}", name in "[a-z0-9.]{0,10}") {
            let conf = conf(text.as_bytes(), parse);
            prop_assert!(conf.servers.len() <= SERVERS && conf.search.len() <= DOMAINS);
            prop_assert!(conf.candidates(name.as_bytes()).len() <= DOMAINS + 1);
            hosts(text.as_bytes(), name.as_bytes(), true, parse);
        }
    }
}

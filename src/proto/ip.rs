//! IP addresses as text, and access lists.

use super::num;
use core::net::Ipv6Addr;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ip {
    /// No text at all: any address.
    Any,
    V4([u8; 4]),
    V6([u8; 16], u8),
}

/// As `mg_print_ip` shows it: IPv6 in brackets, all eight groups, without the scope.
impl core::fmt::Display for Ip {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Ip::Any => Ok(()),
            Ip::V4([a, b, c, d]) => write!(f, "{a}.{b}.{c}.{d}"),
            Ip::V6(ip, _) => {
                for (i, pair) in ip.chunks_exact(2).enumerate() {
                    write!(f, "{}{:x}", if i > 0 { ":" } else { "[" }, u16::from_be_bytes([pair[0], pair[1]]))?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Four numbers up to 255, with any number of digits, and the rest.
fn dotted(mut s: &[u8]) -> Option<([u8; 4], &[u8])> {
    let mut ip = [0; 4];
    for (i, octet) in ip.iter_mut().enumerate() {
        if i > 0 {
            s = s.strip_prefix(b".")?;
        }
        let (n, len) = num::prefix(s);
        if len == 0 {
            return None;
        }
        *octet = n.try_into().ok()?;
        s = &s[len..];
    }
    Some((ip, s))
}

fn v4(s: &[u8]) -> Option<[u8; 4]> {
    dotted(s).filter(|(_, rest)| rest.is_empty()).map(|(ip, _)| ip)
}

fn v6(s: &[u8]) -> Option<Ip> {
    let s = match s {
        [b'[', inner @ .., b']'] => inner,
        _ => s,
    };
    const MAPPED: &[u8] = b"::ffff:";
    if let Some((head, tail)) = s.split_at_checked(MAPPED.len()) {
        if let (true, Some(ip)) = (head.eq_ignore_ascii_case(MAPPED), v4(tail)) {
            return Some(Ip::V6(core::net::Ipv4Addr::from(ip).to_ipv6_mapped().octets(), 0));
        }
    }
    let (s, scope) = match memchr::memchr(b'%', s) {
        Some(i) => (&s[..i], num::digits(&s[i + 1..], 10)?.try_into().ok()?),
        None => (s, 0),
    };
    // Other embedded IPv4 addresses are not part of this syntax.
    if s.contains(&b'.') {
        return None;
    }
    Some(Ip::V6(core::str::from_utf8(s).ok()?.parse::<Ipv6Addr>().ok()?.octets(), scope))
}

/// The IPv4 address of an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2).
pub(crate) fn mapped(ip: [u8; 16]) -> Option<[u8; 4]> {
    Ipv6Addr::from(ip).to_ipv4_mapped().map(|ip| ip.octets())
}

/// See `mg_aton`.
pub(crate) fn parse(s: &[u8]) -> Option<Ip> {
    if s.is_empty() {
        Some(Ip::Any)
    } else if s.eq_ignore_ascii_case(b"localhost") {
        Some(Ip::V4([127, 0, 0, 1]))
    } else {
        v4(s).map(Ip::V4).or_else(|| v6(s))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BadAcl {
    /// An entry without a sign.
    Sign,
    /// An entry whose network is not `a.b.c.d` or `a.b.c.d/0..32`.
    Network,
}

fn network(s: &[u8]) -> Option<(u32, u32)> {
    let (ip, rest) = dotted(s.trim_ascii())?;
    let bits = match rest {
        [] => 32,
        [b'/', size @ ..] => num::digits(size, 10)?,
        _ => return None,
    };
    let mask = match bits {
        0 => 0,
        1..=32 => u32::MAX << (32 - bits),
        _ => return None,
    };
    Some((u32::from_be_bytes(ip), mask))
}

/// True if a list of `+` and `-` networks allows an IPv4 address: the last matching network decides, no match denies, and an
/// empty list allows everything. If bits beyond the prefix length are set, a `-` rule denies the whole network and a `+` rule
/// allows nothing, so neither admits an unintended address.
pub(crate) fn acl(list: &[u8], ip: [u8; 4]) -> Result<bool, BadAcl> {
    let ip = u32::from_be_bytes(ip);
    let mut allowed = list.is_empty();
    // A trailing comma does not start an entry.
    let entries = list.strip_suffix(b",").filter(|rest| !rest.is_empty()).unwrap_or(list);
    for entry in entries.split(|&c| c == b',').filter(|_| !list.is_empty()) {
        let (plus, spec) = match entry {
            [b'+', spec @ ..] => (true, spec),
            [b'-', spec @ ..] => (false, spec),
            _ => return Err(BadAcl::Sign),
        };
        let (net, mask) = network(spec).ok_or(BadAcl::Network)?;
        if ip & mask == if plus { net } else { net & mask } {
            allowed = plus;
        }
    }
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn malformed_addresses_are_refused() {
        for s in [
            "[::1",
            "::1]",
            "[]",
            "%3",
            "::1%",
            "::1%256",
            "1:2:3:4:5:6:7:",
            "1:2:3:4:5:6:7::8:9",
            "1:2:3:4:5:6:7:8::",
            "::1.2.3.4",
            "1.2.3.4.",
            "1..3.4",
            "::ffff:1.2.3.4%3",
        ] {
            assert_eq!(parse(s.as_bytes()), None, "{s}");
        }
    }

    #[test]
    fn scopes_after_a_double_colon() {
        let mut ip = [0; 16];
        (ip[0], ip[1], ip[15]) = (0xfe, 0x80, 1);
        assert_eq!(parse(b"fe80::1%2"), Some(Ip::V6(ip, 2)));
        assert_eq!(parse(b"[fe80::1%255]"), Some(Ip::V6(ip, 255)));
    }

    #[test]
    fn mapped_addresses() {
        let of = |s: &str| mapped(s.parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(of("::ffff:10.1.2.3"), Some([10, 1, 2, 3]));
        assert_eq!(of("::ffff:0.0.0.0"), Some([0; 4]));
        let octets = "::ffff:10.1.2.3".parse::<Ipv6Addr>().unwrap().octets();
        assert_eq!(parse(b"::FFFF:10.1.2.3"), Some(Ip::V6(octets, 0)));
        for other in ["::10.1.2.3", "::1", "::fffe:10.1.2.3", "1::ffff:10.1.2.3", "::ffff:0:10.1.2.3", "64:ff9b::10.1.2.3"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn malformed_networks_are_refused() {
        for entry in [
            "+1.2.3.4",
            "1.2.3.4.5",
            "1.2.3.4xyz",
            "1.2.3.4/",
            "1.2.3.4/8x",
            "1.2.3.4/ 8",
            "1.2.3.4/+8",
            "1.2.3.4/33",
            "1.2.3.4/99999999999999999999",
            "1.2.3.99999999999999999999",
            "1.2.3",
            "1.2..4",
            "",
        ] {
            for list in [format!("+{entry}"), format!("+1.2.3.4,-{entry}"), format!("-{entry},+1.2.3.4")] {
                assert_eq!(acl(list.as_bytes(), [1, 2, 3, 4]), Err(BadAcl::Network), "{list}");
            }
        }
        assert_eq!(acl(b"+001.002.3.4/032", [1, 2, 3, 4]), Ok(true));
    }

    #[test]
    fn positive_rules_with_host_bits_match_nothing() {
        assert_eq!(acl(b"+0.0.0.0/0,-10.1.2.3/8", [10, 9, 9, 9]), Ok(false));
        assert_eq!(acl(b"+10.1.2.3/8", [10, 9, 9, 9]), Ok(false));
        assert_eq!(acl(b"+0.0.0.0/0,-10.1.2.3/8", [11, 1, 2, 3]), Ok(true));
        assert_eq!(acl(b"-1.2.3.4/0", [9, 9, 9, 9]), Ok(false));
        assert_eq!(acl(b"+128.0.0.0/1", [200, 9, 9, 9]), Ok(true));
        assert_eq!(acl(b"+128.0.0.0/1", [100, 9, 9, 9]), Ok(false));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1000 }))]
        #[test]
        fn equals_the_standard_library(v4: [u8; 4], v6: [u8; 16]) {
            prop_assert_eq!(parse(core::net::Ipv4Addr::from(v4).to_string().as_bytes()), Some(Ip::V4(v4)));
            let text = Ipv6Addr::from(v6).to_string();
            prop_assert_eq!(parse(format!("[{text}]").as_bytes()), Some(Ip::V6(v6, 0)));
        }
        #[test]
        fn arbitrary_bytes_do_not_panic(s in proptest::collection::vec(any::<u8>(), 0..40)) {
            parse(&s);
            let _ = acl(&s, [1, 2, 3, 4]);
        }
    }
}

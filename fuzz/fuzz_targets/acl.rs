//! Access lists: arbitrary text gets a result, and well-formed lists the right one.

use crate::peer::view;
use core::ffi::c_int;
use mongoose::abi::{mg_addr, mg_str};
use std::fmt::Write;
use std::net::Ipv4Addr;

unsafe extern "C" {
    fn mg_check_ip_acl(acl: mg_str, ip: *mut mg_addr) -> c_int;
}

fn check(list: &[u8], ip: [u8; 4], mapped: bool) -> c_int {
    let list: Box<[u8]> = list.into();
    // SAFETY: all zero is an address; a view.
    unsafe {
        let mut addr: mg_addr = core::mem::zeroed();
        if mapped {
            (addr.addr.ip, addr.is_ip6) = (Ipv4Addr::from(ip).to_ipv6_mapped().octets(), true);
        } else {
            addr.addr.ip4 = u32::from_ne_bytes(ip);
        }
        mg_check_ip_acl(view(&list), &mut addr)
    }
}

fuzz_target!(|input: ([u8; 4], Vec<(bool, [u8; 4], u8)>, &[u8])| {
    let (ip, rules, text) = input;
    let verdict = check(text, ip, false);
    assert!((-2..=1).contains(&verdict) && verdict == check(text, ip, true));

    let (mut list, mut allowed) = (String::new(), rules.is_empty());
    for (i, (plus, net, bits)) in rules.into_iter().enumerate() {
        let bits = u32::from(bits % 33);
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        let (net, addr) = (u32::from_be_bytes(net), u32::from_be_bytes(ip));
        write!(list, "{}{}{}/{bits}", if i > 0 { "," } else { "" }, if plus { '+' } else { '-' }, Ipv4Addr::from(net)).unwrap();
        // A host in a network's place: nobody for +, all of them for -.
        if (plus && net & !mask == 0 || !plus) && addr & mask == net & mask {
            allowed = plus;
        }
    }
    assert_eq!(check(list.as_bytes(), ip, false), c_int::from(allowed), "{list}");
});

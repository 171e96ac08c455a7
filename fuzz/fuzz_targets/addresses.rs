//! Addresses in text against the standard library's parser; printed addresses parse back.

use crate::peer::view;
use core::ffi::{c_char, c_void};
use mongoose::abi::{mg_addr, mg_str};
use std::net::{Ipv4Addr, Ipv6Addr};

unsafe extern "C" {
    fn mg_aton(s: mg_str, addr: *mut mg_addr) -> bool;
    fn mg_snprintf(buf: *mut c_char, len: usize, fmt: *const c_char, ...) -> usize;
    fn mg_print_ip(f: *const c_void, arg: *mut c_void, ap: *mut c_void) -> usize;
}

fn read(text: &[u8]) -> Option<(bool, [u8; 16], u8)> {
    let text: Box<[u8]> = text.into();
    // SAFETY: all zero is an address; a view.
    unsafe {
        let mut addr: mg_addr = core::mem::zeroed();
        mg_aton(view(&text), &mut addr).then(|| (addr.is_ip6, addr.addr.ip, addr.scope_id))
    }
}

fuzz_target!(|data: &[u8]| {
    let ours = read(data);
    let text = core::str::from_utf8(data).unwrap_or("");
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        let mut ip = [0; 16];
        ip[..4].copy_from_slice(&v4.octets());
        assert_eq!(ours, Some((false, ip, 0)));
    } else if let (Ok(v6), false) = (text.parse::<Ipv6Addr>(), text.contains('.')) {
        assert_eq!(ours, Some((true, v6.octets(), 0)));
    }
    if let Some((is_ip6, ip, _)) = ours {
        let mut out = [0 as c_char; 64];
        // SAFETY: all zero is an address; room for the text; the printer and its argument.
        let n = unsafe {
            let mut addr: mg_addr = core::mem::zeroed();
            (addr.addr.ip, addr.is_ip6) = (ip, is_ip6);
            mg_snprintf(out.as_mut_ptr(), out.len(), c"%M".as_ptr(), mg_print_ip as *const c_void, &raw const addr)
        };
        let shown: Vec<u8> = out[..n].iter().map(|c| *c as u8).collect();
        assert_eq!(read(&shown).map(|a| (a.0, a.1)), Some((is_ip6, ip)), "{}", String::from_utf8_lossy(&shown));
    }
});

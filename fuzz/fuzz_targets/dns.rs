//! DNS messages: parsers stay in bounds, encoded messages parse back, and a reply is accepted only if it matches its query.

use crate::proto::dns;
use mongoose::abi::{mg_dns_message, mg_dns_rr};

unsafe extern "C" {
    fn mg_dns_parse(buf: *const u8, len: usize, dm: *mut mg_dns_message) -> bool;
    fn mg_dns_parse_rr(buf: *const u8, len: usize, ofs: usize, is_question: bool, rr: *mut mg_dns_rr) -> usize;
}

fuzz_target!(|input: (&[u8], &[u8], u16)| {
    let (name, bytes, id): (&[u8], Box<[u8]>, u16) = (input.0, input.1.into(), input.2);
    // SAFETY: the block has exactly the length that is passed with it; all-zero is valid for both results.
    unsafe {
        let (mut dm, mut rr): (mg_dns_message, mg_dns_rr) = core::mem::zeroed();
        if mg_dns_parse(bytes.as_ptr(), bytes.len(), &mut dm) {
            assert!(dm.name.contains(&0) && bytes.len() <= dns::UDP_MAX);
        }
        for (ofs, is_question) in (0..bytes.len() + 2).step_by(1 + bytes.len() / 64).flat_map(|ofs| [(ofs, false), (ofs, true)]) {
            let n = mg_dns_parse_rr(bytes.as_ptr(), bytes.len(), ofs, is_question, &mut rr);
            assert!(n == 0 || is_question || ofs + n <= bytes.len());
        }
    }
    let Some(wire) = dns::encode(name) else { return };
    let query = dns::query(id, dns::RECURSION_DESIRED, &wire, dns::A);
    // As it came, and behind a header and a question that fit.
    dns::reply(&query, &bytes);
    let answers = bytes.first().copied().unwrap_or(0);
    let mut reply = query.clone();
    (reply[2], reply[3], reply[7]) = (0x81, 0x80, answers);
    reply.extend_from_slice(&bytes);
    dns::reply(&query, &reply);
    if !name.starts_with(b".") {
        reply.truncate(query.len());
        reply[7] = 1;
        reply.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x7f\0\0\x01");
        assert_eq!(dns::reply(&query, &reply), Some(dns::Reply::Addresses(vec![[127, 0, 0, 1].into()])));
    }
    if let Some(message) = dns::frame(&bytes) {
        assert!(message.len() + 2 <= bytes.len());
    }
});

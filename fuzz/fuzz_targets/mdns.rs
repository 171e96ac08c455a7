//! mDNS datagrams: parsers stay in bounds, and responses parse back.

use crate::proto::dns;
use crate::proto::mdns::{self, Kind, Service};

fuzz_target!(|input: (&[u8], &[u8], &[u8], u16)| {
    let (bytes, host, srvcproto, port) = input;
    let bytes: Box<[u8]> = bytes.into();
    match mdns::kind(&bytes) {
        Some(Kind::Query) => {
            for q in mdns::questions(&bytes) {
                let whole = q.name();
                assert!(q.to_host(Some(host)).is_none_or(|part| whole.ends_with(part)));
                q.to_host(None);
            }
        }
        Some(Kind::Response) => {
            mdns::addresses(&bytes);
            if let Some(r) = mdns::response(&bytes) {
                assert!(r.txt.is_none_or(|at| bytes.get(at).is_some()));
            }
        }
        None => {}
    }
    let service = Service { srvcproto, txt: &bytes[..bytes.len().min(100)], port };
    for rtype in [dns::A, mdns::PTR, mdns::TXT, mdns::SRV] {
        let Some(answer) = mdns::answer(1, rtype, host, &service, [10, 0, 0, 1].into()) else { continue };
        assert_eq!(mdns::kind(&answer), Some(Kind::Response));
        // A host name with a dot in it is one label, which text cannot show.
        if let (Some(r), false) = (mdns::response(&answer), host.contains(&b'.')) {
            assert_eq!(r.first.rtype, rtype);
            assert!(rtype == mdns::TXT || r.ip == Some([10, 0, 0, 1].into()));
            assert!(rtype == dns::A || rtype == mdns::TXT || r.port == Some(port));
        } else {
            assert!(host.contains(&b'.'));
        }
    }
});

//! Chunked bodies: splitting the input makes no difference, and the data has the announced length.

use crate::proto::http::chunked::{self, Scan, Scanner};

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, body) = (usize::from(input.0) % (input.1.len() + 1), input.1);
    let whole = Scanner::new().scan(body);
    let mut scanner = Scanner::new();
    if let Scan::Complete { consumed, .. } = scanner.scan(&body[..cut]) {
        assert!(consumed <= cut);
    }
    assert_eq!(scanner.scan(body), whole);
    let mut body = body.to_vec();
    if let Scan::Complete { consumed, decoded } = whole {
        assert_eq!(chunked::compact(&mut body[..consumed]), decoded);
    } else {
        assert!(chunked::compact(&mut body) <= body.len());
    }
});

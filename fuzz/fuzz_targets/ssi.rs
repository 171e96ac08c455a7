//! Server-side includes: text and directives in their order make up the page.

#![no_main]

use libfuzzer_sys::fuzz_target;

// No exported function leads straight to it, so the source is compiled in.
#[allow(unused)]
#[path = "../../src/hash/mod.rs"]
mod hash;
#[allow(unused)]
#[path = "../../src/proto/mod.rs"]
mod proto;

use proto::ssi::{Piece, pieces};

fuzz_target!(|page: &[u8]| {
    let mut at = 0;
    for piece in pieces(page) {
        let part = match piece {
            Piece::Text(t) => t,
            Piece::File(name) | Piece::Virtual(name) => {
                assert!(!name.contains(&b'"'));
                name
            }
        };
        assert!(!part.is_empty());
        let begins = part.as_ptr() as usize - page.as_ptr() as usize;
        assert!(begins >= at && begins + part.len() <= page.len());
        assert!(!matches!(piece, Piece::Text(_)) || begins == at || page[..begins].ends_with(b"-->"));
        at = begins + part.len();
    }
    assert!(at == page.len() || page.ends_with(b"-->"));
});

//! Server-side includes: text and directives, in order, make up the page.

use crate::proto::ssi::{Piece, pieces};

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

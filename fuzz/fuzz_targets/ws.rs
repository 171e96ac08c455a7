//! WebSocket frames: encoded headers parse back, their prefixes are incomplete, masking twice is the identity, and UTF-8 checks
//! in pieces equal a check of the whole text.

use crate::proto::ws::{self, Head, Header, Rules, Utf8};

fuzz_target!(|input: (u16, [u8; 4], &[u8])| {
    let (cut, mask, data) = (usize::from(input.0) % (input.2.len() + 1), input.1, input.2);
    if let Some(h) = Header::parse(data) {
        assert!(h.len <= data.len() && (2..=14).contains(&h.len));
        assert!((0..h.len).all(|n| Header::parse(&data[..n]).is_none()));
        for (from_server, open) in [(true, true), (true, false), (false, true), (false, false)] {
            let strict = Rules { from_server, strict: true, any_text: false }.fault(&h, open);
            let lenient = Rules { from_server, strict: false, any_text: false }.fault(&h, open);
            assert!(strict.is_some() || lenient.is_none());
            if let (None, Ok(payload)) = (strict, usize::try_from(h.payload)) {
                assert_eq!(Head::new(h.first, payload, h.mask).bytes(), &data[..h.len]);
            }
        }
    }
    let mut copy = data.to_vec();
    ws::apply_mask(&mut copy, mask);
    assert!(copy.iter().zip(data).enumerate().all(|(i, (a, b))| *a == b ^ mask[i % 4]));

    let mut text = Utf8::default();
    let good = text.feed(&data[..cut]) && text.feed(&data[cut..]) && text.is_whole();
    assert_eq!(good, core::str::from_utf8(data).is_ok());
    if ws::close_fault(data).is_none() && !data.is_empty() {
        assert!(core::str::from_utf8(&data[2..]).is_ok());
    }
    assert!(!ws::is_key(data) || data.len() == 24);
    assert!(ws::is_accept(&ws::accept(data)));
});

//! mg_match against the definition of a pattern, tried at every position; captures are parts of the string, in order.

use crate::peer::view;
use core::ptr;
use mongoose::abi::mg_str;

unsafe extern "C" {
    fn mg_match(s: mg_str, p: mg_str, caps: *mut mg_str) -> bool;
}

fn reference(s: &[u8], p: &[u8]) -> bool {
    // Whether the pattern so far matches the first n bytes.
    let mut is = vec![false; s.len() + 1];
    is[0] = true;
    for c in p {
        let mut next = vec![false; s.len() + 1];
        for n in 0..=s.len() {
            next[n] = match c {
                b'*' => is[n] || n > 0 && next[n - 1] && s[n - 1] != b'/',
                b'#' => is[n] || n > 0 && next[n - 1],
                b'?' => n > 0 && is[n - 1],
                c => n > 0 && is[n - 1] && s[n - 1] == *c,
            };
        }
        is = next;
    }
    is[s.len()]
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (pattern, text): (Box<[u8]>, Box<[u8]>) = (input.0.into(), input.1.into());
    let mut caps = vec![view(b""); pattern.len() + 1].into_boxed_slice();
    // SAFETY: two views, and an entry for each wildcard and one more.
    let matched = unsafe { mg_match(view(&text), view(&pattern), caps.as_mut_ptr()) };
    assert_eq!(matched, reference(&text, &pattern));
    // SAFETY: as above.
    assert_eq!(matched, unsafe { mg_match(view(&text), view(&pattern), ptr::null_mut()) });
    if matched {
        let mut end = text.as_ptr() as usize;
        let runs = pattern
            .iter()
            .enumerate()
            .filter(|(i, c)| matches!(c, b'?') || matches!(c, b'*' | b'#') && !(*i > 0 && matches!(pattern[i - 1], b'*' | b'#')));
        for cap in &caps[..runs.count()] {
            assert!(cap.buf as usize >= end && cap.buf as usize + cap.len <= text.as_ptr() as usize + text.len());
            end = cap.buf as usize + cap.len;
        }
    }
});

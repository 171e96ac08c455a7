//! From a request to a file: paths stay below their directory, redirects on their host, ranges inside the file.

use crate::proto::{accept, mime, range, webroot};

fuzz_target!(|input: (u64, &[u8])| {
    let (size, text) = input;
    for list in [&b"www"[..], b"www/", b"/x=other,www", b"www,/a=other", b"", b"/"] {
        let plain = webroot::map_plain(list, text);
        for m in [webroot::map(list, text), plain].into_iter().flatten() {
            let root = m.root.strip_suffix(b"/").unwrap_or(m.root);
            assert!(m.path.starts_with(root) && m.path.len() < webroot::PATH_MAX && !m.path.contains(&0));
            assert!(m.path.len() == root.len() || m.path[root.len()] == b'/');
            assert!(m.path.split(|b| matches!(b, b'/' | b'\\')).all(|part| part != b".."));
        }
    }
    let location = webroot::location(text, text).concat();
    assert!(location.starts_with(b"/") && !matches!(location.get(1), Some(b'/' | b'\\')));
    if let Some((first, last)) = range::parse(text).and_then(|r| r.within(size)) {
        assert!(first <= last && last < size);
    }
    accept::gzip(text);
    // The list of a program, which need not make sense either.
    webroot::map(text, b"/x/y").ok();
    mime::of(text, text);
});

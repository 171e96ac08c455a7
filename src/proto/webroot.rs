//! Maps the URI of a request to a file path, using the directory list in `root_dir`.

use super::{path::is_sane, urlcodec};
use crate::memory;
use crate::memory::prelude::*;

/// Maximum path length, exclusive.
pub(crate) const PATH_MAX: usize = 4096;

/// A URI mapped to the file system.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mapped<'a> {
    /// The directory in the list that contains the path, as written there.
    pub(crate) root: &'a [u8],
    /// Without a trailing slash.
    pub(crate) path: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No directory is meant for this URI.
    NoMatch,
    /// Badly encoded, or it leads up.
    Invalid,
    TooLong,
    OutOfMemory,
}

/// The list item that a URI belongs to: its prefix and directory. The last one that matches is used. An item without `=` matches
/// everything; a prefix matches only whole components.
fn item<'a>(list: &'a [u8], uri: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let pair = |item: &'a [u8]| match memchr::memchr(b'=', item) {
        Some(i) if i + 1 < item.len() => (&item[..i], &item[i + 1..]),
        Some(i) => (&b"/"[..], &item[..i]),
        None => (&b"/"[..], item),
    };
    let applies = |prefix: &[u8]| match uri.strip_prefix(prefix) {
        Some([] | [b'/', ..]) => true,
        Some(_) => prefix.ends_with(b"/"),
        None => false,
    };
    // Skip empty items. An empty list means one directory without a name.
    let items = list.split(|b| *b == b',').filter(|item| !item.is_empty() || list.is_empty());
    items.map(pair).rfind(|(prefix, _)| applies(prefix))
}

/// Maps a percent-encoded URI.
pub(crate) fn map<'a>(list: &'a [u8], uri: &[u8]) -> Result<Mapped<'a>, Refusal> {
    let (prefix, root) = item(list, uri).ok_or(Refusal::NoMatch)?;
    if root.len() + 2 >= PATH_MAX {
        return Err(Refusal::TooLong);
    }
    let rest = &uri[prefix.len()..];
    let mut path = directory(root, rest.len() + 1)?;
    let start = path.len();
    path.resize(start + rest.len() + 1, 0);
    let n = urlcodec::decode(rest, &mut path[start..], false).map_err(|_| Refusal::Invalid)?;
    path.truncate(start + n);
    checked(root, path, start)
}

/// Maps a name that is not encoded, below the directory of a URI with this name.
pub(crate) fn map_plain<'a>(list: &'a [u8], name: &[u8]) -> Result<Mapped<'a>, Refusal> {
    let (prefix, root) = item(list, name).ok_or(Refusal::NoMatch)?;
    let rest = &name[prefix.len()..];
    let mut path = directory(root, rest.len())?;
    let start = path.len();
    path.extend_from_slice(rest);
    checked(root, path, start)
}

/// A directory with a slash at its end, and room for `more` bytes.
fn directory(root: &[u8], more: usize) -> Result<Vec<u8>, Refusal> {
    let mut path = memory::room(root.len() + 1 + more).ok_or(Refusal::OutOfMemory)?;
    path.extend_from_slice(root);
    if !root.ends_with(b"/") {
        path.push(b'/');
    }
    Ok(path)
}

/// The path, in which the decoded URI begins at `start`.
fn checked(root: &[u8], mut path: Vec<u8>, start: usize) -> Result<Mapped<'_>, Refusal> {
    let slashes = path[start..].iter().take_while(|b| **b == b'/').count();
    path.drain(start..start + slashes);
    if path[start..].contains(&0) || !is_sane(&path) {
        return Err(Refusal::Invalid);
    }
    while path.ends_with(b"/") {
        path.pop();
    }
    if path.len() >= PATH_MAX {
        return Err(Refusal::TooLong);
    }
    Ok(Mapped { root, path })
}

/// The Location of a directory, with the slash that its URI lacks, and with the query. Several leading slashes would name another
/// host.
pub(crate) fn location<'a>(uri: &'a [u8], query: &'a [u8]) -> [&'a [u8]; 5] {
    let host = uri.iter().take_while(|b| matches!(b, b'/' | b'\\')).count();
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    match &uri[host..] {
        [] => [b"/", b"", b"", mark, query],
        rest => [b"/", rest, b"/", mark, query],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(list: &str, uri: &str) -> Result<String, Refusal> {
        map(list.as_bytes(), uri.as_bytes()).map(|m| String::from_utf8_lossy(&m.path).into_owned())
    }

    #[test]
    fn the_last_matching_item_wins() {
        for (list, uri, want) in [
            ("www", "/", "www"),
            ("www", "/a.txt", "www/a.txt"),
            ("www/", "/a.txt", "www/a.txt"),
            ("www", "/a/b/", "www/a/b"),
            ("www", "//a", "www/a"),
            ("www", "/%2fa", "www/a"),
            ("/", "/index.html", "/index.html"),
            ("www,/o=other", "/o/x", "other/x"),
            ("www,/o=other", "/o", "other"),
            ("www,/o=other", "/oo", "www/oo"),
            ("www,/o=other", "/o.txt", "www/o.txt"),
            ("www,/o/=other", "/o/x", "other/x"),
            ("www,/o=other,/o/deep=d", "/o/deep/x", "d/x"),
            ("/x=other,/=www", "/x/y", "www/x/y"),
            ("/x=other,www", "/x/y", "www/x/y"),
            ("www=", "/a", "www/a"),
            ("www,", "/a", "www/a"),
            ("", "/a", "/a"),
        ] {
            assert_eq!(path(list, uri), Ok(want.to_string()), "{list} {uri}");
        }
    }

    #[test]
    fn uris_without_a_matching_item_are_not_found() {
        for (list, uri) in
            [("/o=other", "/etc/passwd"), ("/o=other", "/ox"), ("www", "a.txt"), ("www", "*"), ("www", "http://h/a")]
        {
            assert_eq!(path(list, uri), Err(Refusal::NoMatch), "{list} {uri}");
        }
    }

    #[test]
    fn attacks_are_refused() {
        for uri in [
            "/..",
            "/../a",
            "/a/../b",
            "/%2e%2e/a",
            "/.%2e/a",
            "/%2E%2E%2Fa",
            "/a/..%2fb",
            "/a\\..\\b",
            "/a%5c..%5cb",
            "/...",
            "/..a",
            "/a%00.png",
            "/%00",
            "/%",
            "/%4",
            "/%zz",
            "/a%2",
            "//..",
            "/%2f..",
        ] {
            assert_eq!(path("www", uri), Err(Refusal::Invalid), "{uri}");
        }
        assert_eq!(path("../www", "/a"), Err(Refusal::Invalid));
        assert_eq!(path("~www", "/a"), Err(Refusal::Invalid));
        // Plain names below the directory, decoded once.
        for (uri, want) in [
            ("/%252e%252e/a", "www/%2e%2e/a"),
            ("/%c0%ae%c0%ae/a", "www/\u{fffd}\u{fffd}\u{fffd}\u{fffd}/a"),
            ("/~a", "www/~a"),
            ("/./a", "www/./a"),
            ("/a%01", "www/a\u{1}"),
        ] {
            assert_eq!(path("www", uri), Ok(want.to_string()), "{uri}");
        }
    }

    #[test]
    fn paths_that_are_too_long() {
        for (list, uri, fits) in [(4094, 0, false), (4093, 0, true), (3, 4096, false), (3, 4092, false), (3, 4091, true)] {
            let got = path(&"x".repeat(list), &format!("/{}", "x".repeat(uri)));
            assert_eq!(got.err(), (!fits).then_some(Refusal::TooLong), "{list} {uri}");
        }
    }

    #[test]
    fn redirects_stay_on_this_host() {
        for (uri, want) in [("/d", "/d/"), ("//evil/d", "/evil/d/"), ("/\\evil", "/evil/"), ("/\\", "/"), ("d", "/d/")] {
            assert_eq!(location(uri.as_bytes(), b"").concat(), want.as_bytes(), "{uri}");
        }
        assert_eq!(location(b"/d", b"a=1&b=/x").concat(), b"/d/?a=1&b=/x");
        assert_eq!(location(b"//", b"a").concat(), b"/?a");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 16 } else { 5_000 }))]
        #[test]
        fn arbitrary_uris_stay_inside_the_directory(uri in "/([a./%\\\\~]|%2e|%2f|%5c|%00|%25|\\.\\.|/){0,12}") {
            for list in ["www", "www/", "/x=other,www", "www,/a=other"] {
                if let Ok(m) = map(list.as_bytes(), uri.as_bytes()) {
                    let root = m.root.strip_suffix(b"/").unwrap_or(m.root);
                    prop_assert!(m.path.starts_with(root));
                    prop_assert!(m.path.len() == root.len() || m.path[root.len()] == b'/');
                    prop_assert!(!m.path.contains(&0));
                    prop_assert!(m.path.split(|b| matches!(b, b'/' | b'\\')).all(|part| part != b".."));
                }
            }
        }

        #[test]
        fn arbitrary_redirects_never_name_a_host(uri in "[/\\\\a]{0,6}") {
            let location = location(uri.as_bytes(), b"//a").concat();
            prop_assert!(location.starts_with(b"/"));
            prop_assert!(!matches!(location.get(1), Some(b'/' | b'\\')));
        }
    }
}

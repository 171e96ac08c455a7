//! File names requested by clients.

/// True if a name stays below its directory: no component begins with `..`, no leading `~`, no NUL. An empty name, or one with a
/// leading NUL, is sane.
pub(crate) fn is_sane(path: &[u8]) -> bool {
    let up = |part: &[u8]| part.starts_with(b"..");
    match path {
        [] | [0, ..] => true,
        [b'~', ..] => false,
        _ => !path.contains(&0) && !path.split(|c| matches!(c, b'/' | b'\\')).any(up),
    }
}

#[cfg(test)]
mod tests {
    use super::is_sane;

    #[test]
    fn parts_that_lead_up_are_refused() {
        for (path, sane) in [
            ("a..", true),
            ("a/.b", true),
            ("/.", true),
            ("a/..b", false),
            ("/...", false),
            ("\\..", false),
            ("~a", false),
            ("a~", true),
        ] {
            assert_eq!(is_sane(path.as_bytes()), sane, "{path}");
        }
        assert!(is_sane(b"\0.."));
        assert!(!is_sane(b"a\0b"));
    }
}

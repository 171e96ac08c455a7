//! How Windows interprets file names that clients send.

#![forbid(unsafe_code)]

/// True if each part of a path below a directory names a file of exactly that name. Windows has aliases for files (`a.txt.`,
/// `a.txt::$DATA`, `LONGNA~1.TXT`, `sub\a.txt`), with which a client would bypass an application's checks of a path, and names that are
/// devices in every directory.
pub(super) fn are_plain(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').all(|part| part.is_empty() || part == b"." || is_plain(part))
}

fn is_plain(name: &[u8]) -> bool {
    let odd = |b: &u8| *b < b' ' || matches!(b, b'\\' | b':' | b'*' | b'?' | b'"' | b'<' | b'>' | b'|');
    !name.iter().any(odd) && !name.ends_with(b".") && !name.ends_with(b" ") && !is_device(name) && !is_short_alias(name)
}

/// `NUL`, `com1.txt`: an extension does not matter.
fn is_device(name: &[u8]) -> bool {
    let stem = name.split(|b| *b == b'.').next().unwrap_or_default().trim_ascii_end();
    let is = |device: &&str| stem.eq_ignore_ascii_case(device.as_bytes());
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].iter().any(is) {
        return true;
    }
    let Some((kind, number)) = stem.split_at_checked(3) else { return false };
    let kind = [b"COM", b"LPT"].iter().any(|k| kind.eq_ignore_ascii_case(*k));
    // The superscript digits 1, 2 and 3, in UTF-8, count too.
    kind && matches!(number, [b'0'..=b'9'] | [0xc2, 0xb9 | 0xb2 | 0xb3])
}

/// A name in the form of the short aliases that file systems generate: up to eight characters ending in `~` and digits, and an extension
/// of up to three.
fn is_short_alias(name: &[u8]) -> bool {
    let mut parts = name.split(|b| *b == b'.');
    let (stem, extension) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let digits = stem.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    parts.next().is_none() && extension.len() <= 3 && stem.len() <= 8 && digits > 0 && stem[..stem.len() - digits].ends_with(b"~")
}

#[cfg(test)]
mod tests {
    use super::are_plain;

    #[test]
    fn other_names_of_a_file_are_refused() {
        for path in [
            "",
            "a.txt",
            "/sub/a b.txt",
            "a/./b",
            ".hidden",
            "a~b",
            "notes~1.html",
            "COM",
            "com10",
            "nullable.txt",
            "ä/~1x",
            "contact",
        ] {
            assert!(are_plain(path.as_bytes()), "{path}");
        }
        for path in [
            "a.txt.",
            "a.txt ",
            "a.txt::$DATA",
            "C:a",
            "sub\\a",
            "a/b:c",
            "nul",
            "NUL.txt",
            "a/con",
            "com1",
            "Lpt9.x",
            "aux .y",
            "COM\u{b9}",
            "CONIN$",
            "PROGRA~1",
            "progra~1/x",
            "LONGNA~2.TXT",
            "a\x01",
            "what?",
            "a/.../b",
        ] {
            assert!(!are_plain(path.as_bytes()), "{path}");
        }
    }
}

//! `Accept-Encoding`.

/// True if the client accepts gzip. As in the original, `*` and other case do not count; unlike there, neither does `gzip;q=0`.
pub(crate) fn gzip(value: &[u8]) -> bool {
    value.split(|b| *b == b',').any(|item| {
        let mut parts = item.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        matches!(parts.next(), Some(b"gzip" | b"x-gzip")) && !parts.any(is_zero)
    })
}

/// `q=0`, `q=0.`, `q=0.000`.
fn is_zero(parameter: &[u8]) -> bool {
    let [b'q' | b'Q', rest @ ..] = parameter else { return false };
    let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") else { return false };
    let value = value.trim_ascii_start();
    value.starts_with(b"0") && value.iter().all(|b| matches!(b, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::gzip;

    #[test]
    fn gzip_must_be_listed_with_a_nonzero_quality() {
        for yes in [
            "gzip",
            "deflate, gzip;q=1.0",
            "gzip ;q=0.5",
            "x-gzip",
            "br,gzip",
            "gzip;q=0, gzip",
            "gzip;q=0.001",
            "gzip;level=0",
            "gzip;q",
        ] {
            assert!(gzip(yes.as_bytes()), "{yes}");
        }
        for no in ["", "*", "GZIP", "br", "foo/gzip", "gzip;q=0", "gzip; q = 0.000", "gzip;Q=0.", "gzipped", "deflate"] {
            assert!(!gzip(no.as_bytes()), "{no}");
        }
    }
}

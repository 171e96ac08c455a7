//! The type of a file, from its name.

const TYPES: &[(&[u8], &[u8])] = &[
    (b"html", b"text/html; charset=utf-8"),
    (b"htm", b"text/html; charset=utf-8"),
    (b"shtml", b"text/html; charset=utf-8"),
    (b"css", b"text/css; charset=utf-8"),
    (b"js", b"text/javascript; charset=utf-8"),
    (b"mjs", b"text/javascript; charset=utf-8"),
    (b"gif", b"image/gif"),
    (b"png", b"image/png"),
    (b"jpg", b"image/jpeg"),
    (b"jpeg", b"image/jpeg"),
    (b"svg", b"image/svg+xml"),
    (b"ico", b"image/x-icon"),
    (b"webp", b"image/webp"),
    (b"woff", b"font/woff"),
    (b"ttf", b"font/ttf"),
    (b"avi", b"video/x-msvideo"),
    (b"mov", b"video/quicktime"),
    (b"mp4", b"video/mp4"),
    (b"mpeg", b"video/mpeg"),
    (b"3gp", b"video/3gpp"),
    (b"mp3", b"audio/mpeg"),
    (b"wav", b"audio/wav"),
    (b"csv", b"text/csv"),
    (b"doc", b"application/msword"),
    (b"exe", b"application/octet-stream"),
    (b"gz", b"application/gzip"),
    (b"tgz", b"application/tar-gz"),
    (b"zip", b"application/zip"),
    (b"json", b"application/json"),
    (b"pdf", b"application/pdf"),
];

const OTHER: &[u8] = b"text/plain; charset=utf-8";

/// The type of `path`. `own` is the program's list, `ext=type,ext=type`, where `*` stands for any: its first match counts.
pub(crate) fn of<'a>(path: &[u8], own: &'a [u8]) -> &'a [u8] {
    let ext = &path[memchr::memrchr(b'.', path).map_or(0, |dot| dot + 1)..];
    let mut entries = own.split(|b| *b == b',').filter_map(|e| memchr::memchr(b'=', e).map(|i| (&e[..i], &e[i + 1..])));
    let listed = entries.find(|(key, _)| *key == ext || *key == b"*");
    listed.or_else(|| TYPES.iter().copied().find(|(key, _)| *key == ext)).map_or(OTHER, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_own_list_comes_first() {
        for (path, own, want) in [
            ("a.b/c.css", "", "text/css; charset=utf-8"),
            ("a.CSS", "", "text/plain; charset=utf-8"),
            ("css", "", "text/css; charset=utf-8"),
            ("a.css", "txt=x,css=c/d; x=y", "c/d; x=y"),
            ("a.css", "*=any/any,css=never", "any/any"),
            ("a.", "", "text/plain; charset=utf-8"),
            ("", "=x/y", "x/y"),
        ] {
            assert_eq!(of(path.as_bytes(), own.as_bytes()), want.as_bytes(), "{path} {own}");
        }
    }
}

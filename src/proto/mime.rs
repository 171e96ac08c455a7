//! MIME types by file name.

// Names without one of these suffixes are text, as in the original, including `.bin` and `.tar`.
const TYPES: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("shtml", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("jsonld", "application/ld+json"),
    ("geojson", "application/geo+json"),
    ("webmanifest", "application/manifest+json"),
    ("wasm", "application/wasm"),
    ("xml", "application/xml"),
    ("xsl", "application/xml"),
    ("xhtml", "application/xhtml+xml"),
    ("rss", "application/rss+xml"),
    ("atom", "application/atom+xml"),
    ("md", "text/markdown; charset=utf-8"),
    ("markdown", "text/markdown; charset=utf-8"),
    ("csv", "text/csv"),
    ("ics", "text/calendar; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("toml", "application/toml"),
    ("gif", "image/gif"),
    ("png", "image/png"),
    ("apng", "image/apng"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jxl", "image/jxl"),
    ("svg", "image/svg+xml"),
    ("svgz", "image/svg+xml"),
    ("ico", "image/x-icon"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("bmp", "image/bmp"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    ("ttc", "font/collection"),
    ("eot", "application/vnd.ms-fontobject"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("webm", "video/webm"),
    ("ogv", "video/ogg"),
    ("mov", "video/quicktime"),
    ("avi", "video/x-msvideo"),
    ("mkv", "video/x-matroska"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("ts", "video/mp2t"),
    ("3gp", "video/3gpp"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("mpd", "application/dash+xml"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("flac", "audio/flac"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("pdf", "application/pdf"),
    ("rtf", "application/rtf"),
    ("epub", "application/epub+zip"),
    ("doc", "application/msword"),
    ("xls", "application/vnd.ms-excel"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("tgz", "application/tar-gz"),
    ("bz2", "application/x-bzip2"),
    ("xz", "application/x-xz"),
    ("zst", "application/zstd"),
    ("7z", "application/x-7z-compressed"),
    ("rar", "application/vnd.rar"),
    ("jar", "application/java-archive"),
    ("apk", "application/vnd.android.package-archive"),
    ("exe", "application/octet-stream"),
    ("dll", "application/octet-stream"),
    ("iso", "application/octet-stream"),
    ("img", "application/octet-stream"),
    ("dmg", "application/octet-stream"),
    ("deb", "application/vnd.debian.binary-package"),
];

const OTHER: &[u8] = b"text/plain; charset=utf-8";

/// A suffix of up to [`LONGEST`] bytes, in lower case, as a number.
const fn key(ext: &[u8]) -> u128 {
    // The one in front tells how long it is.
    let (mut key, mut i) = (1, 0);
    while i < ext.len() {
        key = key << 8 | ext[i].to_ascii_lowercase() as u128;
        i += 1;
    }
    key
}

const LONGEST: usize = size_of::<u128>() - 1;

/// The suffixes in order, each with its place in the table.
static BY_KEY: [(u128, u8); TYPES.len()] = {
    let mut sorted = [(0, 0); TYPES.len()];
    let mut n = 0;
    while n < TYPES.len() {
        let new = key(TYPES[n].0.as_bytes());
        let mut at = n;
        while at > 0 && sorted[at - 1].0 > new {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = (new, n as u8);
        n += 1;
    }
    sorted
};

fn known(ext: &[u8]) -> Option<&'static [u8]> {
    let key = key(Some(ext).filter(|ext| ext.len() <= LONGEST)?);
    let at = BY_KEY.binary_search_by_key(&key, |(key, _)| *key).ok()?;
    Some(TYPES[usize::from(BY_KEY[at].1)].1.as_bytes())
}

/// The type of `path` by its suffix, ignoring case. `own` is the application's list, `ext=type,ext=type`, where `*` matches any
/// suffix; its first match is used.
pub(crate) fn of<'a>(path: &[u8], own: &'a [u8]) -> &'a [u8] {
    let ext = &path[memchr::memrchr(b'.', path).map_or(0, |dot| dot + 1)..];
    let mut entries = own.split(|b| *b == b',').filter_map(|e| memchr::memchr(b'=', e).map(|i| (&e[..i], &e[i + 1..])));
    let listed = entries.find(|(key, _)| key.eq_ignore_ascii_case(ext) || *key == b"*").map(|(_, kind)| kind);
    listed.or_else(|| known(ext)).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::{TYPES, of};

    #[test]
    fn suffixes_are_listed_once_and_in_lower_case() {
        for (at, (key, kind)) in TYPES.iter().enumerate() {
            assert!(key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{key}");
            assert!(TYPES[..at].iter().all(|(other, _)| other != key), "{key}");
            assert!(kind.split('/').count() == 2 && kind.is_ascii(), "{kind}");
            assert_eq!(of(format!("a.{}", key.to_uppercase()).as_bytes(), b""), kind.as_bytes());
            assert_eq!(of(format!("a.\0{key}").as_bytes(), b""), super::OTHER);
        }
    }

    #[test]
    fn a_long_suffix_is_no_known_one() {
        // As numbers of 16 bytes these would be the same.
        for zeros in 0..16 {
            let path = ["a.", &"\0".repeat(zeros), "\x01html"].concat();
            assert_eq!(of(path.as_bytes(), b""), super::OTHER, "{zeros}");
        }
        assert_ne!(of(b"a.html", b""), super::OTHER);
    }

    #[test]
    fn common_types_are_known() {
        for (path, want) in [
            ("a.wasm", "application/wasm"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.woff2", "font/woff2"),
            ("a.avif", "image/avif"),
            ("a.webm", "video/webm"),
            ("a.m4a", "audio/mp4"),
            ("a.ogg", "audio/ogg"),
            ("a.flac", "audio/flac"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.tar", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(of(path.as_bytes(), b""), want.as_bytes(), "{path}");
        }
    }

    #[test]
    fn the_application_list_takes_precedence() {
        for (path, own, want) in [
            ("a.b/c.css", "", "text/css; charset=utf-8"),
            ("a.webmanifestwebmanifest", "", "text/plain; charset=utf-8"),
            ("a.CSS", "", "text/css; charset=utf-8"),
            ("a.JSON", "", "application/json"),
            ("a.TXT", "txt=x/y", "x/y"),
            ("a.txt", "TXT=x/y", "x/y"),
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

//! multipart/form-data.

use super::http;
use memchr::memmem;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) name: Option<&'a [u8]>,
    pub(crate) filename: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
    /// Where the next boundary line starts.
    pub(crate) next: usize,
}

/// The part whose boundary line starts at `ofs`. That line may be any text; the part ends before the next line which starts
/// as `body` itself does, that long.
pub(crate) fn next(body: &[u8], ofs: usize) -> Option<Part<'_>> {
    let boundary = &body[..line(body, ofs)?.len()];
    let mut at = ofs + boundary.len() + 2;
    let (mut name, mut filename) = (None, None);
    loop {
        let header = line(body, at)?;
        at += header.len() + 2;
        if header.is_empty() {
            break;
        }
        if let Some(value) = disposition(header) {
            (name, filename) = (http::parameter(value, b"name"), http::parameter(value, b"filename"));
        }
    }
    // No boundary holds a CRLF, so a comparison never runs past the next candidate and all of them together are linear.
    let rest = &body[at..];
    let end = memmem::find_iter(rest, b"\r\n").find(|&i| rest[i + 2..].starts_with(boundary));
    // A body that stops without a boundary is cut where the last one would have had to begin.
    let len = end.or_else(|| rest.len().checked_sub(boundary.len() + 2))?;
    Some(Part { name, filename, body: &rest[..len], next: at + len + 2 })
}

/// The text from `at` to the next CRLF.
fn line(body: &[u8], at: usize) -> Option<&[u8]> {
    let rest = body.get(at..)?;
    memmem::find(rest, b"\r\n").map(|n| &rest[..n])
}

fn disposition(header: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"Content-Disposition";
    let (name, value) = header.split_at_checked(NAME.len())?;
    let named = name.eq_ignore_ascii_case(NAME) && value.starts_with(b":");
    // The byte behind the colon is taken for a space.
    named.then(|| value.get(2..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_boundary_that_nearly_matches_everywhere_is_no_work() {
        let n = 1 << 20;
        let body = [vec![b'a'; n], b"\r\n\r\n".to_vec(), vec![b'a'; 2 * n]].concat();
        assert_eq!(next(&body, 0).map(|p| p.next), Some(body.len() - n));
        let lines = [vec![b'a'; 500], b"\r\n\r\n".to_vec(), [&[b'a'; 499][..], b"\r\n"].concat().repeat(n / 500)].concat();
        assert!(next(&lines, 0).is_some());
    }

    proptest! {
        #[test]
        fn any_body_is_walked_to_its_end(body in "(\r\n|\r|\n|-|B|a|:|content-disposition: |name=|\"){0,40}", at in 0usize..60) {
            next(body.as_bytes(), at);
            let mut ofs = 0;
            while let Some(part) = next(body.as_bytes(), ofs) {
                prop_assert!(part.next > ofs && part.next <= body.len());
                ofs = part.next;
            }
        }

        #[test]
        fn parts_come_back_as_they_were_put_in(parts in prop::collection::vec(("[a-z]{1,5}", prop::collection::vec(any::<u8>(), 0..40)), 0..5)) {
            let mut body = Vec::new();
            for (name, data) in &parts {
                body.extend(format!("--0123456789\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes());
                body.extend(data);
                body.extend(b"\r\n");
            }
            body.extend(b"--0123456789--\r\n");
            let mut ofs = 0;
            for (name, data) in &parts {
                let part = next(&body, ofs).unwrap();
                prop_assert_eq!((part.name, part.filename, part.body), (Some(name.as_bytes()), None, data.as_slice()));
                ofs = part.next;
            }
            prop_assert_eq!(next(&body, ofs), None);
        }
    }
}

//! Parses server-side includes in a page.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// To be copied.
    Text(&'a [u8]),
    /// The file of this name, beside the page.
    File(&'a [u8]),
    /// The file with this URI.
    Virtual(&'a [u8]),
}

const START: &[u8] = b"<!--#";
const END: &[u8] = b"-->";

/// The pieces of a page, in order. Unknown or unterminated directives are text.
pub(crate) fn pieces(page: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = page;
    let mut pending = None;
    core::iter::from_fn(move || {
        if let Some(piece) = pending.take() {
            return Some(piece);
        }
        let mut from = 0;
        loop {
            let found = memchr::memmem::find(&rest[from..], START).map(|i| from + i);
            let end = found.and_then(|at| memchr::memmem::find(&rest[at..], END).map(|i| at + i + END.len()));
            let (Some(at), Some(end)) = (found, end) else { break };
            if let Some(piece) = directive(&rest[at + START.len()..end - END.len()]) {
                let text = &rest[..at];
                rest = &rest[end..];
                if text.is_empty() {
                    return Some(piece);
                }
                pending = Some(piece);
                return Some(Piece::Text(text));
            }
            from = end;
        }
        let text = core::mem::take(&mut rest);
        (!text.is_empty()).then_some(Piece::Text(text))
    })
}

/// `include file="NAME"` or `include virtual="NAME"`; text after the closing quote is ignored.
fn directive<'a>(text: &'a [u8]) -> Option<Piece<'a>> {
    let text = text.strip_prefix(b"include")?;
    let text = &text[text.iter().take_while(|b| b.is_ascii_whitespace() || **b == 0x0b).count()..];
    let name = |quoted: &'a [u8]| memchr::memchr(b'"', quoted).map(|end| &quoted[..end]).filter(|name| !name.is_empty());
    match text.strip_prefix(b"file=\"") {
        Some(quoted) => name(quoted).map(Piece::File),
        None => name(text.strip_prefix(b"virtual=\"")?).map(Piece::Virtual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn directives() {
        for (page, want) in [
            ("<!--#include file=\"a\" -->", Piece::File(b"a")),
            ("<!--#include virtual=\"/a b\"-->", Piece::Virtual(b"/a b")),
            ("<!--#include \n\t file=\"a\" x y -->", Piece::File(b"a")),
            ("<!--#includefile=\"a\"-->", Piece::File(b"a")),
            ("<!--#include file=\"\" -->", Piece::Text(b"<!--#include file=\"\" -->")),
            ("<!--#include file=a -->", Piece::Text(b"<!--#include file=a -->")),
            ("<!--#INCLUDE file=\"a\" -->", Piece::Text(b"<!--#INCLUDE file=\"a\" -->")),
            ("<!--#include file=\"a-->", Piece::Text(b"<!--#include file=\"a-->")),
            ("<!--#include file=\"a\" ", Piece::Text(b"<!--#include file=\"a\" ")),
            ("<!-- include file=\"a\" -->", Piece::Text(b"<!-- include file=\"a\" -->")),
        ] {
            assert_eq!(pieces(page.as_bytes()).collect::<Vec<_>>(), [want], "{page}");
        }
        assert_eq!(pieces(b"").count(), 0);
    }

    #[test]
    fn text_around_directives_is_kept() {
        let page = b"x<!--#echo --><<!--#include file=\"a\" -->y<!--#include virtual=\"b\" --><!--#";
        let want =
            [Piece::Text(b"x<!--#echo --><"), Piece::File(b"a"), Piece::Text(b"y"), Piece::Virtual(b"b"), Piece::Text(b"<!--#")];
        assert_eq!(pieces(page).collect::<Vec<_>>(), want);
    }

    #[test]
    fn long_comments_are_kept() {
        let page = format!("<!--# {} -->end", "x".repeat(5000));
        assert_eq!(pieces(page.as_bytes()).collect::<Vec<_>>(), [Piece::Text(page.as_bytes())]);
    }

    proptest! {
        #[test]
        fn pages_without_includes_are_copied(page in "(<!--#|-->|file=\"a\"|<|-|a){0,20}") {
            let copy: Vec<u8> = pieces(page.as_bytes()).flat_map(|p| match p {
                Piece::Text(t) => t.to_vec(),
                Piece::File(_) | Piece::Virtual(_) => b"?".to_vec(),
            }).collect();
            prop_assert_eq!(copy, page.as_bytes());
        }
    }
}

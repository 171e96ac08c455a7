//! The pattern language of `mg_match`: `?` matches one character, `*` a run without `/`, `#` any run; everything else is literal.

use crate::memory::prelude::*;
use core::ops::Range;
use memchr::{memchr, memmem};

/// A run of adjacent wildcards and the literal text after it.
#[derive(Clone, Copy, Default)]
struct Gap<'a> {
    /// The run contains a `#`: it may span slashes.
    any: bool,
    text: &'a [u8],
    start: usize,
    /// The range in which the run may end: from `end`, which moves forward during the search, to `limit`.
    end: usize,
    limit: usize,
    /// No match is possible with a run that starts before this position.
    dead: usize,
}

/// True if `c` is a wildcard for a run of characters.
pub(crate) fn is_run(c: u8) -> bool {
    matches!(c, b'*' | b'#')
}

/// True if `s` begins with `text`, in which `?` matches any character.
fn begins(s: &[u8], text: &[u8]) -> bool {
    s.len() >= text.len() && text.iter().zip(s).all(|(&t, &c)| t == b'?' || t == c)
}

/// The first place of `text` in `s`.
fn find(s: &[u8], text: &[u8]) -> Option<usize> {
    if text.contains(&b'?') {
        (0..=s.len().checked_sub(text.len())?).find(|&i| begins(&s[i..], text))
    } else {
        memmem::find(s, text)
    }
}

impl Gap<'_> {
    /// Starts the run at `start`. False if that is known to fail.
    fn enter(&mut self, s: &[u8], start: usize) -> bool {
        if start < self.dead {
            return false;
        }
        let limit = if self.any { None } else { memchr(b'/', &s[start..]) };
        (self.start, self.end, self.limit) = (start, start, limit.map_or(s.len(), |n| start + n));
        true
    }

    /// Moves `end` to the next occurrence of the literal text. False if there is none.
    fn advance(&mut self, s: &[u8], last: bool) -> bool {
        let to = self.limit.saturating_add(self.text.len()).min(s.len());
        let found = match s.get(self.end..to) {
            Some(rest) if last => {
                rest.len().checked_sub(self.text.len()).filter(|&i| to == s.len() && begins(&rest[i..], self.text))
            }
            Some(rest) => find(rest, self.text),
            None => None,
        };
        match found {
            Some(i) => self.end += i,
            // A later start could only reach a subset of these positions.
            None => self.dead = self.limit.saturating_add(1),
        }
        found.is_some()
    }
}

/// Positions of the characters matched by a `?` of `text`, which matched at `at`.
fn singles(text: &[u8], at: usize) -> impl Iterator<Item = Range<usize>> {
    text.iter().enumerate().filter(|&(_, &t)| t == b'?').map(move |(i, _)| at + i..at + i + 1)
}

/// Matches all of `s`. On success, calls `capture` with the range matched by each wildcard, in pattern order; a run of adjacent
/// `*` and `#` counts as one. Every run ends as early as possible, earlier runs first.
///
/// Takes time proportional to the length of `s` times the length of the pattern at most: the start positions of a gap only move
/// forward, and what failed once (`dead`) is not searched again.
pub(crate) fn matches(s: &[u8], pattern: &[u8], mut capture: impl FnMut(Range<usize>)) -> bool {
    let (head, rest) = pattern.split_at(pattern.iter().position(|&c| is_run(c)).unwrap_or(pattern.len()));
    if !begins(s, head) || (rest.is_empty() && s.len() != head.len()) {
        return false;
    }

    // From here on runs and texts alternate.
    let chunks = || rest.chunk_by(|&a, &b| is_run(a) == is_run(b));
    let count = chunks().count().div_ceil(2);
    let (mut few, mut many) = ([Gap::default(); 8], Vec::new());
    let gaps = match few.get_mut(..count) {
        Some(gaps) => gaps,
        None => {
            many.resize(count, Gap::default());
            &mut many[..]
        }
    };
    let mut parts = chunks();
    for gap in gaps.iter_mut() {
        gap.any = parts.next().is_some_and(|run| run.contains(&b'#'));
        gap.text = parts.next().unwrap_or_default();
    }

    let (mut i, mut start, mut entered) = (0, head.len(), false);
    while i < count {
        let alive = entered || gaps[i].enter(s, start);
        entered = false;
        if alive && gaps[i].advance(s, i + 1 == count) {
            start = gaps[i].end + gaps[i].text.len();
            i += 1;
        } else if i > 0 {
            // Back to the previous gap, which has to end later.
            i -= 1;
            gaps[i].end += 1;
            entered = true;
        } else {
            return false;
        }
    }

    singles(head, 0).for_each(&mut capture);
    for gap in gaps.iter() {
        capture(gap.start..gap.end);
        singles(gap.text, gap.end).for_each(&mut capture);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn captures<'a>(s: &'a str, pattern: &str) -> Option<Vec<&'a str>> {
        let mut caps = Vec::new();
        matches(s.as_bytes(), pattern.as_bytes(), |r| caps.push(&s[r])).then_some(caps)
    }

    /// The definition: earlier wildcards first, each as short as possible.
    fn by_definition(s: &[u8], pattern: &[u8], at: usize) -> Option<Vec<Range<usize>>> {
        let Some((&p, mut rest)) = pattern.split_first() else { return (at == s.len()).then(Vec::new) };
        if !is_run(p) {
            let c = *s.get(at)?;
            let mut caps = if p == b'?' || p == c { by_definition(s, rest, at + 1)? } else { return None };
            if p == b'?' {
                caps.insert(0, at..at + 1);
            }
            return Some(caps);
        }
        let mut any = p == b'#';
        while let Some((&p, tail)) = rest.split_first().filter(|(p, _)| is_run(**p)) {
            (any, rest) = (any || p == b'#', tail);
        }
        for end in at..=s.len() {
            if let Some(mut caps) = by_definition(s, rest, end) {
                caps.insert(0, at..end);
                return Some(caps);
            }
            if !any && s.get(end) == Some(&b'/') {
                return None;
            }
        }
        None
    }

    #[test]
    fn wildcards_match_as_little_as_possible() {
        let html = r#"<a href="x">y</a> <a href="z">"#;
        assert_eq!(captures(html, r##"#href="#"#"##), Some(vec!["<a ", "x", r#">y</a> <a href="z">"#]));
    }

    #[test]
    fn earlier_wildcards_backtrack() {
        assert_eq!(captures("//", "#/*"), Some(vec!["/", ""]));
        assert_eq!(captures("/a/", "*/"), None);
        assert_eq!(captures("abxabxabx", "a*b?"), Some(vec!["bxabxa", "x"]));
        assert_eq!(captures("xa/y", "x*?*y"), Some(vec!["a", "/", ""]));
        assert_eq!(captures("abc", "*?b*"), Some(vec!["", "a", "c"]));
    }

    #[test]
    fn many_wildcards() {
        let pattern = "*-".repeat(20);
        assert_eq!(captures(&"a-".repeat(20), &pattern), Some(vec!["a"; 20]));
        assert_eq!(captures(&"a-".repeat(19), &pattern), None);
    }

    #[test]
    fn failing_searches_take_linear_time() {
        let n = if cfg!(miri) { 100 } else { 100_000 };
        let s = ["a".repeat(n), "b".repeat(n), "/".to_owned(), "a".repeat(n)].concat();
        assert_eq!(captures(&s, "#a*b*c*b*c#a?c"), None);
        assert_eq!(captures(&s, "*a#?b*?c"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 16 } else { 20_000 }))]
        #[test]
        fn equals_the_recursive_definition(s in "[ab/]{0,12}", pattern in "[ab/?*#]{0,9}") {
            let mut caps = Vec::new();
            let ok = matches(s.as_bytes(), pattern.as_bytes(), |r| caps.push(r));
            prop_assert_eq!(ok.then_some(caps), by_definition(s.as_bytes(), pattern.as_bytes(), 0));
        }
    }
}

//! Numbers in text.

/// Digits only, at least one. None on overflow.
pub(crate) fn digits(s: &[u8], radix: u32) -> Option<u64> {
    if s.is_empty() {
        return None;
    }
    s.iter().try_fold(0u64, |n, &c| n.checked_mul(radix.into())?.checked_add(char::from(c).to_digit(radix)?.into()))
}

/// See `mg_str_to_num`.
pub(crate) fn unsigned(s: &[u8], base: i32) -> Option<u64> {
    match (base, s) {
        (2, _) => digits(s, 2),
        (10, _) => digits(s, 10),
        (16, _) => digits(s, 16),
        (0, [b'0', b'b', rest @ ..]) => digits(rest, 2),
        (0, [b'0', b'x', rest @ ..]) => digits(rest, 16),
        (0, [b'0', rest @ ..]) => digits(rest, 10),
        (0, [_, _, ..]) => digits(s, 10),
        _ => None,
    }
}

/// A decimal size, with optional spaces and tabs around it.
pub(crate) fn size(s: &[u8]) -> Option<usize> {
    let blank = |c: &u8| matches!(c, b' ' | b'\t');
    let start = s.iter().position(|c| !blank(c))?;
    let end = s.iter().rposition(|c| !blank(c))? + 1;
    digits(&s[start..end], 10)?.try_into().ok()
}

/// The number at the start of `s` (0 if there is none), and its number of digits. Saturates.
pub(crate) fn prefix(s: &[u8]) -> (u64, usize) {
    let len = s.iter().position(|c| !c.is_ascii_digit()).unwrap_or(s.len());
    (s[..len].iter().fold(0u64, |n, c| n.saturating_mul(10).saturating_add((c - b'0').into())), len)
}

/// Decimal digits of `n`, at the end of `buf`.
pub(crate) fn decimal(buf: &mut [u8; 20], mut n: u64) -> &[u8] {
    let mut at = buf.len();
    loop {
        at -= 1;
        buf[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &buf[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_decimal() {
        let max = usize::MAX.to_string();
        assert_eq!(size(max.as_bytes()), Some(usize::MAX));
        assert_eq!(size(format!("{max}0").as_bytes()), None);
        assert_eq!(size(b" \t12\t "), Some(12));
        for bad in ["", " ", "+1", "-1", "1 2", "0x1", "1\n"] {
            assert_eq!(size(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn decimal_digits() {
        for n in [0, 9, 10, 1_700_000_000, u64::MAX] {
            assert_eq!(decimal(&mut [0; 20], n), n.to_string().as_bytes());
        }
    }

    #[test]
    fn number_prefixes() {
        assert_eq!(prefix(b"8080/x"), (8080, 4));
        assert_eq!(prefix(b"x"), (0, 0));
        assert_eq!(prefix(b"99999999999999999999"), (u64::MAX, 20));
    }
}

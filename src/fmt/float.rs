//! Prints numbers like C's `printf`: `%f`, `%e`, `%g` and `%i` with all their flags. Digits are exact: `core` rounds the true
//! value of a double, ties to even. Does not allocate.

#![forbid(unsafe_code)]

#[cfg(not(feature = "std"))]
use super::decimal::Decimal;
use super::text::{Digits, Out};
#[cfg(feature = "std")]
use core::fmt::Write;

/// Number of fraction digits of the smallest double, the most of any. Further digits are zeros.
const MAX_FRACTION: usize = 1074;
/// No double has more than 767 significant digits.
const MAX_SIGNIFICANT: usize = 800;
/// The integer digits of the largest double, the point, and the longest fraction.
const MAX_TEXT: usize = 309 + 1 + MAX_FRACTION;

/// Flags, width and precision of a conversion.
#[derive(Clone, Copy, Default)]
pub(crate) struct Style {
    pub(crate) left: bool,
    pub(crate) plus: bool,
    pub(crate) space: bool,
    pub(crate) zero: bool,
    pub(crate) alternate: bool,
    pub(crate) upper: bool,
    pub(crate) width: usize,
    pub(crate) precision: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Notation {
    Fixed,
    Scientific,
    General,
}

/// Digits, followed by zeros that are not stored, and an exponent.
struct Number {
    digits: [u8; MAX_TEXT],
    len: usize,
    zeros: usize,
    exponent: Option<i32>,
}

#[cfg(feature = "std")]
impl Write for Number {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        let room = self.digits.get_mut(self.len..self.len + s.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}

impl Number {
    fn new() -> Number {
        Number { digits: [0; MAX_TEXT], len: 0, zeros: 0, exponent: None }
    }

    /// Formats `x`, which is not negative, with this many fraction digits. Works in place: two of these are large for the stack
    /// of a small thread.
    #[cfg(feature = "std")]
    #[inline(never)]
    fn fixed(&mut self, x: f64, precision: usize) {
        let stored = precision.min(MAX_FRACTION);
        (self.len, self.exponent) = (0, None);
        // The buffer holds the longest possible text.
        let _ = write!(self, "{x:.stored$}");
        self.zeros = precision - stored;
    }

    #[cfg(not(feature = "std"))]
    fn fixed(&mut self, x: f64, precision: usize) {
        let stored = precision.min(MAX_FRACTION) as i32;
        (self.len, self.exponent, self.zeros) = (0, None, precision - stored as usize);
        let mut decimal = Decimal::new(x);
        decimal.round(stored - 1);
        for digit in decimal.first().min(-1)..stored {
            if digit == 0 {
                self.push(b'.');
            }
            self.push(decimal.digit(digit));
        }
    }

    #[cfg(not(feature = "std"))]
    fn scientific(&mut self, x: f64, precision: usize) {
        let stored = precision.min(MAX_SIGNIFICANT) as i32;
        (self.len, self.zeros) = (0, precision - stored as usize);
        let mut decimal = Decimal::new(x);
        decimal.round(decimal.first() + stored);
        let first = decimal.first();
        for digit in first..=first + stored {
            if digit == first + 1 {
                self.push(b'.');
            }
            self.push(decimal.digit(digit));
        }
        self.exponent = Some(-1 - first);
    }

    fn push(&mut self, c: u8) {
        if let Some(place) = self.digits.get_mut(self.len) {
            *place = c;
            self.len += 1;
        }
    }

    /// Formats with one digit before the point, and an exponent.
    #[cfg(feature = "std")]
    #[inline(never)]
    fn scientific(&mut self, x: f64, precision: usize) {
        let stored = precision.min(MAX_SIGNIFICANT);
        self.len = 0;
        let _ = write!(self, "{x:.stored$e}");
        let e = self.text().iter().position(|&c| c == b'e').unwrap_or(self.len);
        self.exponent = core::str::from_utf8(self.text().get(e + 1..).unwrap_or_default()).ok().and_then(|s| s.parse().ok());
        self.len = e;
        self.zeros = precision - stored;
    }

    /// Formats in the shorter notation by C's rule, with this many significant digits, and without trailing zeros unless
    /// `alternate`.
    fn general(&mut self, x: f64, precision: usize, alternate: bool) {
        let precision = precision.max(1);
        self.scientific(x, precision - 1);
        // The exponent of the rounded number determines the notation.
        let exponent = self.exponent.unwrap_or(0);
        if let Ok(behind) = usize::try_from(i64::try_from(precision).unwrap_or(i64::MAX) - 1 - i64::from(exponent)) {
            if exponent >= -4 {
                self.fixed(x, behind);
            }
        }
        if !alternate && self.text().contains(&b'.') {
            self.zeros = 0;
            while self.text().last() == Some(&b'0') {
                self.len -= 1;
            }
            if self.text().last() == Some(&b'.') {
                self.len -= 1;
            }
        }
    }

    fn text(&self) -> &[u8] {
        &self.digits[..self.len]
    }
}

/// The sign to print.
fn sign(negative: bool, style: &Style) -> &'static [u8] {
    match (negative, style.plus, style.space) {
        (true, ..) => b"-",
        (_, true, _) => b"+",
        (_, _, true) => b" ",
        _ => b"",
    }
}

/// Writes `sign` and the parts, with blanks or zeros up to the width. Returns the number of characters. The number is `text`,
/// then `zeros` zeros, then `tail`.
fn padded(out: &mut impl Out, sign: &[u8], zero_fill: bool, style: &Style, text: &[u8], zeros: usize, tail: &[u8]) -> usize {
    let len = (sign.len() + text.len() + tail.len()).saturating_add(zeros);
    let fill = style.width.saturating_sub(len);
    let zero_fill = zero_fill && !style.left;
    if !(zero_fill || style.left) {
        out.fill(b' ', fill);
    }
    out.bytes(sign);
    if zero_fill {
        out.fill(b'0', fill);
    }
    out.bytes(text);
    out.fill(b'0', zeros);
    out.bytes(tail);
    if style.left {
        out.fill(b' ', fill);
    }
    len.saturating_add(fill)
}

/// `%f`, `%e`, `%g`, and in upper case. Returns the number of characters.
pub(crate) fn double(out: &mut impl Out, x: f64, notation: Notation, style: &Style) -> usize {
    let sign = sign(x.is_sign_negative(), style);
    if !x.is_finite() {
        let text: &[u8] = match (x.is_nan(), style.upper) {
            (true, false) => b"nan",
            (true, true) => b"NAN",
            (false, false) => b"inf",
            (false, true) => b"INF",
        };
        return padded(out, sign, false, style, text, 0, b"");
    }
    let (x, precision) = (x.abs(), style.precision.unwrap_or(6));
    let mut n = Number::new();
    match notation {
        Notation::Fixed => n.fixed(x, precision),
        Notation::Scientific => n.scientific(x, precision),
        Notation::General => n.general(x, precision, style.alternate),
    }
    if style.alternate && !n.text().contains(&b'.') {
        n.push(b'.');
    }
    let (mut tail, mut tail_len) = ([0; 5], 0);
    if let Some(e) = n.exponent {
        let digits = Digits::of(e.unsigned_abs().into(), 10);
        let digits = digits.as_bytes();
        tail[..3].copy_from_slice(&[if style.upper { b'E' } else { b'e' }, if e < 0 { b'-' } else { b'+' }, b'0']);
        tail_len = 2 + digits.len().max(2);
        tail[tail_len - digits.len()..tail_len].copy_from_slice(digits);
    }
    padded(out, sign, style.zero, style, n.text(), n.zeros, &tail[..tail_len])
}

/// `%i`. Returns the number of characters.
pub(crate) fn integer(out: &mut impl Out, v: i64, style: &Style) -> usize {
    let digits = Digits::of(v.unsigned_abs(), 10);
    let text = if v == 0 && style.precision == Some(0) { b"" } else { digits.as_bytes() };
    // With a precision, zeros do not pad to the width.
    let zeros = style.precision.unwrap_or(0).saturating_sub(text.len());
    padded(out, sign(v < 0, style), style.zero && style.precision.is_none(), style, b"", zeros, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(x: f64, notation: Notation, style: Style) -> String {
        let mut out = Vec::new();
        let n = double(&mut out, x, notation, &style);
        assert_eq!(n, out.len());
        String::from_utf8(out).unwrap()
    }

    fn with_precision(precision: usize) -> Style {
        Style { precision: Some(precision), ..Style::default() }
    }

    #[test]
    fn exact_decimal_rounding() {
        use Notation::*;
        for (x, p, notation, want) in [
            (0.087, 1, Fixed, "0.1"),
            (0.0096, 2, Fixed, "0.01"),
            (0.15, 1, Fixed, "0.1"),
            (0.125, 2, Fixed, "0.12"),
            (2.5, 0, Fixed, "2"),
            (3.5, 0, Fixed, "4"),
            (0.0, 1, Fixed, "0.0"),
            (-0.0, 1, Fixed, "-0.0"),
            (-0.04, 1, Fixed, "-0.0"),
            (1e50, 0, Fixed, "100000000000000007629769841091887003294964970946560"),
            (0.00123456789, 6, General, "0.00123457"),
            (0.00001, 6, General, "1e-05"),
            (0.0001, 6, General, "0.0001"),
            (999999.5, 6, General, "1e+06"),
            (99.5, 2, General, "1e+02"),
            (1234.0, 0, General, "1e+03"),
            (f64::MAX, 6, General, "1.79769e+308"),
            (5e-324, 3, General, "4.94e-324"),
            (-0.0, 6, General, "-0"),
            (12345.678, 2, Scientific, "1.23e+04"),
            (0.0, 0, Scientific, "0e+00"),
            (1e100, 1, Scientific, "1.0e+100"),
        ] {
            assert_eq!(text(x, notation, with_precision(p)), want, "{x} {p}");
        }
    }

    #[test]
    fn excess_precision_prints_zeros() {
        let s = text(5e-324, Notation::Fixed, with_precision(5000));
        assert_eq!((s.len(), s.trim_end_matches('0').len()), (5002, 1076));
        let s = text(f64::MAX, Notation::Fixed, with_precision(100_000));
        assert_eq!(s.len(), 309 + 1 + 100_000);
        let s = text(1.0 / 3.0, Notation::Scientific, with_precision(70_000));
        assert_eq!((s.len(), s.ends_with("0e-01")), (70_006, true));
        assert_eq!(text(0.1, Notation::General, with_precision(usize::MAX)).len(), 57);
    }
}

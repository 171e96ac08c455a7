//! `%f` and `%g`: digits made with double arithmetic, step by step, because programs compare texts. The order of the operations
//! decides the last digits; do not simplify them.

#![forbid(unsafe_code)]

/// Longer texts are cut.
const MAX: usize = 39;
/// Digits of a mantissa that leave room for its sign, dot and exponent.
const MAX_MANTISSA: usize = 31;

/// The text of a number.
pub(crate) struct Decimal {
    buf: [u8; MAX],
    len: usize,
}

impl Decimal {
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    fn push(&mut self, c: u8) {
        if let Some(place) = self.buf.get_mut(self.len) {
            *place = c;
            self.len += 1;
        }
    }

    fn push_all(&mut self, s: &[u8]) {
        s.iter().for_each(|&c| self.push(c));
    }

    fn is_full(&self) -> bool {
        self.len == MAX
    }

    /// The next digit of `*rest` for the place worth `weight`.
    fn push_digit(&mut self, rest: &mut f64, weight: f64) -> u8 {
        // Division can round to 10, and the remainder of an earlier digit to less than 0.
        let digit = ((*rest / weight) as i32).clamp(0, 9);
        *rest -= f64::from(digit) * weight;
        digit as u8 + b'0'
    }
}

/// `x` as `%f` (`general` false) or `%g` prints it with `precision`.
pub(crate) fn decimal(x: f64, precision: usize, general: bool) -> Decimal {
    let mut out = Decimal { buf: [0; MAX], len: 0 };
    if x == 0.0 {
        out.push(b'0');
    } else if x.is_nan() {
        out.push_all(b"nan");
    } else {
        if x < 0.0 {
            out.push(b'-');
        }
        match x.abs() {
            f64::INFINITY => out.push_all(b"inf"),
            value if !general => plain(&mut out, value + increment(value, precision, 0.1), precision, false),
            value => shorter(&mut out, value, precision.max(1)),
        }
    }
    out
}

/// Half a unit of the last place for `value`, whose first digit has at least the weight `place`.
fn increment(value: f64, precision: usize, place: f64) -> f64 {
    let mut weight = place;
    while value <= 1.0 && value / weight <= 1.0 {
        weight /= 10.0;
    }
    let mut half = weight * 5.0;
    for _ in 0..precision {
        if half == 0.0 {
            break;
        }
        half /= 10.0;
    }
    half
}

/// The decimal exponent of `d`, and ten to its power (0 when that is too small for a double).
fn magnitude(d: f64) -> (i32, f64) {
    let (mut exponent, mut power) = (0, 1.0);
    while d >= 10.0 && d / power >= 10.0 {
        (exponent, power) = (exponent + 1, power * 10.0);
    }
    while d < 1.0 && d / power < 1.0 {
        (exponent, power) = (exponent - 1, power / 10.0);
    }
    (exponent, power)
}

/// `value` with the rounding of `%g` applied.
fn rounded(value: f64, precision: usize) -> f64 {
    let mut place = 1.0;
    while value >= 10.0 && value / place >= 10.0 {
        place *= 10.0;
    }
    value + increment(value, precision, place)
}

/// `%g` of a positive number.
fn shorter(out: &mut Decimal, mut value: f64, precision: usize) {
    // At the ends of the range the powers of ten above overflow or vanish: work nearer to 1.
    let shift = match value {
        1e290.. => -200,
        ..1e-290 => 200,
        _ => 0,
    };
    value *= match shift {
        -200 => 1e-200,
        200 => 1e200,
        _ => 1.0,
    };
    let d = rounded(value, precision);
    let (exponent, power) = magnitude(d);
    // A text that would be cut in the middle of its value is better in scientific form, too.
    let limit = precision.min(MAX_MANTISSA) as i32;
    let small = exponent <= -limit.max(2);
    if shift == 0 && exponent < limit && !small {
        return plain(out, d, precision, true);
    }
    let (mantissa, precision) = (value / power, precision.min(MAX_MANTISSA));
    plain(out, rounded(mantissa, precision), precision, true);
    let exponent = exponent - shift;
    out.push_all(if exponent < 0 { b"e-" } else { b"e+" });
    let e = exponent.unsigned_abs();
    if e >= 100 {
        out.push(b'0' + (e / 100) as u8);
    }
    out.push_all(&[b'0' + (e / 10 % 10) as u8, b'0' + (e % 10) as u8]);
}

/// Digits, dot, digits. `d` includes the rounding increment.
fn plain(out: &mut Decimal, mut d: f64, precision: usize, general: bool) {
    let start = out.len;
    let (_, mut weight) = magnitude(d);
    while weight >= 1.0 && !out.is_full() {
        let digit = out.push_digit(&mut d, weight);
        if digit != b'0' || out.len > start {
            out.push(digit);
        }
        weight /= 10.0;
    }
    let mut count = out.len - start;
    if count == 0 {
        out.push(b'0');
    }
    if !general {
        count = 0;
    }
    if count >= precision {
        return;
    }
    out.push(b'.');
    weight = 0.1;
    while count < precision && !out.is_full() {
        let digit = out.push_digit(&mut d, weight);
        out.push(digit);
        weight /= 10.0;
        count += 1;
    }
    if general {
        while out.as_bytes().last() == Some(&b'0') {
            out.len -= 1;
        }
        if out.as_bytes().last() == Some(&b'.') {
            out.len -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(x: f64, precision: usize, general: bool) -> String {
        String::from_utf8(decimal(x, precision, general).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn general() {
        for (x, p, want) in [
            (0.9999999, 6, "1"),
            (1000000.0, 6, "1e+06"),
            (999999.0, 6, "999999"),
            (44556677.0, 6, "4.45567e+07"),
            (2.34567e-57, 6, "2.34567e-57"),
            (9999999.0, 7, "9999999"),
            (1e11, 10, "1e+11"),
            (0.00001, 6, "0.00001"),
            (0.000001, 6, "1e-06"),
            (-0.0, 6, "0"),
            (f64::NEG_INFINITY, 3, "-inf"),
            (f64::NAN, 3, "nan"),
        ] {
            assert_eq!(text(x, p, true), want, "{x} {p}");
        }
    }

    #[test]
    fn fixed() {
        for (x, p, want) in [
            (0.14, 6, "0.140000"),
            (0.15, 1, "0.2"),
            (1.15, 1, "1.1"),
            (0.155, 1, "0.2"),
            (0.015, 2, "0.01"),
            (19.1255, 3, "19.125"),
            (1.5, 0, "2"),
            (12.0, 0, "12"),
        ] {
            assert_eq!(text(x, p, false), want, "{x} {p}");
        }
    }

    /// Better than the observed behaviour, which nobody can rely on: three-digit exponents, the ends of the range, few digits.
    #[test]
    fn large_exponents_and_few_digits() {
        assert_eq!(text(1e100, 6, true), "1e+100");
        assert_eq!(text(-1.5e-300, 6, true), "-1.5e-300");
        assert_eq!(text(f64::MAX, 6, true), "1.79769e+308");
        assert_eq!(text(f64::MIN_POSITIVE, 6, true), "2.22507e-308");
        assert_eq!(text(5e-324, 3, true), "4.94e-324");
        assert_eq!(text(1234.0, 1, true), "1e+03");
        assert_eq!(text(1234.0, 0, true), "1e+03");
        assert_eq!(text(0.5, 1, true), "0.5");
    }

    #[test]
    fn any_number_and_precision_fits() {
        for x in [0.1, 0.3, 1.0, 9.5, 1e22, 1e38, 1e-38, 1e150, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, -1e-200, 1.7e289] {
            for p in [0, 1, 2, 17, 38, 39, 40, 88, 1000, usize::MAX] {
                for general in [true, false] {
                    let s = text(x, p, general);
                    assert!((1..=MAX).contains(&s.len()), "{s}");
                    assert!(!general || p < 6 || (s.parse::<f64>().unwrap() / x - 1.0).abs() < 1e-3, "{x} {p}: {s}");
                }
            }
        }
    }
}

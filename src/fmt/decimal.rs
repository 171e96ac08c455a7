//! The exact decimal digits of a double, in a kilobyte of code: for devices, where the printer of `core` is ten.

#![forbid(unsafe_code)]

const BASE: u64 = 1_000_000_000;
/// Limbs before and behind the point, of nine digits each: for 309 and 1,074 digits.
const POINT: usize = 36;
const LIMBS: usize = POINT + 120;

pub(super) struct Decimal([u32; LIMBS]);

impl Decimal {
    /// `x` is finite and not negative.
    #[inline(never)]
    pub(super) fn new(x: f64) -> Decimal {
        let (bits, exponent) = (x.to_bits() & ((1 << 52) - 1), (x.to_bits() >> 52) as i32);
        let (mantissa, mut exponent) = if exponent == 0 { (bits, -1074) } else { (bits | 1 << 52, exponent - 1075) };
        let mut limbs = [0; LIMBS];
        (limbs[POINT - 2], limbs[POINT - 1]) = ((mantissa / BASE) as u32, (mantissa % BASE) as u32);
        let (mut first, mut end) = (POINT - 2, POINT);
        while exponent > 0 {
            let shift = exponent.min(29);
            let mut carry = 0;
            for limb in limbs[first..end].iter_mut().rev() {
                let n = (u64::from(*limb) << shift) + carry;
                (*limb, carry) = ((n % BASE) as u32, n / BASE);
            }
            if carry > 0 {
                first -= 1;
                limbs[first] = carry as u32;
            }
            exponent -= shift;
        }
        while exponent < 0 {
            // The base is divisible by this power of two.
            let shift = (-exponent).min(9);
            let mut carry = 0;
            for limb in &mut limbs[first..end] {
                let rest = *limb & ((1 << shift) - 1);
                *limb = (*limb >> shift) + carry;
                carry = rest * (BASE as u32 >> shift);
            }
            if carry > 0 {
                limbs[end] = carry;
                end += 1;
            }
            exponent += shift;
        }
        Decimal(limbs)
    }

    /// The limb of a digit, and the value of a 1 there. Digit 0 is the first behind the point, negative ones are before it.
    fn place(digit: i32) -> (usize, u32) {
        let at = (digit + 9 * POINT as i32) as usize;
        (at / 9, 10u32.pow(8 - (at % 9) as u32))
    }

    pub(super) fn digit(&self, digit: i32) -> u8 {
        let (limb, unit) = Decimal::place(digit);
        // All that are further behind are 0.
        b'0' + self.0.get(limb).map_or(0, |limb| limb / unit % 10) as u8
    }

    /// The first digit that is not 0; the one before the point when there is none.
    pub(super) fn first(&self) -> i32 {
        let Some(limb) = self.0.iter().position(|limb| *limb > 0) else { return -1 };
        (limb as i32 + 1 - POINT as i32) * 9 - 1 - self.0[limb].ilog10() as i32
    }

    /// Rounds to this digit, ties to even.
    pub(super) fn round(&mut self, last: i32) {
        let (at, unit) = Decimal::place(last);
        let Some(&limb) = self.0.get(at) else { return };
        let behind = |n: usize| u64::from(self.0.get(at + n).copied().unwrap_or(0));
        let rest = u64::from(limb % unit) * BASE + behind(1);
        let more = self.0.iter().skip(at + 2).any(|limb| *limb > 0);
        let half = u64::from(unit) * BASE / 2;
        if rest < half || rest == half && !more && limb / unit % 2 == 0 {
            return;
        }
        self.0[at] = limb - limb % unit + unit;
        for at in (1..=at).rev() {
            if u64::from(self.0[at]) < BASE {
                break;
            }
            self.0[at] -= BASE as u32;
            self.0[at - 1] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(x: f64, precision: i32) -> String {
        let mut d = Decimal::new(x);
        d.round(precision - 1);
        let text: Vec<u8> = (d.first().min(-1)..precision).map(|i| d.digit(i)).collect();
        let mut text = String::from_utf8(text).unwrap();
        if precision > 0 {
            text.insert(text.len() - precision as usize, '.');
        }
        text
    }

    fn scientific(x: f64, precision: i32) -> String {
        let mut d = Decimal::new(x);
        d.round(d.first() + precision);
        let first = d.first();
        let rest: Vec<u8> = (1..=precision).map(|i| d.digit(first + i)).collect();
        let point = if precision > 0 { "." } else { "" };
        format!("{}{point}{}e{}", d.digit(first) as char, String::from_utf8(rest).unwrap(), -1 - first)
    }

    #[test]
    fn digits_are_those_of_core() {
        let mut seed = 1u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let some = [
            0.0,
            5e-324,
            f64::MIN_POSITIVE,
            f64::MAX,
            0.5,
            1.5,
            2.5,
            0.125,
            9.5,
            9.995,
            99999.5,
            1e23,
            1e-5,
            123456789.0,
            1e9,
            999999999.5,
        ];
        let more: Vec<f64> = (0..3000).map(|_| f64::from_bits(random() >> 1)).filter(|x| x.is_finite()).collect();
        let small = (0..3000).map(|_| (random() % 100_000_000) as f64 / f64::from(1u32 << (random() % 20)));
        for x in some.into_iter().chain(more).chain(small.collect::<Vec<_>>()) {
            for precision in [0, 1, 2, 6, 8, 9, 10, 17, 18, (random() % 40) as i32, (random() % 800) as i32] {
                let p = precision as usize;
                assert_eq!(fixed(x, precision), format!("{x:.p$}"), "{x:e} {p}");
                assert_eq!(scientific(x, precision), format!("{x:.p$e}"), "{x:e} {p}");
            }
        }
        assert_eq!(fixed(5e-324, 1074), format!("{:.1074}", 5e-324));
    }
}

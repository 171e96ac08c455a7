//! Compares printed numbers with the C library's.

use super::float::{Notation, Style, double, integer};
use crate::memory::prelude::*;
use std::ffi::{CString, c_char};

/// Flags, width and precision as a format says them and as a [`Style`].
fn random_style(mut random: impl FnMut(u64) -> u64) -> (String, Style) {
    let mut style = Style::default();
    let mut flags = String::from("%");
    for _ in 0..random(4) {
        let c = b"-+ 0#"[random(5) as usize];
        *[&mut style.left, &mut style.plus, &mut style.space, &mut style.zero, &mut style.alternate]
            [b"-+ 0#".iter().position(|&f| f == c).unwrap()] = true;
        flags.push(c.into());
    }
    if random(2) == 0 {
        style.width = random(40) as usize + 1;
        flags += &style.width.to_string();
    }
    style.precision = match random(8) {
        0 | 1 => None,
        7 => Some(random(1200) as usize),
        _ => Some(random(20) as usize),
    };
    if let Some(p) = style.precision {
        flags += &format!(".{p}");
    }
    (flags, style)
}

fn xorshift() -> impl FnMut(u64) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn floats_print_as_in_c() {
    let mut random = xorshift();
    let mut buf = vec![0u8; 4096];
    for i in 0..300_000 {
        let bits = random(1 << 53) << 11 ^ random(1 << 53);
        let decimal = |digits: u64, exponent: i64| format!("{digits}e{exponent}").parse().unwrap();
        let x = match i % 8 {
            0 => f64::from_bits(bits),
            1 => f64::from_bits(bits & 0x800f_ffff_ffff_ffff),
            2 => decimal(random(1_000_000), -(random(12) as i64)),
            3 => -decimal(random(100_000), random(30) as i64 - 15),
            // Ties and their neighbours.
            4 => (random(1 << 20) as f64 + 0.5) / f64::from(1u32 << random(12)),
            5 => {
                f64::from_bits(decimal(random(1000), random(20) as i64 - 10).to_bits().wrapping_add(random(3)).saturating_sub(1))
            }
            6 => random(1 << 53) as f64,
            _ => [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN, f64::MAX, 5e-324, 1.0, 9.5]
                [random(10) as usize],
        };
        let (mut fmt, mut style) = random_style(&mut random);
        let c = b"fegFEG"[random(6) as usize];
        style.upper = c.is_ascii_uppercase();
        let notation = match c.to_ascii_lowercase() {
            b'f' => Notation::Fixed,
            b'e' => Notation::Scientific,
            _ => Notation::General,
        };
        fmt.push(c.into());
        let c_fmt = CString::new(fmt.as_str()).unwrap();
        // SAFETY: one double, and a buffer of that size.
        let n = unsafe { libc::snprintf(buf.as_mut_ptr().cast::<c_char>(), buf.len(), c_fmt.as_ptr(), x) };
        let mut out = Vec::new();
        assert_eq!(double(&mut out, x, notation, &style), out.len());
        assert_eq!(out, &buf[..n as usize], "{fmt} of {x:e}");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn integers_print_as_in_c() {
    let mut random = xorshift();
    let mut buf = vec![0u8; 4096];
    for _ in 0..100_000 {
        let v = [0, 1, -1, i64::MIN, i64::MAX, random(1 << 20) as i64 - (1 << 19)][random(6) as usize];
        let (mut fmt, style) = random_style(&mut random);
        // `#` is undefined there and has no effect.
        fmt += "lli";
        let c_fmt = CString::new(fmt.as_str()).unwrap();
        // SAFETY: one integer, and a buffer of that size.
        let n = unsafe { libc::snprintf(buf.as_mut_ptr().cast::<c_char>(), buf.len(), c_fmt.as_ptr(), v) };
        let mut out = Vec::new();
        assert_eq!(integer(&mut out, v, &style), out.len());
        assert_eq!(out, &buf[..n as usize], "{fmt} of {v}");
    }
}

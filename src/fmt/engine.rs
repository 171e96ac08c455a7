//! The format interpreter: from an argument source to a sink.

#![forbid(unsafe_code)]

use super::float::{self, Notation, Style};
pub(crate) use super::text::Out;
use super::text::{Digits, Text};
use core::ffi::{c_int, c_long};

/// Argument source, in the order of the conversions.
pub(crate) trait Args<O: Out> {
    fn int(&mut self) -> c_int;
    fn long(&mut self) -> c_long;
    fn long_long(&mut self) -> i64;
    fn double(&mut self) -> f64;
    fn pointer(&mut self) -> usize;
    /// A C string up to its NUL, or at most `max` bytes of it. NULL gives an empty text.
    fn string(&mut self, max: Option<usize>) -> Text<'_>;
    /// Takes a printer and its arguments and runs it on `out`; returns how many characters it says it printed.
    fn print(&mut self, out: &mut O) -> usize;
}

#[derive(Clone, Copy, PartialEq)]
enum Width {
    /// `char` and `short` arrive as `int`. Only conversions that follow C cut them.
    Char,
    Short,
    Int,
    Long,
    LongLong,
    Size,
}

impl Width {
    #[allow(clippy::useless_conversion)] // long has 32 bits on some targets
    fn signed<O: Out>(self, args: &mut impl Args<O>) -> i64 {
        match self {
            Width::Char => (args.int() as i8).into(),
            Width::Short => (args.int() as i16).into(),
            Width::Int => args.int().into(),
            Width::LongLong => args.long_long(),
            // The same in most ABIs; on Windows `long` has 32 bits and `size_t` 64.
            Width::Size if size_of::<usize>() > size_of::<c_long>() => args.long_long(),
            Width::Long | Width::Size => args.long().into(),
        }
    }

    fn unsigned<O: Out>(self, args: &mut impl Args<O>) -> u64 {
        match self {
            Width::Char | Width::Short | Width::Int => (args.int() as u32).into(),
            Width::LongLong => args.long_long() as u64,
            Width::Size if size_of::<usize>() > size_of::<c_long>() => args.long_long() as u64,
            #[allow(clippy::useless_conversion)]
            Width::Long | Width::Size => (args.long() as core::ffi::c_ulong).into(),
        }
    }
}

/// One conversion, without its `%`.
struct Spec {
    prefix: bool,
    left: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    size: Width,
    /// None: the format ends here.
    conversion: Option<u8>,
}

/// A conversion that prints as in C.
struct CSpec {
    style: Style,
    /// None: the next argument.
    width: Option<usize>,
    precision: Option<Option<usize>>,
    size: Width,
    /// In lower case.
    conversion: u8,
}

impl CSpec {
    fn print<O: Out>(mut self, out: &mut O, args: &mut impl Args<O>) -> usize {
        self.style.width = self.width.unwrap_or_else(|| {
            let width = args.int();
            // A negative width is the flag `-` and a positive width.
            self.style.left |= width < 0;
            width.unsigned_abs() as usize
        });
        self.style.precision = match self.precision {
            Some(None) => usize::try_from(args.int()).ok(),
            Some(given) => given,
            None => None,
        };
        let notation = match self.conversion {
            b'f' => Notation::Fixed,
            b'e' => Notation::Scientific,
            b'g' => Notation::General,
            _ => return float::integer(out, self.size.signed(args), &self.style),
        };
        float::double(out, args.double(), notation, &self.style)
    }
}

/// The rest of a format.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    #[inline]
    fn skip(&mut self, c: u8) -> bool {
        let found = self.0.first() == Some(&c);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    /// A run of digits; 0 if there is none. Numbers beyond C's `int` saturate.
    #[inline]
    fn number(&mut self) -> usize {
        let mut n = 0usize;
        while let Some(d @ b'0'..=b'9') = self.0.first() {
            n = n.saturating_mul(10).saturating_add((d - b'0').into()).min(c_int::MAX as usize);
            self.0 = &self.0[1..];
        }
        n
    }

    /// Skips and returns matching text.
    fn take_while(&mut self, f: impl Fn(u8) -> bool) -> &[u8] {
        let n = self.0.iter().position(|&c| !f(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(n);
        self.0 = rest;
        taken
    }

    /// A number, or None for an asterisk.
    fn number_or_star(&mut self) -> Option<usize> {
        if self.skip(b'*') { None } else { Some(self.number()) }
    }

    /// Parses a conversion that follows C in everything. Consumes no argument, so that other conversions can be parsed again by
    /// their own rules.
    #[inline]
    fn c_spec(&mut self) -> Option<CSpec> {
        // Most conversions are a letter that rules out a C conversion at once.
        match self.0.first()? {
            b's' | b'd' | b'u' | b'x' | b'm' | b'M' | b'c' | b'p' => None,
            _ => self.c_spec_at_length(),
        }
    }

    fn c_spec_at_length(&mut self) -> Option<CSpec> {
        let mut input = Input(self.0);
        let mut style = Style::default();
        for flag in input.take_while(|c| b"-+ 0#".contains(&c)) {
            match flag {
                b'-' => style.left = true,
                b'+' => style.plus = true,
                b' ' => style.space = true,
                b'0' => style.zero = true,
                _ => style.alternate = true,
            }
        }
        let width = input.number_or_star();
        let precision = if input.skip(b'.') { Some(input.number_or_star()) } else { None };
        let size = match input.take_while(|c| b"hljztq".contains(&c)) {
            b"hh" => Width::Char,
            b"h" => Width::Short,
            b"l" => Width::Long,
            b"z" | b"t" => Width::Size,
            b"ll" | b"j" | b"q" => Width::LongLong,
            _ => Width::Int,
        };
        let conversion = match input.0.split_first() {
            Some((&c @ (b'f' | b'F' | b'e' | b'E' | b'g' | b'G' | b'i'), rest)) => {
                self.0 = rest;
                c
            }
            _ => return None,
        };
        style.upper = conversion.is_ascii_uppercase();
        Some(CSpec { style, width, precision, size, conversion: conversion.to_ascii_lowercase() })
    }

    fn spec<O: Out>(&mut self, args: &mut impl Args<O>) -> Spec {
        let (prefix, left, zero) = (self.skip(b'#'), self.skip(b'-'), self.skip(b'0'));
        let width = self.number();
        let precision = match self.skip(b'.') {
            // A negative precision counts as none, as in C.
            true if self.skip(b'*') => usize::try_from(args.int()).ok(),
            true => Some(self.number()),
            false => None,
        };
        while self.skip(b'h') {}
        let mut size = match (self.skip(b'l'), self.skip(b'l')) {
            (true, true) => Width::LongLong,
            (true, false) => Width::Long,
            _ => Width::Int,
        };
        if self.skip(b'z') {
            size = Width::Size;
        }
        let conversion = self.0.first().copied();
        self.0 = self.0.get(1..).unwrap_or_default();
        Spec { prefix, left, zero, width, precision, size, conversion }
    }
}

/// Writes the text of a number with its `0x` prefix and fill; returns the length.
fn number<O: Out>(out: &mut O, digits: &[u8], spec: &Spec, prefix: bool) -> usize {
    let len = digits.len() + if prefix { 2 } else { 0 };
    let fill = spec.width.saturating_sub(len);
    if !spec.zero && !spec.left {
        out.fill(b' ', fill);
    }
    if prefix {
        out.bytes(b"0x");
    }
    if spec.zero {
        out.fill(b'0', fill);
    }
    out.bytes(digits);
    if !spec.zero && spec.left {
        out.fill(b' ', fill);
    }
    len + fill
}

/// Formats `fmt` with `args` into `out`. Returns the number of characters.
pub(crate) fn format<O: Out>(out: &mut O, fmt: &[u8], args: &mut impl Args<O>) -> usize {
    let mut input = Input(fmt);
    let mut count = 0;
    loop {
        let plain = memchr::memchr(b'%', input.0).unwrap_or(input.0.len());
        out.bytes(&input.0[..plain]);
        count += plain;
        if plain == input.0.len() {
            return count;
        }
        input.0 = &input.0[plain + 1..];
        if let Some(spec) = input.c_spec() {
            count += spec.print(out, args);
            continue;
        }
        let spec = input.spec(args);
        count += match spec.conversion {
            Some(b'd') => number(out, Digits::signed(spec.size.signed(args)).as_bytes(), &spec, spec.prefix),
            Some(c @ (b'u' | b'x' | b'X')) => {
                let base = if c == b'u' { 10 } else { 16 };
                number(out, Digits::of(spec.size.unsigned(args), base).as_bytes(), &spec, spec.prefix)
            }
            Some(b'p') => number(out, Digits::of(args.pointer() as u64, 16).as_bytes(), &spec, true),
            Some(b's') => {
                let s = args.string(spec.precision);
                let len = s.len();
                let fill = spec.width.saturating_sub(spec.precision.unwrap_or(len));
                let pad = if spec.zero { b'0' } else { b' ' };
                if !spec.left {
                    out.fill(pad, fill);
                }
                out.text(s);
                if spec.left {
                    out.fill(pad, fill);
                }
                len + fill
            }
            Some(b'c') => {
                out.bytes(&[args.int() as u8]);
                1
            }
            Some(b'M') => args.print(out),
            Some(b'm') => {
                out.bytes(b"\"");
                let len = args.print(out);
                out.bytes(b"\"");
                len + 2
            }
            Some(b'%') | None => {
                out.bytes(b"%");
                1
            }
            Some(c) => {
                out.bytes(&[b'%', c]);
                2
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variable arguments for tests.
    enum Arg {
        I(c_int),
        L(i64),
        D(f64),
        P(usize),
        S(Option<&'static str>),
        M(&'static [u8]),
    }
    use Arg::*;

    struct List(std::vec::IntoIter<Arg>);

    impl<O: Out> Args<O> for List {
        fn int(&mut self) -> c_int {
            let Some(I(v)) = self.0.next() else { panic!() };
            v
        }
        fn long(&mut self) -> c_long {
            let Some(L(v)) = self.0.next() else { panic!() };
            v as c_long
        }
        fn long_long(&mut self) -> i64 {
            let Some(L(v)) = self.0.next() else { panic!() };
            v
        }
        fn double(&mut self) -> f64 {
            let Some(D(v)) = self.0.next() else { panic!() };
            v
        }
        fn pointer(&mut self) -> usize {
            let Some(P(v)) = self.0.next() else { panic!() };
            v
        }
        fn string(&mut self, max: Option<usize>) -> Text<'_> {
            let Some(S(v)) = self.0.next() else { panic!() };
            let s = v.unwrap_or_default().as_bytes();
            Text::of(&s[..s.len().min(max.unwrap_or(usize::MAX))])
        }
        fn print(&mut self, out: &mut O) -> usize {
            let Some(M(v)) = self.0.next() else { panic!() };
            out.bytes(v);
            v.len()
        }
    }

    #[track_caller]
    fn check(fmt: &str, args: Vec<Arg>, want: &str) {
        let mut out = Vec::new();
        let n = format(&mut out, fmt.as_bytes(), &mut List(args.into_iter()));
        assert_eq!(String::from_utf8_lossy(&out), want);
        assert_eq!(n, out.len());
    }

    #[test]
    fn numbers() {
        check("%d|%5d|%-5d|%05d", vec![I(-1), I(-12), I(-12), I(-12)], "-1|  -12|-12  |00-12");
        check("%#x %#8x %#-8x| %#08X", vec![I(255), I(255), I(255), I(255)], "0xff     0xff 0xff    | 0x0000ff");
        check("%ld %lld %zd", vec![L(-1), L(i64::MIN), L(7)], "-1 -9223372036854775808 7");
        check("%lu %llu %zu", vec![L(-1), L(-1), L(i64::MIN)], "18446744073709551615 18446744073709551615 9223372036854775808");
        check("%hhd %hx", vec![I(1000), I(-1)], "1000 ffffffff");
        check("%p %p", vec![P(0), P(0xbeef)], "0x0 0xbeef");
        check("%-05d|%5.3d", vec![I(7), I(7)], "00007|    7");
    }

    #[test]
    fn strings() {
        check("%s|%5s|%-5s|", vec![S(Some("ab")), S(Some("ab")), S(Some("ab"))], "ab|   ab|ab   |");
        check("%s|%3s|%.2s|", vec![S(None), S(None), S(None)], "|   ||");
        check("%.*s|%8.*s|", vec![I(2), S(Some("abc")), I(0), S(Some("abc"))], "ab|        |");
        check("%10.5s|%05s", vec![S(Some("ab")), S(Some("ab"))], "     ab|000ab");
        check("%.*s|%4.*s", vec![I(-1), S(Some("abc")), I(c_int::MIN), S(Some("abc"))], "abc| abc");
    }

    #[test]
    fn printers() {
        check("a%Mb%mc", vec![M(b"1"), M(b"22")], "a1b\"22\"c");
    }

    #[test]
    fn odd_formats() {
        check("%", vec![], "%");
        check("a%l", vec![], "a%");
        check("%-08.3hhllz", vec![], "%");
        check("%%%5%", vec![], "%%");
        check("%k%5.2llq%zl%+d% d%+s", vec![], "%k%q%l%+d% d%+s");
        check("%.*k", vec![I(3)], "%k");
        check("%5c", vec![I(0)], "\0");
        check("%-f", vec![D(1.5)], "1.500000");
        check("%Lf %n", vec![], "%Lf %n");
    }

    /// The values are tested in `float_and_c`.
    #[test]
    fn c_conversions() {
        check(
            "%i|%+i|% i|%05i|%-5i|%.3i|%5.3i|%#i",
            vec![I(7), I(7), I(7), I(-12), I(3), I(-5), I(5), I(9)],
            "7|+7| 7|-0012|3    |-005|  005|9",
        );
        check(
            "%hhi %hi %li %lli %zi %ji %ti",
            vec![I(1000), I(70000), L(-1), L(i64::MIN), L(7), L(8), L(9)],
            "-24 4464 -1 -9223372036854775808 7 8 9",
        );
        check("%*i|%-*i|%*i|%.*i", vec![I(4), I(1), I(4), I(2), I(-4), I(3), I(3), I(4)], "   1|2   |3   |004");
        check(
            "%+.2f|% 8.1f|%-8.1f|%08.1f|%#.0f|%lf",
            vec![D(1.0), D(2.0), D(3.0), D(-4.0), D(5.0), D(0.5)],
            "+1.00|     2.0|3.0     |-00004.0|5.|0.500000",
        );
        check(
            "%*.*f|%-+*.*e|%.*g",
            vec![I(8), I(2), D(0.087), I(12), I(1), D(1234.0), I(-1), D(0.1)],
            "    0.09|+1.2e+03    |0.1",
        );
        check(
            "%F %E %G %010f",
            vec![D(f64::INFINITY), D(1e-7), D(1e-7), D(f64::NEG_INFINITY)],
            "INF 1.000000E-07 1E-07       -inf",
        );
    }
}

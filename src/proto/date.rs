//! Calendar dates.
/// Seconds since 1970 of a UTC date in the Gregorian calendar; 0 for years before 1970. Out-of-range values (month 13, day 0,
/// minute 60) carry over.
pub(crate) fn unix_time(year: u32, month: u32, day: u32, hour: u32, min: u32, sec: u32) -> u64 {
    if year < 1970 {
        return 0;
    }
    // Counts months from March: the leap day comes last and the lengths repeat every five months.
    let months = i64::from(year) * 12 + i64::from(month) - 3;
    let (y, m) = (months.div_euclid(12), months.rem_euclid(12));
    let leap_days = y / 4 - y / 100 + y / 400;
    const TO_1970: i64 = 719_469;
    let days = y * 365 + leap_days + (m * 153 + 2) / 5 + i64::from(day) - TO_1970;
    let minutes = (days * 24 + i64::from(hour)) * 60 + i64::from(min);
    (minutes * 60 + i64::from(sec)).try_into().unwrap_or(0)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// End of the year 9999, the last that HTTP dates can express.
const LAST: i64 = 253_402_300_799;

/// An HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`. None before 1970 and after 9999.
pub(crate) fn http(time: i64) -> Option<[u8; 29]> {
    if !(0..=LAST).contains(&time) {
        return None;
    }
    let (days, seconds) = (time / 86400, time % 86400);
    // Years from March, in eras of 400 years with 146,097 days each.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year + i64::from(month > 9), (month + 2) % 12);
    let (name, month) = (&DAYS[(days + 4) as usize % 7][..3], MONTHS[month as usize]);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let two = |n: i64| [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
    let mut text = *b"Sun, 06 Nov 1994 08:49:37 GMT";
    text[..3].copy_from_slice(name.as_bytes());
    text[8..11].copy_from_slice(month.as_bytes());
    for (at, n) in [(5, date), (12, year / 100), (14, year), (17, hour), (20, minute), (23, second)] {
        text[at..at + 2].copy_from_slice(&two(n));
    }
    Some(text)
}

/// Parses an HTTP date in any of its three forms (RFC 9110, 5.6.7); dates before 1970 count as 1970. None if malformed.
pub(crate) fn parse_http(text: &[u8]) -> Option<i64> {
    let text = core::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let is_day = |name: &str, len: usize| DAYS.iter().any(|d| name.eq_ignore_ascii_case(d.get(..len).unwrap_or(d)));
    let (date, month, year, clock) = if let Some((day, rest)) = text.split_once(", ") {
        let mut parts = rest.strip_suffix(" GMT")?.split(' ');
        let (first, second) = (parts.next()?, parts.next()?);
        if let Some((date, rest)) = first.split_once('-') {
            // Sunday, 06-Nov-94 08:49:37 GMT
            let (month, year) = rest.split_once('-')?;
            let year = digits(year, 2)?;
            let clock = second;
            (is_day(day, 9) && parts.next().is_none()).then_some((
                digits(date, 2)?,
                month,
                if year < 70 { 2000 } else { 1900 } + year,
                clock,
            ))?
        } else {
            // Sun, 06 Nov 1994 08:49:37 GMT
            let (year, clock) = (digits(parts.next()?, 4)?, parts.next()?);
            (is_day(day, 3) && parts.next().is_none()).then_some((digits(first, 2)?, second, year, clock))?
        }
    } else {
        // Sun Nov  6 08:49:37 1994
        let mut parts = text.split(' ').filter(|p| !p.is_empty());
        let (day, month, date, clock) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let year = digits(parts.next()?, 4)?;
        (is_day(day, 3) && parts.next().is_none()).then_some((digits(date, date.len().min(2))?, month, year, clock))?
    };
    let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(month))? as u32 + 1;
    let mut clock = clock.split(':');
    let (hour, minute, second) = (digits(clock.next()?, 2)?, digits(clock.next()?, 2)?, digits(clock.next()?, 2)?);
    let leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
    let length = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let good = (1..=length).contains(&date) && hour < 24 && minute < 60 && second <= 60 && clock.next().is_none();
    good.then(|| unix_time(year, month, date, hour, minute, second) as i64)
}

/// A number of exactly this many digits.
fn digits(text: &str, len: usize) -> Option<u32> {
    (text.len() == len && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn http_dates() {
        const WANT: Option<i64> = Some(784_111_777);
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sun nov 06 08:49:37 1994",
        ] {
            assert_eq!(parse_http(text.as_bytes()), WANT, "{text}");
        }
        assert_eq!(http(784_111_777).as_ref(), Some(b"Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(http(1_700_000_000).as_ref(), Some(b"Tue, 14 Nov 2023 22:13:20 GMT"));
        assert_eq!(http(0).as_ref(), Some(b"Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(http(LAST).as_ref(), Some(b"Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(http(951_827_401).as_ref(), Some(b"Tue, 29 Feb 2000 12:30:01 GMT"));
        assert_eq!((http(-1), http(LAST + 1)), (None, None));
        assert_eq!(parse_http(b"Sunday, 06-Nov-69 08:49:37 GMT"), parse_http(b"Wed, 06 Nov 2069 08:49:37 GMT"));
        assert_eq!(parse_http(b"Sat, 31 Dec 2016 23:59:60 GMT"), parse_http(b"Sun, 01 Jan 2017 00:00:00 GMT"));
        assert_eq!(parse_http(b"Friday, 02-Jan-70 00:00:00 GMT"), Some(86400));
        for (month, days) in MONTHS.iter().zip([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
            assert!(parse_http(format!("Sun, {days} {month} 2023 00:00:00 GMT").as_bytes()).is_some(), "{month}");
            assert!(parse_http(format!("Sun, {} {month} 2023 00:00:00 GMT", days + 1).as_bytes()).is_none(), "{month}");
        }
        assert_eq!(parse_http(b"Mon, 01 Jan 1601 00:00:00 GMT"), Some(0));
    }

    #[test]
    fn invalid_dates_are_refused() {
        for text in [
            "",
            "0",
            "1700000000",
            "yesterday",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 31 Feb 2020 08:49:37 GMT",
            "Sun, 29 Feb 2100 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nox 1994 08:49:37 GMT",
            "Sux, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun Nov 006 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 06 Nov 1994 +8:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994 GMT",
            "\u{fffd}, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_http(b"\xff, 06 Nov 1994 08:49:37 GMT"), None);
    }

    #[test]
    fn every_day_of_an_era() {
        for day in (0..146_097).map(|n| n * 86400 + n % 86400) {
            assert_eq!(parse_http(&http(day).unwrap()), Some(day));
        }
    }

    proptest! {
        #[test]
        fn formatted_dates_parse_back(time in 0..=LAST) {
            prop_assert_eq!(parse_http(&http(time).unwrap()), Some(time));
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_http(&text);
        }
    }

    #[test]
    fn days() {
        assert_eq!(unix_time(1970, 1, 1, 0, 0, 0), 0);
        assert_eq!(unix_time(2000, 2, 29, 12, 30, 1), 951_827_401);
        assert_eq!(unix_time(2000, 3, 1, 0, 0, 0) - unix_time(2000, 2, 29, 0, 0, 0), 86400);
        assert_eq!(unix_time(2100, 3, 1, 0, 0, 0) - unix_time(2100, 2, 28, 0, 0, 0), 86400);
    }

    #[test]
    fn numbers_out_of_range() {
        assert_eq!(unix_time(2023, 13, 1, 0, 0, 0), unix_time(2024, 1, 1, 0, 0, 0));
        assert_eq!(unix_time(2023, 0, 1, 0, 0, 0), unix_time(2022, 12, 1, 0, 0, 0));
        assert_eq!(unix_time(1970, 0, 0, 0, 0, 0), 0);
        let max = u32::MAX;
        unix_time(max, max, max, max, max, max);
    }
}

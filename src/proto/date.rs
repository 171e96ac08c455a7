//! Calendar dates.

/// Seconds since 1970 of a moment in UTC, in the Gregorian calendar; 0 for years before 1970. Numbers out of their range
/// (month 13, day 0, minute 60) count on into the next or previous unit.
pub(crate) fn unix_time(year: u32, month: u32, day: u32, hour: u32, min: u32, sec: u32) -> u64 {
    if year < 1970 {
        return 0;
    }
    // Months are counted from March, so that a leap day comes last and the lengths repeat every five months.
    let months = i64::from(year) * 12 + i64::from(month) - 3;
    let (y, m) = (months.div_euclid(12), months.rem_euclid(12));
    let leap_days = y / 4 - y / 100 + y / 400;
    const TO_1970: i64 = 719_469;
    let days = y * 365 + leap_days + (m * 153 + 2) / 5 + i64::from(day) - TO_1970;
    let minutes = (days * 24 + i64::from(hour)) * 60 + i64::from(min);
    (minutes * 60 + i64::from(sec)).try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::unix_time;

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

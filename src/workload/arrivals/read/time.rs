//! Times in text, read to the nanosecond and without a detour over `f64`.

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;
/// Months as access logs write them.
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads a decimal number of units and returns nanoseconds; what is finer than a nanosecond is cut off.
pub fn decimal_ns(text: &str, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return exponent_ns(text, unit_ns);
    }
    let mut part_ns = 0;
    let mut digit_ns = unit_ns;
    for digit in fraction.bytes() {
        digit_ns /= 10;
        part_ns += u64::from(digit - b'0') * digit_ns;
    }
    whole.parse::<u64>().ok()?.checked_mul(unit_ns)?.checked_add(part_ns)
}

/// Reads what has an exponent, like `1.5e3`, as other tools write it.
fn exponent_ns(text: &str, unit_ns: u64) -> Option<u64> {
    let time = text.parse::<f64>().ok()? * unit_ns as f64;
    (time.is_finite() && (0.0..1.8e19).contains(&time)).then_some(time.round() as u64)
}

/// A date and a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Nanoseconds since 1970, of UTC or of a clock that shows no zone.
    pub ns: i64,
    /// Whether the offset from UTC is told.
    pub has_zone: bool,
}

/// Returns the time of a line that holds nothing else, or has it in its first brackets as access logs do.
pub fn line_time(line: &str) -> Option<Moment> {
    let in_brackets = || line.split_once('[')?.1.split_once(']').map(|(inside, _)| inside);
    moment(line).or_else(|| moment(in_brackets()?))
}

/// Reads a date and a time: ISO 8601 with `T` or a space between them (`2023-11-16 18:17:03.97996+01:00`; seconds may be absent,
/// and `/` may stand for `-`), or as access logs have it (`16/Nov/2023:18:17:03 +0100`).
///
/// Days and months of two digits in another order could mean two dates, so they are not read.
pub fn moment(text: &str) -> Option<Moment> {
    let (day, rest) =
        text.split_at_checked(10).and_then(iso_date).or_else(|| text.split_at_checked(11).and_then(log_date))?;
    let (clock, offset_s) = without_offset(rest)?;
    let to_the_minute = || fields(clock, ':').map(|[hour, minute]| [hour, minute, 0]);
    let (whole, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    let [hour, minute, second] = fields(whole, ':').or_else(to_the_minute)?;
    // A leap second is the first second of the next minute.
    let is_sound = hour < 24 && minute < 60 && second <= 60 && !fraction.is_empty() && is_digits(fraction);
    let part_ns = i64::try_from(decimal_ns(&format!("0.{fraction}"), SECOND_NS)?).ok()?;
    let seconds = day * 86_400 + hour * 3600 + minute * 60 + second - offset_s.unwrap_or(0);
    let ns = seconds.checked_mul(SECOND_NS as i64)?.checked_add(part_ns)?;
    is_sound.then_some(Moment { ns, has_zone: offset_s.is_some() })
}

/// Returns the days since 1970, and what follows the letter or space behind the date.
fn iso_date<'a>((date, rest): (&str, &'a str)) -> Option<(i64, &'a str)> {
    let [year, month, day] =
        fields(date, '-').or_else(|| fields(date, '/')).filter(|_| date.as_bytes()[4].is_ascii_punctuation())?;
    Some((days_since_1970(year, month, day)?, rest.strip_prefix(['T', 't', ' '])?))
}

/// As [`iso_date`], of `16/Nov/2023`.
fn log_date<'a>((date, rest): (&str, &'a str)) -> Option<(i64, &'a str)> {
    let [day, name, year] = date.split('/').collect::<Vec<_>>().try_into().ok()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    let [day, year] = fields(&format!("{day}/{year}"), '/')?;
    Some((days_since_1970(year, month, day)?, rest.strip_prefix(':')?))
}

/// Splits the offset from UTC off a time, in seconds; `None` in its place where there is none.
fn without_offset(time: &str) -> Option<(&str, Option<i64>)> {
    for utc in ["Z", "z", " UTC", " GMT"] {
        if let Some(clock) = time.strip_suffix(utc) {
            return Some((clock, Some(0)));
        }
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, None)) };
    let (sign, offset) = (if time[at..].starts_with('-') { -1 } else { 1 }, time[at + 1..].replace(':', ""));
    let (hours, minutes) = match offset.len() {
        2 | 4 if is_digits(&offset) => offset.split_at(2),
        _ => return None,
    };
    let (hours, minutes) = (hours.parse::<i64>().ok()?, minutes.parse::<i64>().unwrap_or(0));
    (hours < 24 && minutes < 60).then_some((time[..at].trim_end(), Some(sign * (hours * 3600 + minutes * 60))))
}

/// Reads exactly `N` numbers of digits only.
fn fields<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(between);
    for number in &mut numbers {
        let part = parts.next().filter(|part| (1..=4).contains(&part.len()) && is_digits(part))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts days in the Gregorian calendar, in years that begin in March so that the leap day comes last; `None` where the
/// calendar has no such day.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=days_in(month, year)).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_month = (153 * month + 2) / 5;
    // 719,468 days lie between 1 March of the year 0 and 1 January 1970; years are never negative here but for year 0.
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(365 * year + leap_days + before_month + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::{Moment, decimal_ns, line_time, moment};

    #[test]
    fn decimals_are_exact() {
        struct Case {
            text: &'static str,
            unit_ns: u64,
            ns: Option<u64>,
        }
        let cases = [
            Case { text: "346175", unit_ns: 1_000_000, ns: Some(346_175_000_000) },
            Case { text: "0.1", unit_ns: 1_000_000_000, ns: Some(100_000_000) },
            Case { text: "1700000000.123456789", unit_ns: 1_000_000_000, ns: Some(1_700_000_000_123_456_789) },
            Case { text: "1.5e3", unit_ns: 1_000, ns: Some(1_500_000) },
            Case { text: "7.999", unit_ns: 1, ns: Some(7) },
            Case { text: "-1", unit_ns: 1, ns: None },
            Case { text: "NaN", unit_ns: 1, ns: None },
            Case { text: "1e300", unit_ns: 1, ns: None },
            Case { text: "", unit_ns: 1, ns: None },
            Case { text: "99999999999999999999", unit_ns: 1, ns: None },
            Case { text: "18446744073709551615", unit_ns: 1_000, ns: None },
        ];
        for case in cases {
            assert_eq!(decimal_ns(case.text, case.unit_ns), case.ns, "{}", case.text);
        }
    }

    #[test]
    fn dates_count_from_1970() {
        struct Case {
            text: &'static str,
            seconds: Option<i64>,
        }
        let cases = [
            Case { text: "1970-01-01 00:00:00", seconds: Some(0) },
            Case { text: "2023-11-16T18:17:03Z", seconds: Some(1_700_158_623) },
            Case { text: "2023-11-16 18:17:03+01:00", seconds: Some(1_700_155_023) },
            Case { text: "2023-11-16 18:17:03-00:30", seconds: Some(1_700_160_423) },
            Case { text: "2024-02-29 00:00:00", seconds: Some(1_709_164_800) },
            Case { text: "2000-03-01 00:00:00.000", seconds: Some(951_868_800) },
            Case { text: "2023/11/16 18:17", seconds: Some(1_700_158_620) },
            Case { text: "2023-11-16 18:17:03 +0100", seconds: Some(1_700_155_023) },
            Case { text: "2023-11-16 18:17:03 UTC", seconds: Some(1_700_158_623) },
            Case { text: "16/Nov/2023:18:17:03 +0100", seconds: Some(1_700_155_023) },
            Case { text: "16/11/2023 18:17:03", seconds: None },
            Case { text: "16/Nov/2023 18:17:03", seconds: None },
            Case { text: "1/2/2023/1 18:17", seconds: None },
            Case { text: "9999-01-01 00:00:00", seconds: None },
            Case { text: "2023-11-16 18:17:03+1", seconds: None },
            Case { text: "2023-02-29 00:00:00", seconds: None },
            Case { text: "2023-13-01 00:00:00", seconds: None },
            Case { text: "2023-11-16 24:00:00", seconds: None },
            Case { text: "2023-11-16", seconds: None },
            Case { text: "2023-11-16 18:17:03.", seconds: None },
            Case { text: "2023-11-16 18:17:03.5x", seconds: None },
            Case { text: "ääääääääää", seconds: None },
        ];
        for case in cases {
            let wanted = case.seconds.map(|seconds| seconds * 1_000_000_000);
            assert_eq!(moment(case.text).map(|moment| moment.ns), wanted, "{}", case.text);
        }
        assert_eq!(moment("1970-01-01 00:00:03.9799600"), Some(Moment { ns: 3_979_960_000, has_zone: false }));
        assert_eq!(moment("1970-01-01 00:00:03,979Z"), Some(Moment { ns: 3_979_000_000, has_zone: true }));
    }

    #[test]
    fn a_line_is_a_time_or_has_one_in_brackets() {
        let log = r#"203.0.113.9 - - [16/Nov/2023:18:17:03 +0000] "GET /v2 HTTP/1.1" 200 17"#;
        for line in ["2023-11-16 18:17:03,979", log, "[2023-11-16T18:17:03Z] predict"] {
            assert!(line_time(line).is_some(), "{line}");
        }
        for line in ["", "17", "[17]", "2023-11-16 18:17:03,979 INFO predict"] {
            assert!(line_time(line).is_none(), "{line}");
        }
    }
}

//! Times in text, read to the nanosecond and without a detour over `f64`.

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

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

/// Reads a date and a time as RFC 3339 has them and returns nanoseconds since 1970.
///
/// Between the two stands `T` or a space. The offset (`Z`, `+02:00`) may be absent; all lines are then taken to share one.
pub fn date_time_ns(text: &str) -> Option<i128> {
    let (date, rest) = text.split_at_checked(10)?;
    let time = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset_s) = without_offset(time)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [year, month, day] = fields::<3>(date, '-')?;
    let [hour, minute, second] = fields::<3>(clock, ':')?;
    // A leap second is the first second of the next minute.
    let is_sound = (1..=12).contains(&month)
        && (1..=days_in(month, year)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && !fraction.is_empty()
        && is_digits(fraction);
    if !is_sound {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_s;
    Some(i128::from(seconds) * i128::from(SECOND_NS) + i128::from(decimal_ns(&format!("0.{fraction}"), SECOND_NS)?))
}

/// Splits the offset from UTC off a time, in seconds.
fn without_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let [hours, minutes] = fields::<2>(&time[at + 1..], ':')?;
    let seconds = hours * 3600 + minutes * 60;
    (hours < 24 && minutes < 60).then_some((&time[..at], if time[at..].starts_with('-') { -seconds } else { seconds }))
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

/// Counts days in the Gregorian calendar, in years that begin in March so that the leap day comes last.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_month = (153 * month + 2) / 5;
    // 719,468 days lie between 1 March of the year 0 and 1 January 1970; years are never negative here but for year 0.
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + before_month + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::{date_time_ns, decimal_ns};

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
            seconds: Option<i128>,
        }
        let cases = [
            Case { text: "1970-01-01 00:00:00", seconds: Some(0) },
            Case { text: "2023-11-16T18:17:03Z", seconds: Some(1_700_158_623) },
            Case { text: "2023-11-16 18:17:03+01:00", seconds: Some(1_700_155_023) },
            Case { text: "2023-11-16 18:17:03-00:30", seconds: Some(1_700_160_423) },
            Case { text: "2024-02-29 00:00:00", seconds: Some(1_709_164_800) },
            Case { text: "2000-03-01 00:00:00.000", seconds: Some(951_868_800) },
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
            assert_eq!(date_time_ns(case.text), wanted, "{}", case.text);
        }
        assert_eq!(date_time_ns("1970-01-01 00:00:03.9799600"), Some(3_979_960_000));
    }
}

//! Text → zone and timing. Every complaint names the field, what it holds and what is allowed there.

use std::time::Duration;

use chrono_tz::Tz;

use super::{DayRule, Fields, Pace, ScheduleError, Timing};

/// One of the five fields: its name, its limits, the names of its values.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// `names[i]` stands for `least + i`.
    names: &'static [&'static str],
    allowed: &'static str,
}

const MINUTE: Field = Field {
    name: "minute",
    least: 0,
    most: 59,
    names: &[],
    allowed: "0 to 59, *, ranges (1-5), steps (*/5) and lists (1,2) are allowed",
};
const HOUR: Field = Field {
    name: "hour",
    least: 0,
    most: 23,
    names: &[],
    allowed: "0 to 23, *, ranges (9-17), steps (*/2) and lists (1,2) are allowed",
};
const DAY: Field = Field {
    name: "day of month",
    least: 1,
    most: 31,
    names: &[],
    allowed: "1 to 31, *, ?, ranges (1-15), steps (*/2) and lists (1,15) are allowed",
};
const MONTH: Field = Field {
    name: "month",
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    allowed: "1 to 12, jan to dec, *, ranges (jan-mar), steps (*/3) and lists (1,7) are allowed",
};
const WEEKDAY: Field = Field {
    name: "day of week",
    least: 0,
    most: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    allowed: "0 to 7 (0 and 7 are Sunday), sun to sat, *, ?, ranges (mon-fri), steps and lists are allowed",
};
/// The other number of Sunday.
const SUNDAY_AGAIN: u32 = 7;

/// A field's values, and what form they were given in.
struct Values {
    bits: u64,
    /// Holds `*` or `?` with no step: no restriction.
    any: bool,
    /// Holds `*` or `?`, with or without a step.
    star: bool,
}

pub(super) fn schedule(text: &str) -> Result<(Tz, Timing), ScheduleError> {
    let (zone, text) = zone(text)?;
    let timing = match text.strip_prefix('@') {
        Some(name) => named(name)?,
        None => Timing::Fields(fields(text)?),
    };
    Ok((zone, timing))
}

fn zone(text: &str) -> Result<(Tz, &str), ScheduleError> {
    let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else {
        return Ok((Tz::UTC, text));
    };
    let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match name.parse() {
        Ok(zone) => Ok((zone, rest.trim_start())),
        Err(_) => Err(ScheduleError::Zone { found: shown(name) }),
    }
}

fn named(name: &str) -> Result<Timing, ScheduleError> {
    let lower = name.to_ascii_lowercase();
    if let Some(period) = lower.strip_prefix("every").filter(|rest| rest.starts_with(char::is_whitespace)) {
        return every(period.trim());
    }
    let expression = match lower.as_str() {
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        "every" => return every(""),
        _ => return Err(ScheduleError::Macro { found: shown(&format!("@{name}")) }),
    };
    fields(expression).map(Timing::Fields)
}

fn every(text: &str) -> Result<Timing, ScheduleError> {
    let period = duration(text).map_err(|problem| ScheduleError::Every { found: shown(text), problem })?;
    // Below a second there is nothing to aim at: the shortest period is a second.
    Ok(Timing::Every(Duration::from_secs(period.as_secs().max(1))))
}

/// A duration as Go writes it: decimal numbers with units, one after the other, e.g. `1h30m`, `1.5h`.
fn duration(text: &str) -> Result<Duration, &'static str> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("μs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3_600.0),
    ];
    /// A century: nobody waits longer for a job.
    const MOST: f64 = 100.0 * 365.25 * 86_400.0;
    let mut rest = text;
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err("it is missing");
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or("a number lacks its unit")?;
        let number: f64 = rest[..digits].parse().map_err(|_| "it is no duration")?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = UNITS.iter().find(|(name, _)| *name == &rest[..letters]);
        seconds += number * unit.ok_or("a unit is not one of h, m, s, ms, us, ns")?.1;
        rest = &rest[letters..];
    }
    if seconds <= 0.0 || seconds > MOST {
        return Err("it must be more than 0 and less than a century");
    }
    // Decimal fractions like 0.1h must not lose a second to binary ones.
    Ok(Duration::from_secs_f64(seconds + 1e-9))
}

fn fields(text: &str) -> Result<Fields, ScheduleError> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = parts[..] else {
        return Err(match parts.len() {
            0 => ScheduleError::Empty,
            found => ScheduleError::FieldCount {
                found,
                hint: if found == 6 { " (there is no field for seconds)" } else { "" },
            },
        });
    };
    let (minutes, hours) = (values(minute, &MINUTE)?, values(hour, &HOUR)?);
    let (days, months, weekdays) = (values(day, &DAY)?, values(month, &MONTH)?, values(weekday, &WEEKDAY)?);
    Ok(Fields {
        minutes: minutes.bits,
        hours: hours.bits,
        days: days.bits,
        months: months.bits,
        weekdays: weekdays.bits,
        days_matched: if days.any || weekdays.any { DayRule::Both } else { DayRule::Either },
        pace: if minutes.star || hours.star { Pace::Running } else { Pace::Fixed },
    })
}

fn values(text: &str, field: &Field) -> Result<Values, ScheduleError> {
    let mut values = Values { bits: 0, any: false, star: false };
    for part in text.split(',') {
        add(part, field, &mut values).map_err(|problem| ScheduleError::Field {
            field: field.name,
            found: shown(text),
            problem,
            allowed: field.allowed,
        })?;
    }
    Ok(values)
}

/// Adds one member of a list: `range[/step]`.
fn add(part: &str, field: &Field, values: &mut Values) -> Result<(), String> {
    let (range, step) = match part.split_once('/') {
        None => (part, None),
        Some((range, step)) => {
            let parsed = step.parse::<u32>().ok().filter(|step| *step > 0);
            (
                range,
                Some(parsed.ok_or_else(|| format!("'{}' is no step, which must be 1 or more", shown(step)))?),
            )
        }
    };
    let (from, to) = if range == "*" || range == "?" {
        values.star = true;
        values.any |= step.is_none_or(|step| step == 1);
        (field.least, field.most)
    } else if let Some((from, to)) = range.split_once('-') {
        bounds(from, to, field)?
    } else {
        let from = field.value(range)?;
        (from, if step.is_some() { field.most.max(from) } else { from })
    };
    for value in (from..=to).step_by(step.unwrap_or(1) as usize) {
        let folded = if value == SUNDAY_AGAIN && field.most < SUNDAY_AGAIN { 0 } else { value };
        values.bits |= 1 << folded;
    }
    Ok(())
}

fn bounds(from: &str, to: &str, field: &Field) -> Result<(u32, u32), String> {
    let (first, mut last) = (field.value(from)?, field.value(to)?);
    // A week may end on its Sunday.
    if last == 0 && first > 0 && field.most < SUNDAY_AGAIN {
        last = SUNDAY_AGAIN;
    }
    if first > last {
        return Err(format!("the range {from}-{to} ends before it begins"));
    }
    Ok((first, last))
}

// === impl Field ===

impl Field {
    fn value(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(index) = self.names.iter().position(|name| *name == lower) {
            return Ok(self.least + u32::try_from(index).unwrap_or(0));
        }
        let most = if self.most < SUNDAY_AGAIN { SUNDAY_AGAIN } else { self.most };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u32>() {
            Ok(value) if digits && (self.least..=most).contains(&value) => Ok(value),
            Ok(value) if digits => Err(format!("{value} is out of range")),
            _ => Err(format!("'{}' is no value", shown(text))),
        }
    }
}

/// What users gave, fit for an error text.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().count() > MOST {
        shown.push('…');
    }
    shown
}

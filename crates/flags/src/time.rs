use std::time::Duration;

/// A number with a unit: ms, s, m or h; seconds without one.
///
/// # Errors
/// It is something else.
pub fn time(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().map_err(|_| "write a number and a unit, such as 500ms, 2s or 5m")?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        other => Err(format!("unknown unit {other:?}: ms, s, m or h")),
    }
}

#[test]
fn times_have_units() {
    let table = [("500ms", 500), ("2s", 2000), ("2", 2000), ("5m", 300_000), ("1h", 3_600_000), ("0s", 0)];
    for (text, ms) in table {
        assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    for text in ["", "s", "1d", "-1s", "1.5s"] {
        assert!(time(text).is_err(), "{text}");
    }
}

//! Medians, spreads and percentiles.

/// The middle of some values, and how far the middle half of them reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The lower quartile.
    pub low: f64,
    /// The upper quartile.
    pub high: f64,
}

impl Summary {
    /// Of any number of values; `None` of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| -> f64 {
            let place = share * (values.len() - 1) as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        (!values.is_empty()).then(|| Self { median: at(0.5), low: at(0.25), high: at(0.75) })
    }

    /// Half the distance between the quartiles, in percent of the median.
    pub fn spread_percent(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.high - self.low) / 2.0 / self.median * 100.0 }
    }
}

/// The value below which `share` (0 to 1) of the samples are; reorders them.
pub fn percentile(samples: &mut [u32], share: f64) -> Option<u32> {
    let place = ((samples.len().checked_sub(1)?) as f64 * share).round() as usize;
    Some(*samples.select_nth_unstable(place).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_middle_and_its_quartiles() {
        let summary = Summary::of([5.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!((summary.low, summary.median, summary.high), (2.0, 3.0, 4.0));
        let summary = Summary::of([1.0, 2.0]).unwrap();
        assert_eq!((summary.low, summary.median, summary.high), (1.25, 1.5, 1.75));
        assert_eq!(Summary::of([f64::NAN]), None);
    }

    #[test]
    fn a_spread_is_relative() {
        let summary = Summary { median: 10.0, low: 9.0, high: 11.0 };
        assert_eq!(summary.spread_percent(), 10.0);
    }

    #[test]
    fn percentiles_are_samples() {
        let mut samples: Vec<u32> = (0..=100).rev().collect();
        assert_eq!(percentile(&mut samples, 0.5), Some(50));
        assert_eq!(percentile(&mut samples, 0.99), Some(99));
        assert_eq!(percentile(&mut [], 0.5), None);
    }
}

//! Medians and percentiles of what was measured.

/// The middle of the values; of an even number the mean of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// Interpolated between the neighbours; `NaN` without values.
pub(crate) fn percentile(values: &[f64], fraction: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = fraction * last as f64;
    let low = place.floor();
    let (below, above) = (sorted[low as usize], sorted[place.ceil() as usize]);
    below + (above - below) * (place - low)
}

/// One ratio per round, so that what slows a whole round down cancels out; their median.
pub(crate) fn paired_ratio(values: &[f64], against: &[f64]) -> f64 {
    let ratios: Vec<f64> = values.iter().zip(against).map(|(value, base)| value / base).collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(percentile(&[0.0, 10.0], 0.9), 9.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The second round ran on a machine twice as slow.
        assert_eq!(paired_ratio(&[1.0, 2.0, 1.5], &[2.0, 4.0, 3.0]), 0.5);
    }
}

//! When requests are sent: decided before the first one, so that no reply can change it.

/// How arrivals are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Independent callers: exponential gaps, from a fixed seed.
    Poisson,
    /// Equal gaps.
    Even,
}

/// The intended times of the requests, in nanoseconds from the start; they only grow.
pub struct Arrivals {
    gap_ns: f64,
    spread: Spread,
    random: SplitMix,
    next_ns: f64,
}

impl Arrivals {
    /// `rate` is in requests a second.
    pub fn new(rate: f64, spread: Spread, seed: u64) -> Self {
        Self { gap_ns: 1e9 / rate, spread, random: SplitMix(seed), next_ns: 0.0 }
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let at = self.next_ns;
        let gaps = match self.spread {
            Spread::Even => 1.0,
            Spread::Poisson => -(1.0 - self.random.unit()).ln(),
        };
        self.next_ns += gaps * self.gap_ns;
        Some(at as u64)
    }
}

/// Sebastiano Vigna's splitmix64: the same arrivals in every run.
struct SplitMix(u64);

impl SplitMix {
    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_arrivals_keep_their_gap() {
        let times: Vec<u64> = Arrivals::new(1_000.0, Spread::Even, 1).take(4).collect();
        assert_eq!(times, [0, 1_000_000, 2_000_000, 3_000_000]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_variance_of_independent_callers() {
        let times: Vec<u64> = Arrivals::new(10_000.0, Spread::Poisson, 1).take(200_001).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean / 100_000.0 - 1.0).abs() < 0.01, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{variance}");
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals() {
        let times = |seed| Arrivals::new(50.0, Spread::Poisson, seed).take(9).collect::<Vec<_>>();
        assert_eq!(times(3), times(3));
        assert_ne!(times(3), times(4));
    }
}

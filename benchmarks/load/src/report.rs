//! What is known of the calls: latencies from the intended time, ends by grpc-status, lateness of our own.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::call::End;

const MOST_NS: u64 = 600_000_000_000;
const DIGITS: u8 = 3;

/// Percentiles in microseconds.
#[derive(Debug, Serialize)]
pub struct Percentiles {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// The calls of the measured time.
pub struct Tally {
    latencies: Histogram<u64>,
    lateness: Histogram<u64>,
    ends: BTreeMap<String, u64>,
    replies: Option<Vec<u8>>,
}

/// The result, as it is printed.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Seconds in which the measured calls were meant to be sent.
    pub seconds: f64,
    /// Calls a second that were asked for; absent in a closed loop.
    pub rate: Option<f64>,
    /// Measured calls.
    pub sent: u64,
    /// Calls a second that ended with status 0 until the last one had ended.
    pub achieved_rate: f64,
    /// Calls by grpc-status, by what broke them, and those still without an answer at the end.
    pub ends: BTreeMap<String, u64>,
    /// From the time at which a call was meant to be sent until its end, of all calls, errors too.
    pub latency_us: Percentiles,
    /// How late calls were sent: when this is large the load generator, not the server, was slow. Absent in a
    /// closed loop, which has no time to be late for.
    pub lateness_us: Option<Percentiles>,
}

impl Tally {
    /// `keep` the replies, see `replies`.
    pub fn new(keep: bool) -> Result<Self, String> {
        let histogram = || Histogram::new_with_bounds(1, MOST_NS, DIGITS).map_err(|error| error.to_string());
        Ok(Self {
            latencies: histogram()?,
            lateness: histogram()?,
            ends: BTreeMap::new(),
            replies: keep.then(Vec::new),
        })
    }

    /// Times are in nanoseconds of one clock.
    pub fn count(&mut self, meant_ns: u64, sent_ns: u64, end_ns: u64, end: End) {
        let latency = end_ns.saturating_sub(meant_ns);
        self.latencies.saturating_record(latency.max(1));
        self.lateness.saturating_record(sent_ns.saturating_sub(meant_ns).max(1));
        let name = match end {
            End::Status { code, message } => {
                if let Some(replies) = &mut self.replies {
                    replies.extend_from_slice(&latency.to_le_bytes());
                    replies.extend_from_slice(&(message.len() as u64).to_le_bytes());
                    replies.extend_from_slice(&message);
                }
                code.to_string()
            }
            End::Broken(how) => how,
        };
        *self.ends.entry(name).or_default() += 1;
    }

    /// A call that has no answer at `end_ns`: it took at least so long.
    pub fn count_unanswered(&mut self, meant_ns: u64, end_ns: u64) {
        self.latencies.saturating_record(end_ns.saturating_sub(meant_ns).max(1));
        *self.ends.entry("unanswered".to_owned()).or_default() += 1;
    }

    /// The kept replies, one after the other: latency in nanoseconds and length, both u64 little-endian, message.
    pub fn replies(&self) -> &[u8] {
        self.replies.as_deref().unwrap_or_default()
    }

    /// `seconds` is how long calls were meant to be sent, `took_seconds` until the last one had ended.
    pub fn report(&self, rate: Option<f64>, seconds: f64, took_seconds: f64) -> Report {
        let well = self.ends.get("0").copied().unwrap_or_default();
        Report {
            seconds,
            rate,
            sent: self.ends.values().sum(),
            achieved_rate: well as f64 / took_seconds,
            ends: self.ends.clone(),
            latency_us: percentiles(&self.latencies),
            lateness_us: rate.map(|_| percentiles(&self.lateness)),
        }
    }
}

fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    Percentiles {
        mean: histogram.mean() / 1e3,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: histogram.max() as f64 / 1e3,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ok() -> End {
        End::Status { code: 0, message: bytes::Bytes::from_static(b"abc") }
    }

    #[test]
    fn latency_counts_from_the_time_that_was_meant() {
        let mut tally = Tally::new(false).unwrap();
        tally.count(1_000, 501_000, 1_001_000, ok());
        let report = tally.report(Some(1.0), 1.0, 2.0);
        assert!((report.latency_us.max - 1_000.0).abs() < 2.0, "{report:?}");
        assert!((report.lateness_us.unwrap().max - 500.0).abs() < 1.0);
        assert_eq!(report.achieved_rate, 0.5);
    }

    #[test]
    fn errors_are_counted_by_their_status() {
        let mut tally = Tally::new(false).unwrap();
        tally.count(0, 0, 1, ok());
        tally.count(0, 0, 1, End::Status { code: 8, message: bytes::Bytes::new() });
        tally.count(0, 0, 1, End::Broken("no grpc-status".to_owned()));
        tally.count_unanswered(0, 9);
        let report = tally.report(None, 1.0, 1.0);
        let ends: Vec<(&str, u64)> =
            report.ends.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(ends, [("0", 1), ("8", 1), ("no grpc-status", 1), ("unanswered", 1)]);
        assert_eq!(report.sent, 4);
    }

    #[test]
    fn replies_are_kept_with_their_latency() {
        let mut tally = Tally::new(true).unwrap();
        tally.count(5, 5, 12, ok());
        assert_eq!(tally.replies(), [&7_u64.to_le_bytes()[..], &3_u64.to_le_bytes(), b"abc"].concat());
    }
}

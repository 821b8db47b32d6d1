//! The command line.

use std::path::PathBuf;
use std::rc::Rc;

use bytes::Bytes;
use lexopt::prelude::*;

use crate::arrivals::Spread;
use crate::call::{Sent, Target};
use crate::run::Stretch;

const USAGE: &str = "usage: load --target HOST:PORT|unix:PATH --method /SERVICE/METHOD --body FILE
  (--rate CALLS_PER_SECOND [--even] [--seed N] | --in-flight CALLS [--requests N])
  [--connections N] [--warm-up SECONDS] [--seconds SECONDS] [--replies FILE]

FILE of --body holds the message as gRPC frames it. --replies keeps each reply: latency in ns and length, both as
u64 little-endian, then the message.";

/// What decides when a call is sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Fixed times.
    Open { rate: f64, spread: Spread },
    /// So many at a time on each connection, until `most` calls were sent.
    Closed { in_flight: usize, most: u64 },
}

/// The whole command line.
pub struct Arguments {
    pub target: Target,
    pub sent: Rc<Sent>,
    pub pace: Pace,
    pub seed: u64,
    pub connections: usize,
    pub stretch: Stretch,
    pub replies: Option<PathBuf>,
}

impl Arguments {
    /// Reads the process's own; prints the usage and ends it when `--help` is among them.
    pub fn parse() -> Result<Self, String> {
        Self::from(lexopt::Parser::from_env()).map_err(|error| format!("{error}\n{USAGE}"))
    }

    fn from(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let (mut target, mut method, mut body, mut rate, mut in_flight) = (None, None, None, None, None);
        let (mut spread, mut seed, mut most, mut connections) = (Spread::Poisson, 1, u64::MAX, 4);
        let (mut warm_up, mut seconds, mut replies) = (1.0, 3.0, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("target") => target = Some(read_target(&parser.value()?.string()?)),
                Long("method") => method = Some(parser.value()?.string()?),
                Long("body") => body = Some(PathBuf::from(parser.value()?)),
                Long("rate") => rate = Some(parser.value()?.parse::<f64>()?),
                Long("even") => spread = Spread::Even,
                Long("seed") => seed = parser.value()?.parse()?,
                Long("in-flight") => in_flight = Some(parser.value()?.parse()?),
                Long("requests") => most = parser.value()?.parse()?,
                Long("connections") => connections = parser.value()?.parse()?,
                Long("warm-up") => warm_up = parser.value()?.parse()?,
                Long("seconds") => seconds = parser.value()?.parse()?,
                Long("replies") => replies = Some(PathBuf::from(parser.value()?)),
                Long("help") => {
                    println!("{USAGE}");
                    std::process::exit(0);
                }
                _ => return Err(argument.unexpected()),
            }
        }
        let pace = match (rate, in_flight) {
            (Some(rate), None) if rate > 0.0 => Pace::Open { rate, spread },
            (None, Some(in_flight)) => Pace::Closed { in_flight, most },
            _ => return Err("give either --rate, above zero, or --in-flight".into()),
        };
        let target = target.ok_or("--target is missing")?;
        // Every request of HTTP/2 names an authority, and its URI is where the h2 crate takes it from.
        let method = format!("http://localhost{}", method.ok_or("--method is missing")?);
        let body = body.ok_or("--body is missing")?;
        let framed = std::fs::read(&body).map_err(|error| format!("{}: {error}", body.display()))?;
        Ok(Self {
            target,
            sent: Rc::new(Sent {
                method: method.parse().map_err(|error| format!("{method}: {error}"))?,
                framed: Bytes::from(framed),
            }),
            pace,
            seed,
            connections,
            stretch: Stretch { warm_up_ns: nanoseconds(warm_up), measured_ns: nanoseconds(seconds) },
            replies,
        })
    }
}

fn read_target(text: &str) -> Target {
    match text.strip_prefix("unix:") {
        Some(path) => Target::Unix(path.into()),
        None => Target::Tcp(text.to_owned()),
    }
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

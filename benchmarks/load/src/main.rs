//! Calls one unary gRPC method and prints what came of it as one line of JSON.
//!
//! In an open loop (`--rate`) the time of each call is fixed before the first one is sent, and its latency counts
//! from there: a server that pauses is charged for every call that fell into the pause. A closed loop
//! (`--in-flight`) sends the next call when one has ended, and is for throughput only.

mod arguments;
mod arrivals;
mod call;
mod clock;
mod report;
mod run;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::arguments::{Arguments, Pace};
use crate::arrivals::Arrivals;
use crate::call::Connection;
use crate::report::{Report, Tally};

fn main() -> ExitCode {
    match Arguments::parse().and_then(measure) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: Arguments) -> Result<String, String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let tally = Rc::new(RefCell::new(Tally::new(arguments.replies.is_some())?));
    let report = LocalSet::new().block_on(&runtime, send(&arguments, Rc::clone(&tally)))?;
    if let Some(path) = &arguments.replies {
        std::fs::write(path, tally.borrow().replies())
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    serde_json::to_string(&report).map_err(|error| error.to_string())
}

async fn send(arguments: &Arguments, tally: Rc<RefCell<Tally>>) -> Result<Report, String> {
    let mut connections = Vec::new();
    for _ in 0..arguments.connections {
        connections.push(Connection::open(&arguments.target).await?);
    }
    let sent = Rc::clone(&arguments.sent);
    match arguments.pace {
        Pace::Open { rate, spread } => {
            let arrivals = Arrivals::new(rate, spread, arguments.seed);
            run::open_loop(&connections, sent, arrivals, rate, arguments.stretch, tally).await
        }
        Pace::Closed { in_flight, most } => {
            run::closed_loop(&connections, sent, in_flight, most, arguments.stretch, tally).await
        }
    }
}

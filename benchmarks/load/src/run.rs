//! The two ways to send: at fixed arrival times, or so many at a time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_local};
use tokio::time::timeout;

use crate::arrivals::Arrivals;
use crate::call::{Connection, Sent};
use crate::clock::{Timer, now_ns};
use crate::report::{Report, Tally};

/// How long answers are waited for after the last call was sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// A measured stretch of time and the one before it, in which nothing is counted.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    pub warm_up_ns: u64,
    pub measured_ns: u64,
}

/// Sends at the times of `arrivals` over the connections in turn, whatever the replies do.
pub async fn open_loop(
    connections: &[Connection],
    sent: Rc<Sent>,
    arrivals: Arrivals,
    rate: f64,
    stretch: Stretch,
    tally: Rc<RefCell<Tally>>,
) -> Result<Report, String> {
    let timer = Timer::new().map_err(|error| error.to_string())?;
    let waiting: Rc<RefCell<BTreeMap<u64, u64>>> = Rc::default();
    let mut calls = JoinSet::new();
    let start_ns = now_ns();
    let end_ns = stretch.warm_up_ns + stretch.measured_ns;
    let times = arrivals.take_while(|at_ns| *at_ns < end_ns);
    for ((number, at_ns), connection) in (0_u64..).zip(times).zip(connections.iter().cycle()) {
        let meant_ns = start_ns + at_ns;
        timer.wait_until(meant_ns).await.map_err(|error| error.to_string())?;
        let measured = at_ns >= stretch.warm_up_ns;
        if measured {
            waiting.borrow_mut().insert(number, meant_ns);
        }
        let (connection, sent) = (connection.clone(), Rc::clone(&sent));
        let (waiting, tally) = (Rc::clone(&waiting), Rc::clone(&tally));
        calls.spawn_local(async move {
            let sent_ns = now_ns();
            let end = connection.call(&sent).await;
            if measured {
                waiting.borrow_mut().remove(&number);
                tally.borrow_mut().count(meant_ns, sent_ns, now_ns(), end);
            }
        });
        while calls.try_join_next().is_some() {}
    }
    let _ = timeout(PATIENCE, async { while calls.join_next().await.is_some() {} }).await;
    let done_ns = now_ns();
    for meant_ns in waiting.borrow().values() {
        tally.borrow_mut().count_unanswered(*meant_ns, done_ns);
    }
    let took_ns = done_ns.saturating_sub(start_ns + stretch.warm_up_ns);
    let report = tally.borrow().report(Some(rate), seconds(stretch.measured_ns), seconds(took_ns));
    Ok(report)
}

/// Keeps `in_flight` calls in progress on each connection: the next one is sent when one has ended.
///
/// Stops after the stretch, or after `most` measured calls when that comes first.
pub async fn closed_loop(
    connections: &[Connection],
    sent: Rc<Sent>,
    in_flight: usize,
    most: u64,
    stretch: Stretch,
    tally: Rc<RefCell<Tally>>,
) -> Result<Report, String> {
    let start_ns = now_ns() + stretch.warm_up_ns;
    let end_ns = start_ns.saturating_add(stretch.measured_ns);
    let left = Rc::new(RefCell::new(most));
    let callers: Vec<_> = connections
        .iter()
        .flat_map(|connection| (0..in_flight).map(move |_| connection.clone()))
        .map(|connection| {
            let (sent, left, tally) = (Rc::clone(&sent), Rc::clone(&left), Rc::clone(&tally));
            spawn_local(async move {
                loop {
                    let meant_ns = now_ns();
                    let measured = meant_ns >= start_ns;
                    if meant_ns >= end_ns || (measured && !take(&left)) {
                        return;
                    }
                    let end = connection.clone().call(&sent).await;
                    if measured {
                        tally.borrow_mut().count(meant_ns, meant_ns, now_ns(), end);
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.map_err(|error| error.to_string())?;
    }
    let took = seconds(now_ns().saturating_sub(start_ns));
    let report = tally.borrow().report(None, took, took);
    Ok(report)
}

fn take(left: &RefCell<u64>) -> bool {
    let mut left = left.borrow_mut();
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

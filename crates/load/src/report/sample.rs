//! A fixed result for the tests of this module: nothing in it was timed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Report;
use crate::answer::Refusal;
use crate::client::Reply;
use crate::connection::SocketCounts;
use crate::engine::Measured;
use crate::event::Level;
use crate::histogram::Histogram;
use crate::options::{Options, Style};
use crate::plan::Plan;
use crate::tally::Tally;

/// Six calls, two of them not OK, on two connections that keep a rate; the last call was 20 ms late.
pub(super) fn report(style: Style, log_level: Level) -> Report {
    let mut options = Options::to("http://127.0.0.1:8000/get");
    (options.style, options.log_level) = (style, log_level);
    (options.connections, options.qps, options.calls) = (2, 20.0, Some(6));
    options.labels = Some("sample".into());
    let mut tally = Tally::new(&options);
    let calls = [(200, 4, 420), (200, 5, 420), (200, 6, 420), (200, 7, 421), (503, 1, 241), (-1, 30, 0)];
    for (index, (code, ms, bytes)) in calls.into_iter().enumerate() {
        let head_bytes = if code == 200 { 196 } else { 0 };
        let late = Duration::from_millis(if index < 5 { 0 } else { 20 });
        tally.record(
            Reply { code, bytes, head_bytes, refusal: Refusal::default() },
            Duration::from_millis(ms),
            Some(late),
        );
    }
    for pause in [0.1, 0.11, 0.09, -0.000_5] {
        tally.sleeps.record(pause);
    }
    let plan = Plan::of(&options);
    let started = "2026-11-23T02:11:42.77612013Z".parse().unwrap();
    let used = vec![sockets(&[8_000], &[0.000_25]), sockets(&[8_000, 8_001], &[0.000_1, 0.002])];
    let elapsed = Duration::from_micros(300_500);
    Report::new(
        options,
        &plan,
        Measured { started, elapsed, phases: vec![tally], callers: used.len(), sockets: used },
    )
}

fn sockets(ports: &[u16], connecting: &[f64]) -> SocketCounts {
    let mut histogram = Histogram::new(0.0, 0.001);
    for seconds in connecting {
        histogram.record(*seconds);
    }
    let addresses: BTreeMap<_, _> =
        ports.iter().map(|port| (SocketAddr::from(([127, 0, 0, 1], *port)), 1)).collect();
    SocketCounts { used: ports.len() as u64, addresses, connecting: histogram }
}

//! Earliest deadline first: whoever was chosen comes again after a time that is inverse to its share, so that hosts are chosen
//! in proportion, evenly spread. Knows shares only; where they come from is the balancer's.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Hosts by the virtual time at which each is next.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    queue: BinaryHeap<Turn>,
}

#[derive(Debug)]
struct Turn {
    due: f64,
    /// Equal times: the one that was put in first.
    order: u64,
    host: usize,
}

impl Ord for Turn {
    /// Reversed, because the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.due.total_cmp(&self.due).then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

impl Schedule {
    /// Starts over with `hosts`; `pause(host)` is the time until its first turn. Keeps the storage.
    pub(super) fn restart(&mut self, hosts: &[usize], pause: impl Fn(usize) -> f64) {
        self.queue.clear();
        self.queue.extend(hosts.iter().zip(0..).map(|(&host, order)| Turn { due: pause(host), order, host }));
    }

    /// The host whose turn it is; its next turn comes `pause(host)` later. O(log n), allocates nothing.
    pub(super) fn next(&mut self, pause: impl Fn(usize) -> f64) -> Option<usize> {
        let mut turn = self.queue.peek_mut()?;
        let host = turn.host;
        turn.due += pause(host);
        Some(host)
    }
}

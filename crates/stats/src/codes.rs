//! Counters by HTTP status: `upstream_rq_503`, `upstream_rq_5xx`, `upstream_rq_completed` from one write per response.

use std::sync::OnceLock;

use crate::cell::Counter;

const PAGE: usize = 100;

/// One counter per status from 100 to 599, in pages that exist once a status of their class was counted; classes and the
/// total are sums made when read. Statuses outside count in the total only.
#[derive(Debug, Default)]
pub struct Codes {
    classes: [OnceLock<Box<[Counter; PAGE]>>; 5],
    outside: Counter,
}

impl Codes {
    /// Counts one response. Only the block's own writer may call it.
    #[inline]
    pub fn inc(&self, status: u16) {
        let status = usize::from(status);
        match self.classes.get((status / PAGE).wrapping_sub(1)) {
            Some(page) => page.get_or_init(fresh_page)[status % PAGE].inc(),
            None => self.outside.inc(),
        }
    }

    /// Adds what was counted here to `totals`, by status.
    fn add_to(&self, totals: &mut CodeTotals) {
        for (class, page) in self.classes.iter().enumerate() {
            let Some(page) = page.get() else { continue };
            for (rest, counter) in page.iter().enumerate() {
                totals.by_status[class * PAGE + rest] += counter.get();
            }
        }
        totals.outside += self.outside.get();
    }
}

#[cold]
fn fresh_page() -> Box<[Counter; PAGE]> {
    Box::new(std::array::from_fn(|_| Counter::default()))
}

/// Sums over blocks.
pub(crate) struct CodeTotals {
    by_status: Vec<u64>,
    outside: u64,
}

impl CodeTotals {
    /// The sums over `shards`.
    pub(crate) fn of<'a>(shards: impl Iterator<Item = &'a Codes>) -> Self {
        let mut totals = Self { by_status: vec![0; 5 * PAGE], outside: 0 };
        shards.for_each(|codes| codes.add_to(&mut totals));
        totals
    }

    /// Statuses that were counted, with their counts.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        (100u16..)
            .zip(&self.by_status)
            .filter(|(_, count)| **count > 0)
            .map(|(status, count)| (status, *count))
    }

    /// Classes 1 to 5 with their counts.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (u8, u64)> {
        (1u8..).zip(self.by_status.chunks(PAGE)).map(|(class, page)| (class, page.iter().sum()))
    }

    /// All responses.
    pub(crate) fn completed(&self) -> u64 {
        self.by_status.iter().sum::<u64>() + self.outside
    }
}

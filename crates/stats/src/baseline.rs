//! What `/reset_counters` remembers.

use std::collections::HashMap;

use crate::reading::{Reading, Value};

/// Counter values at the last reset. Cells have one writer each, so nobody else may zero them; counters are instead shown
/// relative to what they were. Gauges and histograms are not reset, as in Envoy.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    counters: HashMap<String, u64>,
}

impl Baseline {
    /// Counters read as zero from now on.
    pub fn reset(&mut self, reading: &Reading) {
        self.counters.clear();
        let mut name = String::new();
        for row in reading.rows() {
            if let Value::Counter(value @ 1..) = row.value {
                row.full_name(&mut name);
                self.counters.insert(name.clone(), value);
            }
        }
    }

    /// Whether nothing was reset.
    pub(crate) fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    /// What the counter `name`, which reads `value`, shows.
    pub(crate) fn since(&mut self, name: &str, value: u64) -> u64 {
        match self.counters.get(name) {
            None => value,
            Some(base) if *base <= value => value - base,
            // its cluster was removed and came back: the old value means nothing any more
            Some(_) => {
                self.counters.remove(name);
                value
            }
        }
    }
}

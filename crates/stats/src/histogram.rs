//! Histograms with Envoy's buckets: two significant decimal digits, so a bucket is at most 10 % wide.
//!
//! Values are whole numbers (milliseconds, requests). Quantiles and sums are computed as Envoy's library computes them, so
//! that the same load prints the same numbers: the n samples of a bucket lie at k/(n+1) of its width, a quantile is the
//! ceil(q * total)-th sample, and a sum takes each sample at the bucket's harmonic middle.

use std::sync::OnceLock;

use crate::cell::Counter;

/// The quantiles that Envoy prints, as parts of one.
pub const QUANTILES: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0];

/// Upper bounds of the Prometheus buckets, Envoy's defaults.
pub const PROMETHEUS_BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Decades with own buckets: 1 to 9.9e9, four months in milliseconds. Larger values count in the last bucket.
const DECADES: usize = 10;
/// Leading two digits 10..=99.
const PER_DECADE: usize = 90;

/// One writer's histogram. A decade's buckets exist once a value of that size was recorded.
#[derive(Debug, Default)]
pub struct Histogram {
    zeros: Counter,
    decades: [OnceLock<Box<[Counter; PER_DECADE]>>; DECADES],
}

impl Histogram {
    /// Counts `value`. Only the block's own writer may call it.
    #[inline]
    pub fn record(&self, value: u64) {
        match place(value) {
            None => self.zeros.inc(),
            Some((decade, slot)) => self.decades[decade].get_or_init(fresh_decade)[slot].inc(),
        }
    }
}

#[cold]
fn fresh_decade() -> Box<[Counter; PER_DECADE]> {
    Box::new(std::array::from_fn(|_| Counter::default()))
}

/// Decade and slot of a value; `None` for 0. 7 is `7.0 * 10^0`: decade 0, digits 70.
fn place(value: u64) -> Option<(usize, usize)> {
    let decade = value.checked_ilog10()?;
    let digits = if decade == 0 { value * 10 } else { value / 10u64.pow(decade - 1) };
    let decade = decade as usize;
    if decade >= DECADES {
        return Some((DECADES - 1, PER_DECADE - 1));
    }
    Some((decade, usize::try_from(digits).unwrap_or(0).saturating_sub(10)))
}

/// A histogram as read: the sum of some writers' histograms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// The buckets in use with their counts, ascending.
    bins: Vec<(Bin, u64)>,
    sum: f64,
}

/// Bounds of a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bin {
    pub(crate) lower: f64,
    pub(crate) width: f64,
}

impl Bin {
    const ZERO: Self = Self { lower: 0.0, width: 0.0 };

    fn at(decade: usize, slot: usize) -> Self {
        let power = 10f64.powi(i32::try_from(decade).unwrap_or(i32::MAX));
        // digits * power / 10 is exact where digits * (power / 10) is not
        Self { lower: (slot + 10) as f64 * power / 10.0, width: power / 10.0 }
    }

    /// Where a sum takes the samples of this bucket: the point that splits it as lower to upper bound.
    fn middle(self) -> f64 {
        if self.lower == 0.0 {
            return 0.0;
        }
        let upper = self.lower + self.width;
        self.lower + self.width * (self.lower / (self.lower + upper))
    }
}

impl Buckets {
    pub(crate) const fn new(bins: Vec<(Bin, u64)>, sum: f64) -> Self {
        Self { bins, sum }
    }

    /// The sum of `histograms`.
    pub fn sum_of<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Self {
        let histograms: Vec<_> = histograms.collect();
        let zeros: u64 = histograms.iter().map(|h| h.zeros.get()).sum();
        let mut bins = Vec::new();
        if zeros > 0 {
            bins.push((Bin::ZERO, zeros));
        }
        for decade in 0..DECADES {
            let mut counts = [0u64; PER_DECADE];
            for page in histograms.iter().filter_map(|h| h.decades[decade].get()) {
                for (count, cell) in counts.iter_mut().zip(page.iter()) {
                    *count += cell.get();
                }
            }
            let used = counts.iter().enumerate().filter(|(_, n)| **n > 0);
            bins.extend(used.map(|(slot, n)| (Bin::at(decade, slot), *n)));
        }
        let sum = bins.iter().map(|(bin, n)| bin.middle() * *n as f64).sum();
        Self { bins, sum }
    }

    /// The buckets in use: lower bound, width, values in it.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64, u64)> {
        self.bins.iter().map(|(bin, n)| (bin.lower, bin.width, *n))
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|(_, n)| n).sum()
    }

    /// Sum of the values: exact for a [`Distribution`](crate::Distribution), approximate for a [`Histogram`].
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    /// Values in buckets that begin at or below `bound`: a value equal to a bound is counted in it.
    pub fn count_up_to(&self, bound: f64) -> u64 {
        self.bins.iter().take_while(|(bin, _)| bin.lower <= bound).map(|(_, n)| n).sum()
    }

    /// The value below which the part `q` (0 to 1) of all values lies; `None` when there is no value.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let wanted = (q * self.count() as f64).ceil().max(1.0);
        let mut below = 0.0;
        for (bin, n) in &self.bins {
            let n = *n as f64;
            if wanted <= below + n {
                return Some(bin.lower + bin.width * ((wanted - below) / (n + 1.0)));
            }
            below += n;
        }
        None
    }
}

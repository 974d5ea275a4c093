//! One reading of many scopes: every stat with its value at that moment.
//!
//! A reading of thousands of clusters must stay small, so values lie in one slice per block beside the block's descriptions,
//! names are put together when printed, and sorting happens per root scope: no more than one cluster's names exist at a time.

use std::fmt::Write as _;

use crate::baseline::Baseline;
use crate::block::{Block, CellRef, Desc, Kind};
use crate::codes::{CodeTotals, Codes};
use crate::distribution::Distribution;
use crate::histogram::{Buckets, Histogram};
use crate::name::{CodeOrigin, StatName};
use crate::scope::Scope;

/// Index of a scope in its [`Reading`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeId(usize);

/// Value of a stat when it was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Only grows.
    Counter(u64),
    /// Rises and falls.
    Gauge(u64),
    /// Distribution since start.
    Histogram(&'a Buckets),
}

impl Value<'_> {
    /// What kind of stat it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Histogram(_) => Kind::Histogram,
        }
    }
}

/// One stat with its value.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Where it belongs.
    pub scope: &'a Scope,
    /// Name inside the scope.
    pub name: StatName,
    /// Value.
    pub value: Value<'a>,
    /// Whether it was ever written (Envoy's `usedonly`).
    pub used: bool,
}

impl Row<'_> {
    /// The full dotted name, written over `buffer`.
    pub fn full_name(&self, buffer: &mut String) {
        buffer.clear();
        buffer.push_str(self.scope.text());
        // writing to a String cannot fail
        let _ = write!(buffer, "{}", self.name);
    }
}

/// Place of a row in its [`Reading`].
#[derive(Clone, Copy, Debug)]
pub struct RowId {
    segment: usize,
    index: usize,
}

/// All stats of some scopes at one moment.
#[derive(Debug, Default)]
pub struct Reading {
    scopes: Vec<Scope>,
    segments: Vec<Segment>,
}

/// The stats that were added together.
#[derive(Debug)]
struct Segment {
    scope: ScopeId,
    part: Part,
}

#[derive(Debug)]
enum Part {
    Block { descs: &'static [Desc], cells: Box<[Cell]> },
    Counters(Vec<(StatName, u64)>),
}

#[derive(Debug)]
enum Cell {
    Counter(u64),
    Gauge { value: u64, used: bool },
    Histogram(Box<Buckets>),
}

impl Segment {
    fn len(&self) -> usize {
        match &self.part {
            Part::Block { descs, .. } => descs.len(),
            Part::Counters(counters) => counters.len(),
        }
    }
}

impl Reading {
    /// Without any stat yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a scope; stats are then added to it by its index.
    pub fn scope(&mut self, scope: Scope) -> ScopeId {
        self.scopes.push(scope);
        ScopeId(self.scopes.len() - 1)
    }

    /// Adds the sums over `shards`, one row per declared stat, zeros included.
    pub fn block<'a, B: Block + 'a>(&mut self, scope: ScopeId, shards: impl Iterator<Item = &'a B> + Clone) {
        let mut sums: Vec<Sum<'a>> = B::DESCS.iter().map(|desc| Sum::new(desc.kind)).collect();
        // All that was lowered is read before anything that was raised: a gauge's sum is then never below zero.
        let mut add = |shard: &'a B, pass| {
            let mut sums = sums.iter_mut();
            shard.visit(&mut |cell| {
                if let Some(sum) = sums.next() {
                    sum.add(cell, pass);
                }
            });
        };
        shards.clone().for_each(|shard| add(shard, Pass::Lowered));
        shards.for_each(|shard| add(shard, Pass::Rest));
        let cells = sums.into_iter().map(Sum::finish).collect();
        self.segments.push(Segment { scope, part: Part::Block { descs: B::DESCS, cells } });
    }

    /// Adds the status counters `<base>_…` of `origins`, each with the same counts. Envoy makes these when first counted, so
    /// zeros have no row, but for [`CodeOrigin::All`] the total `<base>_completed` always exists.
    pub fn codes<'a>(
        &mut self,
        scope: ScopeId,
        base: &'static str,
        origins: &[CodeOrigin],
        shards: impl Iterator<Item = &'a Codes>,
    ) {
        let totals = CodeTotals::of(shards);
        let completed = totals.completed();
        let mut counters = Vec::new();
        for origin in origins.iter().copied() {
            if completed > 0 || origin == CodeOrigin::All {
                counters.push((StatName::Completed(origin, base), completed));
            }
            counters.extend(totals.statuses().map(|(code, n)| (StatName::Status(origin, base, code), n)));
            let classes = totals.classes().filter(|(_, n)| *n > 0);
            counters.extend(classes.map(|(class, n)| (StatName::Class(origin, base, class), n)));
        }
        self.counters(scope, counters);
    }

    /// Adds `<base>_1xx` to `<base>_5xx` and `<base>_completed`, zeros included, without single statuses.
    pub fn code_classes<'a>(
        &mut self,
        scope: ScopeId,
        base: &'static str,
        shards: impl Iterator<Item = &'a Codes>,
    ) {
        let totals = CodeTotals::of(shards);
        let classes = totals.classes().map(|(class, n)| (StatName::Class(CodeOrigin::All, base, class), n));
        let completed = (StatName::Completed(CodeOrigin::All, base), totals.completed());
        self.counters(scope, classes.chain([completed]).collect());
    }

    /// Adds counters by name.
    pub fn counters(&mut self, scope: ScopeId, counters: Vec<(StatName, u64)>) {
        self.segments.push(Segment { scope, part: Part::Counters(counters) });
    }

    /// Places of all rows, in the order in which they were added.
    pub fn ids(&self) -> impl Iterator<Item = RowId> {
        let segments = self.segments.iter().enumerate();
        segments.flat_map(|(segment, part)| (0..part.len()).map(move |index| RowId { segment, index }))
    }

    /// All rows, in the order in which they were added.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.ids().map(|id| self.row(id))
    }

    /// The row at a place of this reading.
    pub fn row(&self, id: RowId) -> Row<'_> {
        let segment = &self.segments[id.segment];
        let (name, value, used) = match &segment.part {
            Part::Counters(counters) => {
                let (name, value) = counters[id.index];
                (name, Value::Counter(value), value > 0)
            }
            Part::Block { descs, cells } => {
                let (value, used) = match &cells[id.index] {
                    Cell::Counter(value) => (Value::Counter(*value), *value > 0),
                    Cell::Gauge { value, used } => (Value::Gauge(*value), *used),
                    Cell::Histogram(buckets) => (Value::Histogram(buckets), buckets.count() > 0),
                };
                (StatName::Declared(&descs[id.index]), value, used)
            }
        };
        Row { scope: &self.scopes[segment.scope.0], name, value, used }
    }

    /// Shows the rows that `keep` accepts, with their full names, in Envoy's order: counters and gauges by name, then
    /// histograms by name.
    pub fn in_order(&self, keep: impl Fn(&str, &Row<'_>) -> bool, mut show: impl FnMut(&str, &Row<'_>)) {
        let root = |id: &RowId| self.scopes[self.segments[id.segment].scope.0].root();
        let mut ids: Vec<RowId> = self.ids().collect();
        ids.sort_by(|a, b| root(a).cmp(root(b)));
        let mut name = String::new();
        for histograms in [false, true] {
            // No root is the beginning of another, so the names of two roots never interleave.
            for rows in ids.chunk_by(|a, b| root(a) == root(b)) {
                let mut named: Vec<(String, Row<'_>)> = Vec::new();
                for row in rows.iter().map(|id| self.row(*id)) {
                    row.full_name(&mut name);
                    if (row.value.kind() == Kind::Histogram) == histograms && keep(&name, &row) {
                        named.push((name.clone(), row));
                    }
                }
                named.sort_by(|(a, _), (b, _)| a.cmp(b));
                for (name, row) in &named {
                    show(name, row);
                }
            }
        }
    }

    /// Takes off what `baseline` remembers of counters.
    pub fn since(&mut self, baseline: &mut Baseline) {
        if baseline.is_empty() {
            return;
        }
        let mut name = String::new();
        let ids: Vec<RowId> = self.ids().collect();
        for id in ids {
            let row = self.row(id);
            let Value::Counter(value) = row.value else { continue };
            row.full_name(&mut name);
            let shown = baseline.since(&name, value);
            match &mut self.segments[id.segment].part {
                Part::Counters(counters) => counters[id.index].1 = shown,
                Part::Block { cells, .. } => cells[id.index] = Cell::Counter(shown),
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Pass {
    Lowered,
    Rest,
}

/// A stat being summed.
enum Sum<'a> {
    Counter(u64),
    Gauge { raised: u64, lowered: u64 },
    Histogram(Vec<&'a Histogram>, Vec<&'a Distribution>),
}

impl<'a> Sum<'a> {
    const fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(0),
            Kind::Gauge => Self::Gauge { raised: 0, lowered: 0 },
            Kind::Histogram => Self::Histogram(Vec::new(), Vec::new()),
        }
    }

    fn add(&mut self, cell: CellRef<'a>, pass: Pass) {
        match (self, cell, pass) {
            (Self::Gauge { lowered, .. }, CellRef::Gauge(gauge), Pass::Lowered) => {
                *lowered += gauge.lowered();
            }
            (Self::Gauge { raised, .. }, CellRef::Gauge(gauge), Pass::Rest) => *raised += gauge.raised(),
            (Self::Gauge { raised, .. }, CellRef::Level(level), Pass::Rest) => *raised += level.0,
            (Self::Counter(sum), CellRef::Counter(counter), Pass::Rest) => *sum += counter.get(),
            (Self::Histogram(all, _), CellRef::Histogram(histogram), Pass::Rest) => all.push(histogram),
            (Self::Histogram(_, all), CellRef::Distribution(distribution), Pass::Rest) => {
                all.push(distribution);
            }
            _ => {}
        }
    }

    fn finish(self) -> Cell {
        match self {
            Self::Counter(sum) => Cell::Counter(sum),
            Self::Gauge { raised, lowered } => {
                Cell::Gauge { value: raised.saturating_sub(lowered), used: raised > 0 }
            }
            Self::Histogram(all, distributions) if distributions.is_empty() => {
                Cell::Histogram(Box::new(Buckets::sum_of(all.into_iter())))
            }
            Self::Histogram(_, all) => Cell::Histogram(Box::new(Distribution::sum_of(all.into_iter()))),
        }
    }
}

//! One reading of many scopes: every stat with its value at that moment, in the order in which Envoy prints them.
//!
//! Rows point at their scope and their description instead of holding names, so that a reading of thousands of clusters
//! stays small; names are put together when printed.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt::{self, Write as _};

use crate::block::{Block, CellRef, Desc, Kind};
use crate::codes::{CodeTotals, Codes};
use crate::histogram::{Buckets, Histogram};
use crate::scope::{Scope, sanitized};

/// Index of a scope in its [`Reading`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeId(u32);

/// Which responses a status counter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CodeOrigin {
    /// `upstream_rq_503`: every final response.
    All,
    /// `external.upstream_rq_503`: those to requests that came from outside the mesh; for now, all.
    External,
    /// `retry.upstream_rq_503`: responses that were not passed on because the request was tried again.
    Retry,
}

impl CodeOrigin {
    const fn prefix(self) -> &'static str {
        match self {
            Self::All => "",
            Self::External => "external.",
            Self::Retry => "retry.",
        }
    }
}

/// A counter that exists once per value of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagDesc {
    /// Name in the text, before the dot and the label's value.
    pub name: &'static str,
    /// Name in Prometheus.
    pub family: &'static str,
    /// The label.
    pub label: &'static str,
    /// One line of help.
    pub help: &'static str,
}

/// Name of a stat inside its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatName {
    /// A declared stat.
    Declared(&'static Desc),
    /// `<base>_<status>`
    Status(CodeOrigin, &'static str, u16),
    /// `<base>_<class>xx`
    Class(CodeOrigin, &'static str, u8),
    /// `<base>_completed`
    Completed(CodeOrigin, &'static str),
    /// One value of a label.
    Tagged(&'static TagDesc, &'static str),
}

impl fmt::Display for StatName {
    /// As in the text, without the scope.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared(desc) => f.write_str(desc.name),
            Self::Status(origin, base, status) => write!(f, "{}{base}_{status}", origin.prefix()),
            Self::Class(origin, base, class) => write!(f, "{}{base}_{class}xx", origin.prefix()),
            Self::Completed(origin, base) => write!(f, "{}{base}_completed", origin.prefix()),
            Self::Tagged(tag, value) => write!(f, "{}.{value}", tag.name),
        }
    }
}

impl StatName {
    /// Name of the Prometheus family without the scope's part, and the label that the name itself carries: the counters by
    /// status and by class share one family (Istio's tags `response_code` and `response_code_class`).
    pub fn family(&self) -> (String, Option<(&'static str, String)>) {
        let base = |origin: &CodeOrigin, base: &str| format!("{}{base}", sanitized(origin.prefix()));
        match self {
            Self::Declared(desc) => match class_suffix(desc.name) {
                Some((family, class)) => (sanitized(family), Some(("response_code_class", class.to_owned()))),
                None => (sanitized(desc.name), None),
            },
            Self::Status(origin, name, status) => {
                (base(origin, name), Some(("response_code", status.to_string())))
            }
            Self::Class(origin, name, class) => {
                (base(origin, name), Some(("response_code_class", format!("{class}xx"))))
            }
            Self::Completed(origin, name) => (base(origin, name) + "_completed", None),
            Self::Tagged(tag, value) => (tag.family.to_owned(), Some((tag.label, (*value).to_owned()))),
        }
    }
}

/// Splits `downstream_rq_2xx` into `downstream_rq` and `2xx`.
fn class_suffix(name: &str) -> Option<(&str, &str)> {
    let (family, class) = name.rsplit_once('_')?;
    let is_class = matches!(class.as_bytes(), [b'0'..=b'9', b'x', b'x']) && family.ends_with("_rq");
    is_class.then_some((family, class))
}

/// Value of a stat when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Only grows.
    Counter(u64),
    /// Rises and falls.
    Gauge(u64),
    /// Distribution since start.
    Histogram(Buckets),
}

impl Value {
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
#[derive(Clone, Debug)]
pub struct Row {
    scope: ScopeId,
    /// Name inside the scope.
    pub name: StatName,
    /// Value.
    pub value: Value,
    /// Whether it was ever written (Envoy's `usedonly`).
    pub used: bool,
}

/// All stats of some scopes at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    scopes: Vec<Scope>,
    rows: Vec<Row>,
}

impl Reading {
    /// Without any stat yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a scope; stats are then added to it by its index.
    pub fn scope(&mut self, scope: Scope) -> ScopeId {
        let id = u32::try_from(self.scopes.len()).unwrap_or(u32::MAX);
        self.scopes.push(scope);
        ScopeId(id)
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
        for (desc, sum) in B::DESCS.iter().zip(sums) {
            let (value, used) = sum.finish();
            self.rows.push(Row { scope, name: StatName::Declared(desc), value, used });
        }
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
        let mut totals = CodeTotals::new();
        shards.for_each(|codes| codes.add_to(&mut totals));
        let completed = totals.completed();
        for origin in origins.iter().copied() {
            if completed > 0 || origin == CodeOrigin::All {
                self.counter(scope, StatName::Completed(origin, base), completed);
            }
            for (status, count) in totals.statuses() {
                self.counter(scope, StatName::Status(origin, base, status), count);
            }
            for (class, count) in totals.classes().filter(|(_, count)| *count > 0) {
                self.counter(scope, StatName::Class(origin, base, class), count);
            }
        }
    }

    /// Adds `<base>_1xx` to `<base>_5xx` and `<base>_completed`, zeros included, without single statuses.
    pub fn code_classes<'a>(
        &mut self,
        scope: ScopeId,
        base: &'static str,
        shards: impl Iterator<Item = &'a Codes>,
    ) {
        let mut totals = CodeTotals::new();
        shards.for_each(|codes| codes.add_to(&mut totals));
        for (class, count) in totals.classes() {
            self.counter(scope, StatName::Class(CodeOrigin::All, base, class), count);
        }
        self.counter(scope, StatName::Completed(CodeOrigin::All, base), totals.completed());
    }

    /// Adds a counter.
    pub fn counter(&mut self, scope: ScopeId, name: StatName, value: u64) {
        self.rows.push(Row { scope, name, value: Value::Counter(value), used: value > 0 });
    }

    /// The scope of a row.
    pub fn scope_of(&self, row: &Row) -> &Scope {
        &self.scopes[row.scope.0 as usize]
    }

    /// Full dotted name of a row, written over `buffer`.
    pub fn full_name(&self, row: &Row, buffer: &mut String) {
        buffer.clear();
        buffer.push_str(self.scope_of(row).text());
        let _ = write!(buffer, "{}", row.name);
    }

    /// The rows, in the order in which scopes and stats were added.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Keeps the rows that `keep` accepts by full name.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Row) -> bool) {
        let mut name = String::new();
        let scopes = &self.scopes;
        self.rows.retain(|row| {
            name.clear();
            name.push_str(scopes[row.scope.0 as usize].text());
            let _ = write!(name, "{}", row.name);
            keep(&name, row)
        });
    }

    /// Sorts as Envoy prints: counters and gauges by full name, then histograms by full name.
    pub fn sort(&mut self) {
        let scopes = &self.scopes;
        let is_histogram = |row: &Row| row.value.kind() == Kind::Histogram;
        let name = |row: &Row| format!("{}{}", scopes[row.scope.0 as usize].text(), row.name);
        self.rows.sort_by_cached_key(|row| (is_histogram(row), name(row)));
    }

    /// Takes off what `baseline` remembers; see [`Baseline`].
    pub fn since(&mut self, baseline: &mut Baseline) {
        baseline.apply(self);
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
    Histogram(Vec<&'a Histogram>),
}

impl<'a> Sum<'a> {
    const fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(0),
            Kind::Gauge => Self::Gauge { raised: 0, lowered: 0 },
            Kind::Histogram => Self::Histogram(Vec::new()),
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
            (Self::Histogram(all), CellRef::Histogram(histogram), Pass::Rest) => all.push(histogram),
            _ => {}
        }
    }

    fn finish(self) -> (Value, bool) {
        match self {
            Self::Counter(sum) => (Value::Counter(sum), sum > 0),
            Self::Gauge { raised, lowered } => (Value::Gauge(raised.saturating_sub(lowered)), raised > 0),
            Self::Histogram(all) => {
                let buckets = Buckets::sum_of(all.into_iter());
                let used = buckets.count() > 0;
                (Value::Histogram(buckets), used)
            }
        }
    }
}

/// What `/reset_counters` remembers. Cells have one writer each, so nobody else may zero them; counters are instead shown
/// relative to their values at the reset. Gauges and histograms are not reset, as in Envoy.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    counters: HashMap<String, u64>,
}

impl Baseline {
    /// Counters read as zero from now on.
    pub fn reset(&mut self, reading: &Reading) {
        let mut name = String::new();
        self.counters.clear();
        for row in &reading.rows {
            if let Value::Counter(value @ 1..) = row.value {
                reading.full_name(row, &mut name);
                self.counters.insert(name.clone(), value);
            }
        }
    }

    fn apply(&mut self, reading: &mut Reading) {
        if self.counters.is_empty() {
            return;
        }
        let mut name = String::new();
        for index in 0..reading.rows.len() {
            reading.full_name(&reading.rows[index], &mut name);
            let Value::Counter(value) = &mut reading.rows[index].value else { continue };
            let Some(base) = self.counters.get(&name).copied() else { continue };
            match (*value).cmp(&base) {
                // its cluster was removed and came back: the old value means nothing any more
                Ordering::Less => drop(self.counters.remove(&name)),
                _ => *value -= base,
            }
        }
    }
}

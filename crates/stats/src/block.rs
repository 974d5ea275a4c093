//! A block: the cells of one scope in one dense struct, with the description of each.

use crate::cell::{Counter, Gauge, Level};
use crate::distribution::Distribution;
use crate::histogram::Histogram;

/// What a stat is, as Envoy and Prometheus classify it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Distribution of values.
    Histogram,
}

/// Description of one stat; the source of the text, the JSON, the Prometheus output and the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desc {
    /// Name inside its scope, as Envoy spells it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The doc comment of its field, as written (with the leading blank of each line); see [`Desc::help`].
    pub doc: &'static str,
}

impl Desc {
    /// One line of help.
    pub fn help(&self) -> &'static str {
        self.doc.trim()
    }
}

/// A cell of a block, borrowed for reading.
#[derive(Clone, Copy, Debug)]
pub enum CellRef<'a> {
    /// See [`Counter`].
    Counter(&'a Counter),
    /// See [`Gauge`].
    Gauge(&'a Gauge),
    /// See [`Level`].
    Level(Level),
    /// See [`Histogram`].
    Histogram(&'a Histogram),
    /// See [`Distribution`].
    Distribution(&'a Distribution),
}

/// The cells of one scope. Implemented by [`stats!`](crate::stats).
pub trait Block {
    /// The scope's name with a placeholder, for the documentation: `cluster.<name>`.
    const SCOPE: &'static str;
    /// One description per field, in the order of the declaration.
    const DESCS: &'static [Desc];

    /// Calls `see` for each field, in the order of [`Block::DESCS`].
    fn visit<'a>(&'a self, see: &mut dyn FnMut(CellRef<'a>));
}

/// A type of field that [`stats!`](crate::stats) accepts.
#[doc(hidden)]
pub trait Field {
    const KIND: Kind;
    fn cell(&self) -> CellRef<'_>;
}

impl Field for Counter {
    const KIND: Kind = Kind::Counter;
    fn cell(&self) -> CellRef<'_> {
        CellRef::Counter(self)
    }
}

impl Field for Gauge {
    const KIND: Kind = Kind::Gauge;
    fn cell(&self) -> CellRef<'_> {
        CellRef::Gauge(self)
    }
}

impl Field for Level {
    const KIND: Kind = Kind::Gauge;
    fn cell(&self) -> CellRef<'_> {
        CellRef::Level(*self)
    }
}

impl Field for Histogram {
    const KIND: Kind = Kind::Histogram;
    fn cell(&self) -> CellRef<'_> {
        CellRef::Histogram(self)
    }
}

impl Field for Distribution {
    const KIND: Kind = Kind::Histogram;
    fn cell(&self) -> CellRef<'_> {
        CellRef::Distribution(self)
    }
}

#[doc(hidden)]
pub mod macro_support {
    pub use super::Field;
}

/// Declares a scope: a struct with one cell per stat, and its descriptions.
///
/// Field types are [`Counter`](crate::Counter), [`Gauge`](crate::Gauge), [`Level`](crate::Level),
/// [`Histogram`](crate::Histogram) and [`Distribution`](crate::Distribution). A stat whose name is no Rust name is spelled `field as "name": Counter`.
///
/// ```
/// fuseboard_stats::stats! {
///     /// Numbers of one queue.
///     pub struct QueueStats in "queue.<name>" {
///         /// Entries that were put in.
///         put_total: Counter,
///         /// Entries that are in now.
///         length: Gauge,
///     }
/// }
/// use fuseboard_stats::Block;
/// assert_eq!(QueueStats::DESCS[0].help(), "Entries that were put in.");
/// ```
#[macro_export]
macro_rules! stats {
    (
        $(#[$meta:meta])*
        $vis:vis struct $block:ident in $scope:literal {
            $( $(#[doc = $help:literal])+ $field:ident $(as $stat:literal)? : $kind:ident ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        // field names are Envoy's stat names
        #[allow(clippy::struct_field_names)]
        #[derive(Debug, Default)]
        $vis struct $block {
            $( $(#[doc = $help])+ $vis $field: $crate::$kind, )*
        }

        impl $crate::Block for $block {
            const SCOPE: &'static str = $scope;
            const DESCS: &'static [$crate::Desc] = &[
                $( $crate::Desc {
                    name: $crate::stats!(@name $field $(, $stat)?),
                    kind: <$crate::$kind as $crate::macro_support::Field>::KIND,
                    doc: concat!($($help),+),
                }, )*
            ];

            fn visit<'a>(&'a self, see: &mut dyn FnMut($crate::CellRef<'a>)) {
                $( see($crate::macro_support::Field::cell(&self.$field)); )*
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident, $stat:literal) => { $stat };
}

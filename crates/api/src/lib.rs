//! The resources users write (Istio, Kubernetes, our own), as plain types with their schema.
//!
//! Each object is declared once with [`object!`] (each enumeration with [`choice!`]): from the declaration come the struct,
//! whose values all remember where they were written, the [`Schema`](schema::Schema) that finds unknown fields and wrong
//! types and from which the support table of the documentation is made, and the decoding from a [`Node`](tree::Node).
//! Nothing here knows defaults, merging or what a value means; see `fuseboard_config`.

mod decode;
mod duration;
pub mod fuseboard;
pub mod istio;
pub mod kind;
pub mod kubernetes;
pub mod scalar;
pub mod schema;
mod span;
pub mod tree;

pub use decode::field;
pub use duration::{DurationMistake, parse_duration};
pub use schema::Decode;
pub use span::{List, Map, Span, Spanned};

//! From text to diagnostics and a Snapshot: load, check, resolve, analyze. No sockets, no waiting.

pub mod diagnostic;
mod set;
mod source;

pub use diagnostic::{Code, Diagnostic, Diagnostics, Severity};
pub use set::{DEFAULT_NAMESPACE, Resource, ResourceSet};
pub use source::{Place, Source, SourceText};

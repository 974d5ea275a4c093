//! From text to diagnostics and a Snapshot: load, check, resolve, analyze. No sockets, no waiting.

mod analyze;
mod bytes;
pub mod diagnostic;
pub mod folder;
mod listen;
mod load;
mod material;
mod pairs;
mod resolve;
mod set;
mod source;
mod status_class;
mod workload;

pub use analyze::analyze;
pub use diagnostic::{Code, CodeEntry, Diagnostic, Diagnostics, Severity, Suppression};
pub use listen::{Carries, Destination, ListenPlan, ListenTls, PortListen, Takes};
pub use load::{MAX_FILE_BYTES, load, load_paths, load_paths_in, load_texts, nearest};
pub use material::Materials;
pub use resolve::resolve;
pub use set::{DEFAULT_NAMESPACE, Resource, ResourceSet};
pub use source::{Content, Place, Source, SourceText};
pub use workload::Workload;

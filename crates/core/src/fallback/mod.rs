//! What is answered when a destination does not: which failures count, which step comes next, which answers may be given
//! again and for how long, and how a text is filled in. Sending and writing is the proxy's.
//!
//! A chain is asked step by step: [`FallbackPolicy::judge`] says of each whether it may be tried now; a [`Cap`] bounds how
//! many requests are in one step at a time; [`Cache`] keeps the last good answers, as far as [`admit`] lets it.

mod cache;
mod cap;
mod chain;
mod control;
mod policy;
mod template;
mod trigger;

pub use cache::{Cache, CacheCounts, Hit, Lookup, Selecting, Stored};
pub use cap::{Cap, CapPermit};
pub use chain::{Situation, Skip, Verdict};
pub use control::{AnswerFacts, CacheControl, NotStored, RequestFacts, Storable, admit, vary_names};
pub use policy::{
    CachePolicy, CallAnswer, DEFAULT_CONCURRENT, FallbackPolicy, MAX_HOPS, MAX_STEPS, Match, Path,
    StaticAnswer, Step, StepKind,
};
pub use template::{Placeholder, Template, UnknownPlaceholder, Values};
pub use trigger::{FailureWord, Trigger, Triggers};

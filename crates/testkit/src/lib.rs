//! Counting origin, callers, scripted upstreams, raw clients, hand-made snapshots, a reader of metrics: what tests and tools
//! share. It judges nothing; its users do.

mod burst;
mod caller;
pub mod dashboard;
mod descriptor;
mod door;
pub mod exposition;
mod faults;
pub mod http2;
mod ledger;
mod origin;
mod rig;
mod scripted;
mod settle;
mod sketch;
mod split;
mod streams;
pub mod tls;

pub use burst::{Burst, burst};
pub use caller::{Answer, Caller, Line};
pub use door::Door;
pub use faults::Faults;
pub use ledger::{Count, Run};
pub use origin::{Origin, OriginOptions};
pub use rig::{Counters, Gauges, Rig};
pub use scripted::{
    Behaviour, Client, Counts, DEADLINE, Gate, OnAccept, ReadFailure, RefusingPort, Reply, Response, Script,
    SeenRequest, Sender, UnansweringPort, Upstream,
};
pub use settle::settle;
pub use sketch::ClusterSketch;
pub use split::Split;

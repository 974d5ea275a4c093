//! Outlier detection: when a host is taken out of rotation, for how long, and when it comes back.
//! Semantics as Envoy's, with the differences D6, D7, D9, D20 and D21 of the documentation.
//!
//! Workers [`HostMonitor::record`] outcomes without a lock; the rare [`Trip`] goes to the cluster's [`OutlierDetector`], which
//! decides, flips the host's ejected bit, and tells what happened as [`OutlierEvent`]s. Counting and logging them is the adapter's.

mod detector;
mod epoch;
mod event;
mod monitor;
mod policy;

pub use detector::{EjectionView, HostView, OutlierDetector, OutlierView};
pub use epoch::HealthEpoch;
pub use event::{DetectionKind, OutlierAction, OutlierCounter, OutlierEvent};
pub use monitor::{HostMonitor, Ticket, Trip};
pub use policy::{Detector, OutlierPolicy};

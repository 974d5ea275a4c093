//! Outlier detection: when a host is taken out of rotation, for how long, and when it comes back.
//! Semantics as Envoy's, with the differences D6, D7, D9, D20 and D21 of the documentation.
//!
//! Workers [`HostMonitor::record`] outcomes without a lock; the rare [`Trip`] goes to the cluster's [`OutlierDetector`], which
//! decides, flips the host's ejected bit, and tells what happened as [`OutlierEvent`]s. Where a policy asks for it, workers also
//! count a host's tries and failures, which the detector's sweep judges. Counting and logging events is the adapter's.

mod detector;
mod epoch;
mod event;
mod failure_percentage;
mod kind;
mod monitor;
mod policy;
mod rate;
mod success_rate;
mod tally;

pub use detector::{ByOrigin, EjectionView, HostView, OutlierDetector, OutlierView};
pub use epoch::HealthEpoch;
pub use event::{OutlierAction, OutlierCounter, OutlierEvent, RateEvidence, SuccessBar};
pub use kind::{DetectionKind, Origin};
pub use monitor::{HostMonitor, Ticket, Trip};
pub use policy::{Detector, FailurePercentagePolicy, OutlierPolicy, SuccessRatePolicy};
pub use rate::Rate;
pub use tally::Volume;

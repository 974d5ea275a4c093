//! The breaker of a destination or of an endpoint: closed, open, half-open. Why it is as it is: `docs/adr/0005-breaker.md`.
//!
//! [`Breaker`] is shared by all workers; each goes through its own [`Recorder`]:
//!
//! ```
//! use std::num::NonZeroU32;
//! use fuseboard_core::breaker::{Breaker, BreakerPolicy, RefusedBy, State, TripPolicy};
//! use fuseboard_core::{Instant, Outcome, Rng};
//!
//! let trip = TripPolicy { consecutive_failures: NonZeroU32::new(2), ..TripPolicy::default() };
//! let breaker = Breaker::new(BreakerPolicy { trip, ..BreakerPolicy::default() }, Instant::ZERO);
//! let (recorder, mut rng) = (breaker.recorder(), Rng::new(1));
//! for millis in [1, 2] {
//!     let now = Instant::from_millis(millis);
//!     let pass = recorder.check(now).unwrap();                           // before queueing
//!     let (ticket, transitions) = recorder.ticket(pass, now, &mut rng);  // with slot and host at hand
//!     assert!(transitions.is_empty());
//!     for transition in ticket.unwrap().record(Outcome::of_status(503), now, &mut rng) {
//!         println!("{} because of {}", transition.to, transition.cause.token());
//!     }
//! }
//! assert_eq!(breaker.state(), State::Open);
//! assert_eq!(recorder.check(Instant::from_millis(3)).unwrap_err().by, RefusedBy::Open);
//! ```

mod cell;
mod front;
mod half_open;
mod in_flight;
mod machine;
mod open;
mod policy;
mod ramp;
mod recorder;
mod shared;
mod ticket;
mod transition;
mod view;
mod window;

pub use crate::classifier::{FailureClassifier, StatusSet, Verdict};
pub use policy::{
    BreakerPolicy, FailureCount, HalfOpenPolicy, Mode, OpenPolicy, Percent, RampPolicy, SlowPolicy,
    TripPolicy, WindowPolicy,
};
pub use recorder::{Pass, Recorder};
pub use shared::Breaker;
pub use ticket::Ticket;
pub use transition::{Cause, Force, Override, Refusal, RefusedBy, State, Transition, Transitions};
pub use view::BreakerView;
pub use window::Tally;

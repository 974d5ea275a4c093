//! TCP: one client's connection, one connection to a host, and bytes both ways. Whether it may be, and what its end means,
//! is `core`'s ([`fuseboard_core::limit`], [`fuseboard_core::tcp`]); here are the sockets.
//!
//! `session` is the list of steps, `connect` the way to a host, `copy` the bytes, `notes` what everybody hears of it.

mod connect;
mod copy;
mod notes;
mod session;

pub(crate) use copy::{Broken, Carried, Tunnel};
pub(crate) use session::serve;

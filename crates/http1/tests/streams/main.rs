//! Whole streams through the codec: known attacks, properties over generated streams, and hyper as a second
//! opinion.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod differential;
mod grammar;
mod properties;
mod reader;
mod smuggling;

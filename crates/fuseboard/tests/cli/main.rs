//! The binary as a stranger meets it: spawned, spoken to through sockets and signals, read from its two streams. Every test
//! has a home of its own (working directory, temporary and runtime folder), takes port 0, and waits with a deadline.

mod breaking;
mod by_hand;
mod completing;
mod compose;
mod demo;
mod editing;
mod ending;
mod endpoints;
mod expecting;
mod explaining;
mod falling_back;
mod finding;
mod getting_started;
mod handing_over;
mod home;
mod istio;
mod page;
mod serving;
mod talking;
mod testing;
mod watching;

//! A simulated network in memory, for tests: a clock that advances only while all sides sleep, and sockets whose segments, delays,
//! refusals and resets are determined by a seed. Only with the feature `sim`, which replaces the system's sockets by these. Each thread
//! has its own world; a program drives it through [`peer`]. Files, signals and the memory of wakeups are those of the system.

pub(crate) mod clock;
pub(crate) mod names;
mod numbers;
pub mod peer;
pub(crate) mod poller;
pub(crate) mod sock;
pub(crate) mod socket_file;
pub(crate) mod thread;
pub(crate) mod waker;
mod world;

pub(crate) use super::unix::{errno, error, files, signal};

//! The machine: clock, random numbers, log.

pub(crate) mod log;
pub(crate) mod random;
pub(crate) mod time;

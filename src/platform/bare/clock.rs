//! Clocks.

pub(crate) use crate::platform::common::clock::*;

/// Measures time by the program's clock: there is no other.
pub(crate) struct Stopwatch(u64);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(millis())
    }

    pub(crate) fn ms(&self) -> u64 {
        millis().saturating_sub(self.0)
    }
}

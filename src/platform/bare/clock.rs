//! Clocks.

pub(crate) use crate::platform::common::clock::*;

/// Measures time with the application's clock, the only one.
pub(crate) struct Stopwatch(u64);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(millis())
    }

    pub(crate) fn ms(&self) -> u64 {
        millis().saturating_sub(self.0)
    }
}

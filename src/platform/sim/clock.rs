//! The simulated clock.

use super::world;
pub(crate) use crate::platform::common::clock::*;

/// The library's own `mg_millis`.
#[unsafe(no_mangle)]
extern "C" fn mgc_millis() -> u64 {
    world::millis()
}

pub(crate) struct Stopwatch(u64);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(world::millis())
    }

    pub(crate) fn ms(&self) -> u64 {
        world::millis() - self.0
    }
}

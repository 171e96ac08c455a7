//! Timers and the clock.

//! The engine: poll loop, sockets, connections, draining, timers, wakeups. Owns descriptors and time.

pub(crate) mod queue;
pub(crate) mod timer;

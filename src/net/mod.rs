//! The engine: poll loop, sockets, connections, draining, timers, wakeups. Owns descriptors and time.

pub(crate) mod announce;
pub(crate) mod buffers;
pub(crate) mod conn;
pub(crate) mod drain;
pub(crate) mod engine;
pub(crate) mod event;
pub(crate) mod handle;
pub(crate) mod mgr;
pub(crate) mod output;
pub(crate) mod poller;
pub(crate) mod queue;
pub(crate) mod quiet;
pub(crate) mod resolve;
#[cfg(feature = "tls")]
pub(crate) mod secure;
pub(crate) mod shutdown;
pub(crate) mod sock;
pub(crate) mod stream;
pub(crate) mod timer;
pub(crate) mod tls;
pub(crate) mod turn;
pub(crate) mod wakeup;

//! The engine: poll loop, sockets, connections, draining, timers, wakeups. Owns descriptors and time.
//!
//! `engine`, `handle`, `protocol` and `tls/table` import each other. They are one definition in four files: a connection is a
//! handle to its record, and the record refers to its protocol and TLS layer through functions that take the connection. So do
//! `attempts`, `conn` and `resolve`: names lead to addresses, those to attempts, and failed attempts to more names. All other
//! files form a hierarchy, checked by `c-tests/modules.rs`; docs/architecture.md describes each.

pub(crate) mod attempts;
pub(crate) mod buffers;
pub(crate) mod close;
pub(crate) mod conn;
pub(crate) mod connect;
pub(crate) mod drain;
pub(crate) mod ending;
pub(crate) mod engine;
pub(crate) mod entry;
pub(crate) mod event;
pub(crate) mod fork;
pub(crate) mod guest;
pub(crate) mod handle;
pub(crate) mod kept;
pub(crate) mod linger;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod lookup;
pub(crate) mod mailbox;
pub(crate) mod mgr;
pub(crate) mod no_poll;
pub(crate) mod on_signal;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod protocol;
pub(crate) mod record;
pub(crate) mod recv;
pub(crate) mod resolve;
pub(crate) mod send;
pub(crate) mod service;
pub(crate) mod shutdown;
pub(crate) mod stream;
pub(crate) mod timer;
pub(crate) mod tls;
pub(crate) mod usage;
pub(crate) mod view;
pub(crate) mod wakeup;
pub(crate) mod walk;

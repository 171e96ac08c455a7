//! No operating system: the firmware's counterpart of what `unix` takes from the system. The application provides the clock, the random
//! numbers and, as `mg_fs`, files; there is one thread; interrupt handlers may wake the poll.

pub(crate) mod clock;
pub(crate) mod critical;
pub(crate) mod errno;
pub(crate) mod error;
pub(crate) mod files;
mod panic;
pub(crate) mod shared;
pub(crate) mod signal;
pub(crate) mod thread;

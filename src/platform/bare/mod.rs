//! No operating system: what a firmware has of what `unix` takes from the system. Clock and random numbers are functions of the
//! program's; there is one thread; interrupt handlers may wake the poll; files are those of `mg_fs` that the program brings.

pub(crate) mod clock;
pub(crate) mod critical;
pub(crate) mod errno;
pub(crate) mod error;
pub(crate) mod files;
mod panic;
pub(crate) mod shared;
pub(crate) mod signal;
pub(crate) mod thread;

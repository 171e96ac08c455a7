//! The machine: clock, random numbers, log, files, names.

pub(crate) mod fs;
pub(crate) mod fs_packed;
pub(crate) mod fs_posix;
pub(crate) mod log;
pub(crate) mod names;
pub(crate) mod random;
pub(crate) mod thread;
pub(crate) mod time;

//! The machine: clock, random numbers, log, files.

pub(crate) mod fs;
pub(crate) mod fs_packed;
pub(crate) mod fs_posix;
pub(crate) mod log;
pub(crate) mod random;
pub(crate) mod time;

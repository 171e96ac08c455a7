//! System services: clock, random numbers, log, files, names.

pub(crate) mod fs;
pub(crate) mod fs_packed;
pub(crate) mod log;
#[cfg(mg_small)]
mod panic;
pub(crate) mod random;

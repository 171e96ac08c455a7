//! System services: clock, random numbers, log, files, names.

pub(crate) mod fs;
pub(crate) mod fs_packed;
pub(crate) mod log;
#[cfg(all(mg_small, feature = "std"))]
mod panic;
pub(crate) mod random;

//! The printf engine.

#[cfg(any(test, not(feature = "std")))]
mod decimal;
pub(crate) mod engine;
mod float;
#[cfg(test)]
mod float_and_c;
pub(crate) mod printers;
pub(crate) mod sink;
mod text;
mod va;

pub(crate) use va::{VaArgs, to_buffer, to_iobuf, to_memory};

//! The printf engine.

pub(crate) mod engine;
pub(crate) mod float;
pub(crate) mod printers;
pub(crate) mod sink;
mod text;
mod va;

pub(crate) use va::{VaArgs, to_buffer, to_iobuf, to_memory};

//! The printf engine.

pub(crate) mod engine;
pub(crate) mod float;
pub(crate) mod printers;
pub(crate) mod va;

//! Connections in memory.

pub(crate) use mongoose::sim::{Climate, End as Wire, Read, call_in, connect, now_us};
pub(crate) use mongoose::sim::{is_traced, pass, say};

pub(crate) const PORT: u16 = 80;

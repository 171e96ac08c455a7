//! Numbers from a seed.

#[cfg(feature = "sim")]
pub(crate) use mongoose::sim::Numbers;
